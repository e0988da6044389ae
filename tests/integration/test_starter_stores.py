"""The command line with real stores and a real worker: what prepare finds, the quarantine, the report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from starter import moves
from tests.fixtures.cli import Cli, Ended, new_domain
from tests.fixtures.rig import DEADLINE, Rig, make_plan, order
from tests.integration.own_source_server import OwnServer, create_users, own_server
from workflows.client import connect

GONE = "127.0.0.1:1"
"""Nobody listens here."""
BAD = {"_id": 7, "customer": "c", "placed": "not a date"}


class Desk:
    """The command line over a rig."""

    def __init__(self, rig: Rig, home: Path) -> None:
        self.rig, self._home = rig, home

    @property
    def domain(self) -> str:
        return self.rig.plan.domain

    async def cli(self, *arguments: str, **environment: str) -> Ended:
        return await Cli(self.rig.environment, self._home)(*arguments, **environment)

    async def start(self) -> Ended:
        """Start the move, with a worker process of its own."""
        self.rig.start_worker()
        return await self.cli("start", Cli({}, self._home).write(self.rig.plan))

    async def until(self, phase: str, state: str) -> None:
        client = await connect(self.rig.temporal_address, "default")
        end = asyncio.get_running_loop().time() + DEADLINE
        while ((seen := await moves.overview(client, self.domain)).phase, seen.state) != (phase, state):
            assert asyncio.get_running_loop().time() < end, seen
            await asyncio.sleep(0.1)

    async def until_nothing_runs(self) -> None:
        """A pause is obeyed when what was running has ended, a moment after it was heard."""
        client = await connect(self.rig.temporal_address, "default")
        handle = client.get_workflow_handle(moves.workflow_id(self.domain))
        end = asyncio.get_running_loop().time() + DEADLINE
        while running := (await handle.describe()).raw_description.pending_activities:
            assert asyncio.get_running_loop().time() < end, running
            await asyncio.sleep(0.05)

    async def until_nothing_is_in_quarantine(self) -> None:
        end = asyncio.get_running_loop().time() + DEADLINE
        async with self.rig.bridge() as bridge:
            while left := await bridge.target.ledger.quarantined(self.domain):
                assert asyncio.get_running_loop().time() < end, left
                await asyncio.sleep(0.1)


@pytest.fixture
async def desk(rig: Rig, tmp_path: Path) -> AsyncIterator[Desk]:
    """A source of a few orders, a plan that waits for approval of dark reads; no worker yet."""
    rig.plan = make_plan(rig.database, domain=new_domain(), approvals=("dark_read",))
    with rig.source() as source:
        source["orders"].insert_many([order(number) for number in range(20, 30)])
    yield (desk := Desk(rig, tmp_path))
    client = await connect(rig.temporal_address, "default")
    async for execution in client.list_workflows(f"WorkflowId = 'midflight/{desk.domain}'"):
        if execution.close_time is None:
            await client.get_workflow_handle(execution.id).terminate()


@pytest.fixture
def guarded(desk: Desk, tmp_path: Path) -> Iterator[OwnServer]:
    """A source that asks for a password."""
    with own_server(tmp_path) as open_for_all:
        create_users(open_for_all.uri(), desk.rig.database)
    with own_server(tmp_path, "--auth") as server:
        yield server


async def test_a_source_that_is_down_is_found_by_prepare(desk: Desk) -> None:
    desk.rig.mongo_uri = f"mongodb://{GONE}/?serverSelectionTimeoutMS=300"

    ended = await desk.start()

    assert ended.code == 7
    assert "source" in ended.out
    assert f"midflight resume {desk.domain}" in ended.out


async def test_a_target_that_is_down_is_found_by_prepare(desk: Desk) -> None:
    desk.rig.postgres_dsn = f"postgresql://postgres@{GONE}/postgres"

    ended = await desk.start()

    assert ended.code == 7
    assert "target" in ended.out


async def test_a_wrong_password_is_found_by_prepare(desk: Desk, guarded: OwnServer) -> None:
    desk.rig.mongo_uri = guarded.uri("mover", "wrong")

    ended = await desk.start()

    assert ended.code == 7
    assert "user name or password" in ended.out
    assert "wrong" not in ended.out


async def test_a_missing_privilege_is_found_by_prepare_with_the_role_to_grant(desk: Desk, guarded: OwnServer) -> None:
    desk.rig.mongo_uri = guarded.uri("reader")

    ended = await desk.start()

    assert ended.code == 7
    assert "privilege collMod on orders" in ended.out
    assert "readWrite and dbAdmin" in ended.out


async def test_a_source_that_is_no_replica_set_is_found_by_prepare(desk: Desk, tmp_path: Path) -> None:
    with own_server(tmp_path, "--standalone") as server:
        desk.rig.mongo_uri = server.uri()

        ended = await desk.start()

    assert ended.code == 7
    assert "source is a replica set" in ended.out
    assert "rs.initiate()" in ended.out


async def test_a_missing_collection_is_found_by_prepare_and_named(desk: Desk) -> None:
    with desk.rig.source() as source:
        source["orders"].drop()
        source.create_collection("other")

    ended = await desk.start()

    assert ended.code == 7
    assert "orders" in ended.out


async def test_a_target_table_with_foreign_rows_is_found_by_prepare_and_left_alone(desk: Desk) -> None:
    with psycopg.connect(desk.rig.postgres_dsn, autocommit=True) as connection:
        connection.execute("create schema shop")
        connection.execute("create table shop.orders (id text primary key, theirs integer)")
        connection.execute("insert into shop.orders values ('1', 1)")

    ended = await desk.start()

    assert ended.code == 7
    assert "shop.orders" in ended.out
    assert desk.rig.one("select count(*) from shop.orders") == 1


async def test_after_the_cause_is_mended_resume_checks_again(desk: Desk) -> None:
    with desk.rig.source() as source:
        source["orders"].rename("elsewhere")
    assert (await desk.start()).code == 7
    with desk.rig.source() as source:
        source["elsewhere"].rename("orders")

    assert (await desk.cli("resume", desk.domain)).code == 0

    await desk.until("dark_read", "waiting")


async def test_a_store_without_an_address_is_named_with_its_variable(desk: Desk) -> None:
    await desk.start()

    ended = await desk.cli("quarantine", "list", desk.domain, MIDFLIGHT_STORE_PG_MAIN="")

    assert ended.code == 8
    assert "MIDFLIGHT_STORE_PG_MAIN" in ended.err


async def test_a_target_that_does_not_answer_ends_a_look_at_the_quarantine_with_9(desk: Desk) -> None:
    dsn = f"postgresql://postgres@{GONE}/postgres"

    ended = await desk.cli("quarantine", "list", "x", "--target", "pg-main", MIDFLIGHT_STORE_PG_MAIN=dsn)

    assert ended.code == 9


async def test_a_ledger_that_was_never_made_knows_no_domain(desk: Desk) -> None:
    ended = await desk.cli("quarantine", "list", "x", "--target", "pg-main")

    assert ended.code == 5


async def test_a_refused_document_is_listed_shown_retried_and_waived(desk: Desk) -> None:
    with desk.rig.source() as source:
        source["orders"].insert_one(BAD)
    await desk.start()
    await desk.until("dark_read", "waiting")

    entry = (await desk.cli("quarantine", "list", desk.domain, "--json")).data[0]
    assert (entry["collection"], entry["field"], entry["column"]) == ("orders", "placed", "placed")
    number = str(entry["number"])
    shown = await desk.cli("quarantine", "show", desk.domain, number, "--json")
    assert "key" not in shown.data
    assert (await desk.cli("quarantine", "show", desk.domain, number, "--show-key", "--json")).data["key"] == "7"

    retried = await desk.cli("quarantine", "retry", desk.domain, number)
    assert retried.code == 7
    assert "Mend the document in the source" in retried.out
    number = str((await desk.cli("quarantine", "list", desk.domain, "--json")).data[0]["number"])
    waived = await desk.cli("quarantine", "waive", desk.domain, number, "--reason", "a test order", "--as", "ann")
    assert waived.code == 0
    assert (await desk.cli("quarantine", "list", desk.domain, "--json")).data == []
    with_waived = (await desk.cli("quarantine", "list", desk.domain, "--waived", "--json")).data
    assert with_waived[0]["waived_by"] == "ann"


async def test_a_mended_document_goes_through_when_it_is_retried(desk: Desk) -> None:
    with desk.rig.source() as source:
        source["orders"].insert_one(BAD)
    await desk.start()
    await desk.until("dark_read", "waiting")
    await desk.cli("pause", desk.domain)
    await desk.until_nothing_runs()
    entry = (await desk.cli("quarantine", "list", desk.domain, "--json")).data[0]
    with desk.rig.source() as source:
        source["orders"].update_one({"_id": 7}, {"$unset": {"placed": 1}})

    retried = await desk.cli("quarantine", "retry", desk.domain, str(entry["number"]), "--json")

    assert (retried.code, retried.data["through"]) == (0, True)
    again = await desk.cli("quarantine", "retry", desk.domain, str(entry["number"]))
    assert again.code == 4
    assert "may be cleared already" in again.err


async def test_a_report_shows_phases_parity_gates_and_counts(desk: Desk) -> None:
    desk.rig.plan = desk.rig.plan.model_copy(update={"approvals": ("dark_read", "cutover")})
    await desk.start()
    await desk.until("dark_read", "waiting")
    assert (await desk.cli("approve", desk.domain, "dark_read", "--reason", "equal", "--as", "ann")).code == 0
    await desk.until("cutover", "waiting")

    written = (await desk.cli("report", desk.domain, "--json")).data

    assert [span["phase"] for span in written["spans"]][:3] == ["prepare", "capture", "backfill"]
    assert written["counts"]["orders"]["documents"] == 10
    assert written["parity"]["compared"] == 10
    passed = [entry for entry in written["audit"] if entry["kind"] == "gate_passed"]
    assert (passed[0]["person"], passed[0]["details"]["reason"]) == ("ann", "equal")
    assert "ann" in (await desk.cli("report", desk.domain)).out


async def test_a_report_of_a_dead_worker_still_shows_what_the_ledger_holds(desk: Desk) -> None:
    await desk.start()
    await desk.until("dark_read", "waiting")
    desk.rig.kill_workers()

    ended = await desk.cli("report", desk.domain)

    assert ended.code == 0
    assert "No worker answers" in ended.out
    assert "orders" in ended.out
