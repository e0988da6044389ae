"""Repair on real servers: through the door only, looked at afterwards, in the audit trail, and never blindly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from bson import Decimal128, Int64, ObjectId

from midflight.core.keys import key_bytes
from midflight.core.phase import Stage
from midflight.core.plan import ParityRules
from midflight.errors import AuthorityMoved
from midflight.parity.harness import Parity
from midflight.parity.key_order import place_of
from midflight.parity.policy import Policy
from midflight.parity.ports import RunStore
from midflight.parity.records import Cause, Entry, Mismatch, State, Verdict
from midflight.parity.repair import RepairPlan, plan_of, repair
from midflight.parity.rules import Rules
from midflight.parity.source_side import SourceSide
from midflight.parity.target_side import TargetSide
from midflight.ports import SourceReader
from midflight.postgres.connection import open_runs
from midflight.sync import Bridge, sync_keys
from tests.fixtures.applier import as_applier
from tests.fixtures.rig import Rig, order
from tests.unit.parity.memory import Killed, Killer

KEYS = 40
RULES = ParityRules(rebackfill_rate=0.5, deletes_rate=0.1)


class Quiet:
    """Nobody writes and no tail runs: there is nothing that the target could still have to follow."""

    async def passed(self, within_seconds: float) -> bool:
        return True


@dataclass
class Shop:
    """A copied shop, and parity of it. The run is named by the caller; everything is settled in one look."""

    rig: Rig
    bridge: Bridge
    parity: Parity
    store: RunStore

    @property
    def domain(self) -> str:
        return self.rig.plan.domain

    async def run(self, run: str) -> list[Mismatch]:
        await self.parity.run(run, levels=("full",), frozen=True)
        return await self.store.mismatches(self.domain, run)

    async def plan(self, run: str, rules: ParityRules = RULES) -> RepairPlan:
        await self.run(run)
        return await plan_of(self.parity, run, rules)

    async def mended(self, run: str, plan: RepairPlan) -> set[bytes]:
        """The keys of the run that the plan is to mend."""
        return {one.key for one in await self.store.mismatches(self.domain, run) if plan.mends(one)}

    async def verdict(self, run: str) -> Verdict:
        return (await self.parity.run(run, levels=("full",), frozen=True)).verdict

    async def states(self, run: str) -> dict[bytes, State]:
        return {one.key: one.state for one in await self.store.mismatches(self.domain, run)}

    def tamper(self, *statements: str) -> None:
        with as_applier(self.rig.postgres_dsn, self.domain) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def write(self, *documents: dict[str, Any]) -> None:
        with self.rig.source() as source:
            for document in documents:
                source["orders"].replace_one({"_id": document["_id"]}, document, upsert=True)

    def delete(self, number: int) -> None:
        with self.rig.source() as source:
            source["orders"].delete_one({"_id": number})

    def break_the_mapping(self) -> None:
        """Whatever is applied from now on, customers come out short."""
        self.tamper(
            "create function shop.cut() returns trigger language plpgsql as "
            "$$ begin new.customer := left(new.customer, 4); return new; end $$",
            "create trigger cut before insert or update on shop.orders for each row execute function shop.cut()",
        )

    async def audited(self) -> list[tuple[str, dict[str, Any]]]:
        entries = await self.bridge.target.ledger.audit(self.domain)
        return [(entry["person"], entry["details"]) for entry in entries if entry["kind"].startswith("repair")]

    def version(self, number: int) -> Any:
        """The version in the target's row; None without a row."""
        return self.rig.one(f"select version from shop.orders where id = '{number}'")

    def paths(self) -> dict[str, int]:
        return dict(self.rig.query("select path, count(*) from midflight.guards group by path"))


@pytest.fixture
async def shop(prepared: Rig) -> AsyncIterator[Shop]:
    plan = prepared.plan
    async with prepared.bridge() as bridge, open_runs(prepared.postgres_dsn) as store:
        parity = Parity(
            SourceSide(bridge.source, plan),
            TargetSide(bridge.target, plan),
            Quiet(),
            store,
            {"orders": Rules.of(plan, "orders")},
            domain=plan.domain,
            entities=["orders"],
        )
        shop = Shop(prepared, bridge, parity, store)
        shop.write(*(order(number) for number in range(KEYS)))
        await sync_keys(bridge, {"orders": keys(range(KEYS))}, "backfill")
        yield shop


def keys(numbers: Sequence[int]) -> list[bytes]:
    return [key_bytes(number) for number in numbers]


async def damage(shop: Shop) -> set[bytes]:
    """One key of every kind of damage."""
    shop.write(order(1, version=9), order(100))
    shop.delete(2)
    shop.tamper(
        "update shop.orders set customer = 'nobody' where id = '3'",
        "delete from shop.order_lines where order_id = '7'",
        "delete from shop.orders where id = '11'",
        "insert into shop.orders (id, customer) values ('500', 'nobody')",
    )
    return set(keys([1, 2, 3, 7, 11, 100, 500]))


async def test_every_kind_of_damage_is_mended_through_the_door_and_judged_repaired(shop: Shop) -> None:
    damaged = await damage(shop)
    plan = await shop.plan("found")
    assert await shop.mended("found", plan) == damaged
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert report.remaining == 0
    assert (report.executed, report.repaired) == (True, len(damaged))
    assert (report.applied.written, report.applied.deleted) == (5, 2)
    assert await shop.states("found") == dict.fromkeys(damaged, State.REPAIRED)
    assert shop.paths() == {"backfill": KEYS - 5, "repair": len(damaged)}
    assert await shop.verdict("afterwards") is Verdict.PASS


async def test_a_repair_is_a_dry_run_unless_it_is_told_otherwise(shop: Shop) -> None:
    damaged = await damage(shop)
    plan = await shop.plan("found")
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann")
    assert (report.executed, report.repaired) == (False, 0)
    assert report.plan.summary()["requeue"] == {"orders": len(damaged)}
    assert await shop.states("found") == dict.fromkeys(damaged, State.SETTLED)
    assert shop.paths() == {"backfill": KEYS}
    assert await shop.audited() == []


async def test_the_audit_trail_says_who_repaired_what_and_what_came_of_it(shop: Shop) -> None:
    await damage(shop)
    plan = await shop.plan("found")
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert await shop.audited() == [
        ("ann", {"run": "found", **plan.summary()}),
        ("ann", {"run": "found", **report.details()}),
    ]
    assert report.details()["plan"] == plan.hash


async def test_a_repair_takes_the_source_as_it_is_then_not_as_it_was_when_it_was_planned(shop: Shop) -> None:
    await damage(shop)
    plan = await shop.plan("found")
    shop.write(order(3, version=77), order(500, version=5))
    shop.delete(11)
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert report.remaining == 0
    assert shop.version(3) == 77
    assert shop.version(500) == 5
    assert shop.version(11) is None
    assert await shop.verdict("afterwards") is Verdict.PASS


async def test_rows_without_a_guard_are_mended_at_once_whether_they_should_go_or_change(shop: Shop) -> None:
    """Red while the door took a key without a guard row for one without rows."""
    with as_applier(shop.rig.postgres_dsn, shop.domain) as connection:
        connection.execute("insert into shop.orders (id, customer) values ('500', 'nobody'), ('501', 'nobody')")
        connection.execute("insert into shop.order_lines (order_id, position, sku) values ('501', 7, 'x')")
    shop.write(order(501))
    plan = await shop.plan("found")
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert (report.repaired, report.remaining, report.applied.quarantined) == (2, 0, 0)
    assert await shop.verdict("afterwards") is Verdict.PASS


async def test_a_document_that_ends_in_quarantine_is_not_called_repaired(shop: Shop) -> None:
    shop.tamper("update shop.orders set customer = 'nobody' where id in ('3', '5')")
    plan = await shop.plan("found")
    shop.write(order(3) | {"customer": "no\0body"})
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert (report.repaired, report.remaining, report.applied.quarantined) == (1, 0, 1)
    assert await shop.states("found") == {key_bytes(3): State.CLEARED, key_bytes(5): State.REPAIRED}


async def test_a_repair_that_is_repeated_changes_nothing_more(shop: Shop) -> None:
    await damage(shop)
    plan = await shop.plan("found")
    await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    again = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert (again.repaired, again.remaining) == (0, 0)
    assert set((await shop.states("found")).values()) == {State.REPAIRED}


async def test_a_repair_that_was_broken_off_is_ended_by_the_next(shop: Shop) -> None:
    damaged = await damage(shop)
    plan = await shop.plan("found")
    dying: Any = Killer(shop.store, 1, committed=True)
    with pytest.raises(Killed):
        await repair(shop.bridge, plan, replace(shop.parity, store=dying), run="found", person="ann", execute=True)
    known = await shop.store.mismatches(shop.domain, "found")
    await shop.store.judge(shop.domain, "found", [replace(known[0], state=State.SUSPECT)])
    plan = await plan_of(shop.parity, "found", RULES)
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert report.remaining == 0
    assert await shop.states("found") == dict.fromkeys(damaged, State.REPAIRED)


async def test_a_key_that_changes_all_the_time_is_repaired_once_it_is_seen_equal_and_undecided_before(
    shop: Shop,
) -> None:
    """Red if it is called hot after a few looks: then nobody would look at it again."""
    shop.tamper("update shop.orders set customer = 'nobody' where id = '3'")
    plan, changes = await shop.plan("found"), Restless(shop, 3)
    policy = Policy(rounds=8)
    tool = replace(shop.parity, source=changes, policy=policy)
    report = await repair(shop.bridge, plan, tool, run="found", person="ann", execute=True)
    assert (report.repaired, report.remaining, report.undecided) == (0, 0, 1)
    assert await shop.states("found") == {key_bytes(3): State.SUSPECT}
    await sync_keys(shop.bridge, {"orders": keys([3])}, "tail")
    plan = await plan_of(shop.parity, "found", RULES)
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert (report.repaired, report.remaining, report.undecided) == (1, 0, 0)


class Restless(SourceSide):
    """One of the orders is written before every look."""

    def __init__(self, shop: Shop, number: int) -> None:
        super().__init__(shop.bridge.source, shop.rig.plan)
        self._shop, self._number, self._version = shop, number, 1_000

    async def fetch(self, entity: str, keys: Sequence[bytes], *, deep: bool = False) -> dict[bytes, Entry]:
        self._version += 1
        self._shop.write(order(self._number, version=self._version))
        return await super().fetch(entity, keys, deep=deep)


async def test_mismatches_are_read_page_by_page_and_none_is_left_out(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page is judged before the next one is read. Red if the next one is counted off, not begun after a key."""
    damaged = await damage(shop)
    await shop.run("found")
    monkeypatch.setattr("midflight.parity.repair.PAGE", 2)
    plan = await plan_of(shop.parity, "found", RULES)
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert (plan.keys, report.repaired, report.remaining) == (len(damaged), len(damaged), 0)
    assert await shop.states("found") == dict.fromkeys(damaged, State.REPAIRED)


async def test_a_range_that_is_copied_again_brings_back_nothing_that_was_written_meanwhile(shop: Shop) -> None:
    """Red with the token drawn after the documents were read."""
    shop.tamper("update shop.orders set customer = 'nobody' where id in ('0', '1', '2', '4', '5')")
    plan = await shop.plan("found", RULES.model_copy(update={"rebackfill_rate": 0.1}))

    async def meanwhile() -> None:
        shop.write(order(9, version=77))
        await sync_keys(shop.bridge, {"orders": keys([9])}, "tail")

    reader = cast("SourceReader", Overtaken(shop.bridge.source.reader, meanwhile))
    bridge = replace(shop.bridge, source=replace(shop.bridge.source, reader=reader))
    report = await repair(bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert (report.remaining, report.applied.stale) == (0, 1)
    assert shop.version(9) == 77


@dataclass
class Overtaken:
    """A reader that is overtaken: between what it has read and what is done with it, something happens."""

    reader: SourceReader
    meanwhile: Callable[[], Awaitable[None]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)

    async def read_range(self, *arguments: Any, **named: Any) -> AsyncIterator[bytes]:
        async for block in self.reader.read_range(*arguments, **named):
            await self.meanwhile()
            yield block


async def test_a_range_above_the_rate_is_copied_again_with_keys_that_nobody_had_looked_at(shop: Shop) -> None:
    shop.tamper("update shop.orders set customer = 'nobody' where id in ('0', '1', '2', '4', '5')")
    plan = await shop.plan("found", RULES.model_copy(update={"rebackfill_rate": 0.1}))
    (copied,) = plan.copy_again
    assert copied.compared == KEYS
    # Damage of after the run is in no list of keys, but in the range.
    shop.tamper("update shop.orders set customer = 'nobody' where id = '9'")
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert report.repaired == copied.differing == 5
    assert report.applied.written == KEYS
    assert await shop.verdict("afterwards") is Verdict.PASS


async def test_too_many_deletes_are_refused_and_their_rows_stay(shop: Shop) -> None:
    for number in range(10, 20):
        shop.delete(number)
    shop.tamper("update shop.orders set customer = 'nobody' where id = '3'")
    plan = await shop.plan("found")
    (refused,) = plan.refused
    assert "it would delete 10 keys" in refused.reason
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert (report.repaired, report.applied.deleted) == (1, 0)
    assert len(shop.rig.query("select 1 from shop.orders")) == KEYS
    states = await shop.states("found")
    assert [states[key] for key in keys(range(10, 20))] == [State.SETTLED] * 10


async def test_a_mapping_bug_is_refused_with_the_field_and_nothing_is_written(shop: Shop) -> None:
    shop.break_the_mapping()
    await sync_keys(shop.bridge, {"orders": keys(range(KEYS))}, "tail")
    plan = await shop.plan("found")
    (refused,) = plan.refused
    assert refused.reason == "the mapping is wrong (customer)"
    assert refused.next_step.startswith("fix the plan")
    assert {one.cause for one in await shop.store.mismatches(shop.domain, "found")} == {Cause.MAPPING_BUG}
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert (report.repaired, report.applied.written, report.remaining) == (0, 0, 0)
    assert shop.paths() == {"tail": KEYS}


async def test_what_differs_still_is_not_called_repaired(shop: Shop) -> None:
    shop.tamper("update shop.orders set customer = 'nobody' where id = '3'")
    shop.write(order(1, version=9))
    plan = await shop.plan("found")
    shop.break_the_mapping()
    report = await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert (report.repaired, report.remaining) == (0, 2)
    assert {(one.key, one.state, one.cause) for one in await shop.store.mismatches(shop.domain, "found")} == {
        (key, State.SETTLED, Cause.TRUNCATION) for key in keys([1, 3])
    }


async def test_rows_that_no_document_leads_to_are_refused(shop: Shop) -> None:
    shop.tamper("insert into shop.orders (id, customer) values ('no key at all', 'nobody')")
    plan = await shop.plan("found")
    assert [one.reason for one in plan.refused] == ["no document leads to these rows"]
    assert plan.keys == 0


async def test_nothing_is_repaired_where_the_target_is_the_authority(shop: Shop) -> None:
    await damage(shop)
    plan = await shop.plan("found")
    ledger = shop.bridge.target.ledger
    for stage in (Stage.RAMP, Stage.HOLD):
        row = await ledger.set_stage(shop.domain, stage, 10_000, 0)
    await ledger.flip(shop.domain, row.epoch)
    with pytest.raises(AuthorityMoved, match="no repair overwrites it"):
        await repair(shop.bridge, plan, shop.parity, run="found", person="ann", execute=True)
    assert shop.paths() == {"backfill": KEYS}
    assert await shop.audited() == []


async def test_keys_stand_in_the_order_in_which_the_server_reads_them(prepared: Rig) -> None:
    values: list[Any] = [7, 1.5, "a", "é", "B", "", Decimal128("2.50"), Int64(2**40), -1, True, False, None]
    values += [ObjectId(b"a" * 12), b"ab", b"c", {"b": 1}, {"a": "x"}, {"b": 1, "a": 0}]
    with prepared.source() as source:
        source["orders"].insert_many([{"_id": value} for value in values])
    async with prepared.bridge() as bridge:
        walked = [key async for page in bridge.source.reader.walk_keys("orders") for key in page]
    assert walked == sorted(map(key_bytes, values), key=place_of)
