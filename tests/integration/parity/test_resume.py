"""Runs of parity over real servers: killed in the middle and begun again, they come to the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from midflight.core.keys import key_bytes
from midflight.core.mapping import mapper_for
from midflight.core.plan import Invariant
from midflight.parity.harness import Parity
from midflight.parity.levels import LEVELS
from midflight.parity.policy import Policy
from midflight.parity.ports import RunStore
from midflight.parity.records import Cause, RunRecord, State, Verdict
from midflight.sync import sync_keys
from tests.fixtures.applier import as_applier
from tests.fixtures.rig import ORDERS, Rig, order
from tests.integration.parity.parity_kit import opened
from tests.unit.parity.memory import Killed, Killer

KEYS = 400
POLICY = Policy(batch_size=40, range_size=150, parallel=2, suspects_at_once=2)


class Followed:
    """The target has everything that it will ever have."""

    async def passed(self, within_seconds: float) -> bool:
        return True


async def damaged(rig: Rig) -> None:
    """A copy with one of each: a changed row, a lost one, one too many, a lost update, a lost delete."""
    with rig.source() as source:
        source.orders.insert_many([order(number) for number in range(KEYS)])
        async with rig.bridge() as bridge:
            await sync_keys(bridge, {"orders": [key_bytes(number) for number in range(KEYS)]}, "backfill")
        source.orders.replace_one({"_id": 201}, order(201, 5))
        source.orders.delete_one({"_id": 301})
    row_key = mapper_for(ORDERS).row_key
    with as_applier(rig.postgres_dsn, rig.plan.domain) as target:
        target.execute("update shop.orders set version = 9 where id = %s", (row_key(key_bytes(3)),))
        target.execute("delete from shop.order_lines where order_id = %s", (row_key(key_bytes(101)),))
        target.execute("delete from shop.orders where id = %s", (row_key(key_bytes(101)),))
        target.execute("insert into shop.orders (id) values (%s)", (row_key(key_bytes(KEYS + 1)),))


async def what_it_came_to(store: RunStore, record: RunRecord) -> Any:
    found = await store.mismatches(record.domain, record.run, at_most=10_000)
    judged = [(one.key, one.kind, one.fields, one.cause, one.state) for one in found]
    levels = [(one.level, one.verdict, {k: v for k, v in one.details.items() if k != "token"}) for one in record.levels]
    return levels, record.entities, record.census, judged


async def test_a_killed_run_that_is_begun_again_comes_to_what_it_would_have_come_to(prepared: Rig) -> None:
    await damaged(prepared)
    async with opened(prepared, POLICY) as (parity, store):
        parity = replace(parity, barrier=Followed())
        expected = await what_it_came_to(store, await parity.run("whole"))
        counting: Any = Killer(store, 10_000, committed=False)
        await replace(parity, store=counting).run("counted")
        commits = counting.commits
        assert commits > 15
        for number in range(1, commits + 1, 3):
            run = f"killed-{number}"
            killer: Any = Killer(store, number, committed=number % 2 == 0)
            with pytest.raises(Killed):
                await replace(parity, store=killer).run(run)
            again = await what_it_came_to(store, await parity.run(run))
            assert again == expected, f"killed at commit {number} of {commits}"


async def test_each_damage_is_found_with_its_cause_and_a_watch_run_finds_it_again(prepared: Rig) -> None:
    await damaged(prepared)
    causes = {
        3: Cause.ROGUE_WRITE,
        101: Cause.ROGUE_WRITE,
        201: Cause.LOST_UPDATE,
        301: Cause.LOST_DELETE,
        KEYS + 1: Cause.ROGUE_WRITE,
    }
    expected = {key_bytes(number): cause for number, cause in causes.items()}
    async with opened(prepared, POLICY) as (parity, store):
        parity = replace(parity, barrier=Followed())
        gate = await parity.run("gate", levels=("full",))
        assert await _settled(parity, store, "gate") == expected
        assert gate.verdict is Verdict.FAIL
        watch = await parity.run("watch", mode="watch", levels=("full",))
        assert await _settled(parity, store, "watch") == expected
        assert (watch.entities[0].compared, watch.entities[0].skipped) == (3, KEYS - 1 - 3)


async def test_explain_shows_the_guard_and_the_cause(prepared: Rig) -> None:
    await damaged(prepared)
    async with opened(prepared, POLICY) as (parity, _):
        shown = await replace(parity, barrier=Followed()).explain("orders", key_bytes(3))
    assert shown.source is not None
    assert shown.target is not None
    assert shown.source.version == shown.target.version, "the guard still says that this image was applied"
    assert [one.path for one in shown.differences] == ["version"]
    assert shown.mismatch is not None
    assert shown.mismatch.cause is Cause.ROGUE_WRITE


async def test_every_level_of_an_untouched_copy_passes(prepared: Rig) -> None:
    with prepared.source() as source:
        source.orders.insert_many([order(number) for number in range(KEYS)])
    async with prepared.bridge() as bridge:
        await sync_keys(bridge, {"orders": [key_bytes(number) for number in range(KEYS)]}, "backfill")
        await bridge.target.schema.create_indexes(prepared.plan)
        for constraint in await bridge.target.schema.create_foreign_keys(prepared.plan):
            await bridge.target.schema.validate_foreign_key(prepared.plan, constraint)
    async with opened(prepared, POLICY) as (parity, _):
        parity = replace(parity, barrier=Followed())
        record = await parity.run("all", levels=LEVELS)
        assert {one.level: (one.verdict, one.reason) for one in record.levels if one.verdict is not Verdict.PASS} == {}
        counted = await parity.run("counted", levels=("census",))
        assert counted.verdict is Verdict.PASS, counted.levels
        sampled = await parity.run("sampled", levels=("sample",))
        assert sampled.verdict is Verdict.PASS, sampled.levels


async def test_an_invariant_is_checked_on_both_servers_and_names_the_labels_that_break_it(prepared: Rig) -> None:
    await damaged(prepared)
    versions = Invariant(
        name="versions",
        collection="orders",
        source=({"$group": {"_id": "$customer", "value": {"$sum": "$version"}}},),
        target="select customer, sum(version) from orders where customer is not null group by customer",
    )
    orphans = Invariant(
        name="orphans",
        target="select order_id, position from order_lines where order_id not in (select id from orders)",
    )
    async with opened(prepared, POLICY) as (parity, _):
        parity = replace(parity, barrier=Followed(), invariants=(versions, orphans))
        record = await parity.run("invariants", levels=("invariants",))
    (outcome,) = record.levels
    assert outcome.verdict is Verdict.FAIL
    assert outcome.details["versions"]["labels"] == ["customer-3", "customer-7"]
    assert outcome.details["orphans"]["broken"] == 0


async def _settled(parity: Parity, store: RunStore, run: str) -> dict[bytes, Cause]:
    found = await store.mismatches(parity.domain, run, states=(State.SETTLED,))
    return {one.key: one.cause for one in found}
