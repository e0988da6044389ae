"""Parity from the command line, over real stores; Temporal is not asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from midflight.core.keys import key_bytes
from midflight.core.plan import ParityRules
from midflight.sync import sync_keys
from tests.fixtures.applier import as_applier
from tests.fixtures.cli import Cli, Ended, new_domain
from tests.fixtures.rig import Rig, make_plan, order

CLEAN, INCOMPLETE, DIFFERENT, STRUCTURE = 0, 64 + 1, 64 + 4, 64 + 8
DOCUMENTS = 30


class Desk:
    """The command line over stores that hold a domain, all of it copied; Temporal is not asked."""

    def __init__(self, rig: Rig, home: Path) -> None:
        self.rig, self._cli = rig, Cli({**rig.environment, "MIDFLIGHT_TEMPORAL_ADDRESS": "127.0.0.1:1"}, home)

    async def __call__(self, command: str, *arguments: str) -> Ended:
        return await self._cli("parity", command, self.rig.plan.domain, *arguments)

    def write_plan(self) -> str:
        """The plan as a file."""
        return self._cli.write(self.rig.plan)

    async def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """A run's exit code and report."""
        ended = await self("run", "--format", "json", *arguments)
        return ended.code, ended.data

    def tamper(self, statement: str) -> None:
        """Change rows behind everybody's back."""
        with as_applier(self.rig.postgres_dsn, self.rig.plan.domain, autocommit=True) as connection:
            connection.execute(statement.encode())


async def copy(rig: Rig, numbers: Sequence[int]) -> None:
    """Through the door."""
    async with rig.bridge() as bridge:
        await sync_keys(bridge, {"orders": [key_bytes(number) for number in numbers]}, "backfill")


@pytest.fixture
async def desk(rig: Rig, tmp_path: Path) -> Desk:
    rig.plan = make_plan(rig.database, domain=new_domain(), parity=ParityRules(show=("customer",)))
    with rig.source() as source:
        source["orders"].insert_many([order(number) for number in range(DOCUMENTS)])
    async with rig.bridge() as bridge:
        schema = bridge.target.schema
        await schema.install_ledger()
        await bridge.target.ledger.register(rig.plan)
        await schema.create_tables(rig.plan)
        await bridge.target.fence.install(rig.plan)
    await copy(rig, range(DOCUMENTS))
    async with rig.bridge() as bridge:
        for constraint in await bridge.target.schema.create_foreign_keys(rig.plan):
            await bridge.target.schema.validate_foreign_key(rig.plan, constraint)
    return Desk(rig, tmp_path)


# --- run --------------------------------------------------------------------------------------------------------------


async def test_a_copy_that_nobody_touched_passes_every_level(desk: Desk) -> None:
    code, report = await desk.run()
    assert code == CLEAN, report
    assert {one["level"]: one["verdict"] for one in report["levels"]} == dict.fromkeys(
        ("structure", "census", "sample", "full", "invariants"), "pass"
    )
    assert report["entities"][0]["compared"] == DOCUMENTS


async def test_a_row_that_somebody_changed_is_found_with_its_field_and_cause(desk: Desk) -> None:
    desk.tamper("update shop.order_lines set quantity = 77 where order_id = '7' and position = 1")
    code, report = await desk.run("--level", "full")
    assert code == DIFFERENT
    (cause,) = report["causes"]
    (group,) = cause["groups"]
    assert (cause["cause"], group["entity"], group["field"]) == ("rogue write", "orders", "lines.*.quantity")
    assert (await desk("report")).code == DIFFERENT


async def test_only_the_levels_that_were_asked_for_decide(desk: Desk) -> None:
    desk.tamper("update shop.orders set customer = 'x' where id = '1'")
    code, report = await desk.run("--level", "structure", "--level", "invariants")
    assert (code, len(report["levels"])) == (CLEAN, 2)
    desk.tamper("alter table shop.orders drop column version")
    assert (await desk.run("--level", "structure"))[0] == STRUCTURE


async def test_a_frozen_run_decides_at_once_about_keys_that_never_came(desk: Desk) -> None:
    with desk.rig.source() as source:
        source["orders"].insert_one(order(500))
    code, report = await desk.run("--frozen")
    assert (code, report["keys"]["settled"]) == (DIFFERENT, 1)


async def test_a_run_is_resumed_by_its_name_and_an_unknown_one_is_refused(desk: Desk) -> None:
    _, report = await desk.run()
    again = await desk.run("--resume", report["run"])
    assert (again[0], again[1]["run"], again[1]["finished_at"]) == (CLEAN, report["run"], report["finished_at"])
    unknown = await desk("run", "--resume", "nobodys")
    assert unknown.code == 4
    assert "nobodys" in unknown.err


# --- report -----------------------------------------------------------------------------------------------------------


async def test_a_report_is_written_as_a_page_and_shows_values_only_where_both_agree(desk: Desk, tmp_path: Path) -> None:
    desk.tamper("update shop.orders set customer = 'somebody-else', total = 4711 where id = '5'")
    page = tmp_path / "report.html"
    written = await desk("run", "--format", "html", "--out", str(page))
    assert (written.code, written.out) == (DIFFERENT, "")
    assert str(page) in written.err
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "somebody-else" not in text
    shown = (await desk("report", "--values")).out
    assert "somebody-else" in shown
    assert "4711" not in shown


async def test_every_mismatch_is_a_line_of_json(desk: Desk) -> None:
    desk.tamper("update shop.orders set version = 9 where id in ('1', '2', '3')")
    lines = (await desk("run", "--format", "jsonl")).out.splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["1", "2", "3"]


async def test_a_file_that_cannot_be_written_is_an_error_that_keeps_the_run(desk: Desk, tmp_path: Path) -> None:
    ended = await desk("run", "--out", str(tmp_path / "nowhere" / "report.txt"))
    assert ended.code == 8
    assert len((await desk("history", "--json")).data) == 1


# --- watch and gate ---------------------------------------------------------------------------------------------------


async def test_a_watch_run_leaves_out_what_it_saw_equal_and_finds_what_has_changed(desk: Desk) -> None:
    await desk.run()
    watched = await desk("watch", "--times", "1", "--json")
    assert (watched.code, watched.data["entities"][0]["skipped"]) == (CLEAN, DOCUMENTS)


async def test_the_gate_is_shut_without_a_run_and_opened_by_one_that_passed(desk: Desk) -> None:
    shut = await desk("gate")
    assert shut.code == INCOMPLETE
    assert "no gate run" in shut.out
    await desk("watch", "--times", "1")
    assert (await desk("gate")).code == INCOMPLETE
    await desk.run()
    assert (await desk("gate", "--json")).data["open"] is True


async def test_the_gate_is_shut_by_a_run_that_is_too_old_too_small_or_failed(desk: Desk) -> None:
    await desk.run("--level", "full")
    small = await desk("gate")
    assert (small.code, "no level census" in small.out) == (INCOMPLETE, True)
    assert (await desk("gate", "--levels", "full")).code == CLEAN
    assert (await desk("gate", "--levels", "full", "--max-age", "0")).code == INCOMPLETE
    desk.tamper("delete from shop.orders where id = '3'")
    await desk.run()
    assert (await desk("gate")).code == DIFFERENT


# --- explain ----------------------------------------------------------------------------------------------------------


async def test_a_key_is_explained_with_both_sides_the_guard_and_the_last_change(desk: Desk) -> None:
    desk.tamper("update shop.orders set customer = 'somebody-else', total = 4711 where id = '5'")
    ended = await desk("explain", "orders", "5", "--json")
    told = ended.data
    assert ended.code == DIFFERENT
    assert (told["key"], told["cause"], told["verdict"]) == ("5", "rogue write", "differs: value, settled")
    assert told["target"].endswith("rows are not what was applied")
    assert "by backfill" in told["last_change"]
    assert told["guard"].startswith("applied, token ")
    assert {one["path"] for one in told["fields"] if one["differs"]} == {"customer", "total"}
    assert "somebody-else" not in ended.out
    with_values = (await desk("explain", "orders", "5", "--values")).out
    assert "somebody-else" in with_values
    assert "4711" not in with_values


async def test_a_key_that_is_equal_or_nowhere_is_no_difference(desk: Desk) -> None:
    equal = await desk("explain", "orders", "6", "--json")
    nowhere = await desk("explain", "orders", '{"$oid": "65920100a1b2c3d4e5f60718"}', "--json")
    assert (equal.code, equal.data["verdict"]) == (CLEAN, "equal")
    assert (nowhere.code, nowhere.data["verdict"]) == (CLEAN, "neither side has it")
    assert (await desk("explain", "nothing", "6")).code == 3


# --- repair -----------------------------------------------------------------------------------------------------------


async def test_a_repair_is_shown_first_then_signed_then_verified(desk: Desk) -> None:
    desk.tamper("update shop.orders set customer = 'x' where id = '5'")
    desk.tamper("insert into shop.orders (id, customer) values ('900', 'nobody')")
    _, report = await desk.run("--frozen")
    dry = await desk("repair", report["run"], "--json")
    assert (dry.code, dry.data["executed"]) == (CLEAN, False)
    assert dry.data["deletes"] == {"orders": 1}
    assert desk.rig.one("select customer from shop.orders where id = '5'") == "x"
    assert (await desk("repair", report["run"], "--execute")).code == 2

    signed = ("--execute", "--as", "ann", "--reason", "ticket 12")
    done = await desk("repair", report["run"], *signed, "--json")

    assert (done.code, done.data["repaired"], done.data["remaining"]) == (CLEAN, 2, 0)
    assert (await desk.run())[0] == CLEAN
    async with desk.rig.bridge() as bridge:
        audit = await bridge.target.ledger.audit(desk.rig.plan.domain)
    (approved,) = [one for one in audit if one["kind"] == "repair_approved"]
    assert (approved["person"], approved["details"]["reason"]) == ("ann", "ticket 12")


async def test_a_repair_that_may_not_delete_leaves_the_row_and_says_so(desk: Desk) -> None:
    desk.tamper("insert into shop.orders (id, customer) values ('900', 'nobody')")
    _, report = await desk.run("--frozen")
    signed = ("--execute", "--as", "ann", "--reason", "ticket 12")
    done = await desk("repair", report["run"], *signed, "--max-deletes", "0")
    assert done.code == DIFFERENT
    assert "refused for 1 key" in done.out
    assert desk.rig.one("select count(*) from shop.orders where id = '900'") == 1


# --- stores that no move was begun of ---------------------------------------------------------------------------------


async def test_two_stores_that_no_move_was_begun_of_are_compared_by_a_plan_file(desk: Desk) -> None:
    registered = desk.rig.plan
    desk.rig.plan = registered.model_copy(update={"domain": new_domain()})
    plan = desk.write_plan()
    unknown = await desk("run")
    assert unknown.code == 5

    clean = await desk("run", "--plan", plan, "--lag", "0.1", "--level", "full")
    assert clean.code == CLEAN
    assert "no tail to wait for" in clean.err

    desk.tamper(f"set midflight.applier = '{registered.domain}'; update shop.orders set version = 8 where id = '4'")
    found = await desk("run", "--plan", plan, "--lag", "0.1", "--level", "full")
    assert found.code == DIFFERENT
    assert "version" in found.out


async def test_a_plan_file_that_copies_otherwise_than_the_recorded_one_is_refused(desk: Desk) -> None:
    target = desk.rig.plan.target.model_copy(update={"schema_": "elsewhere"})
    desk.rig.plan = desk.rig.plan.model_copy(update={"target": target})
    refused = await desk("run", "--plan", desk.write_plan())
    assert refused.code == 4
    assert "another plan" in refused.err
