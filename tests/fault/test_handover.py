"""Handovers on real servers: finished or undone, never half, whoever dies, sleeps, lies or is late."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from midflight import handover
from midflight.core.keys import key_bytes
from midflight.core.phase import Stage
from midflight.core.routing import BUCKETS
from midflight.core.values import encode
from midflight.errors import AuthorityMoved, MidflightError, TargetUnavailable
from midflight.handover import take_back
from midflight.ports import Target
from midflight.records import Beat, WriteBack
from midflight.testing.faults import Faulty, FaultyStores, Valve, lose
from midflight.waiting import drained
from tests.fault.test_stores_away import through
from tests.fixtures.moving import (
    AT_THE_TARGET,
    BACK_AT_THE_SOURCE,
    SOON,
    as_applier,
    at_source,
    at_target,
    authority,
    back,
    fenced,
    instance,
    moving,
    over,
    version_of,
)
from tests.fixtures.proxy import proxied
from tests.fixtures.rig import Rig, order

STEPS_OVER = ["hold", "acknowledge", "fence", "drain", "verify", "flip"]
STEPS_BACK = ["hold", "acknowledge", "close", "tripwire", "drain", "flip", "release"]


async def test_a_quiet_domain_is_handed_over_and_back_and_over_again(prepared: Rig) -> None:
    """The figures are for people: no assertion hangs on time."""
    async with moving(prepared) as bridge, instance(prepared, "web-1"), instance(prepared, "web-2"):
        handed = await over(bridge, prepared)
        assert (handed.done, handed.reason, list(handed.steps)) == (True, "", STEPS_OVER)
        assert authority(prepared) == AT_THE_TARGET
        prepared.query("update shop.orders set version = 9 where id = '3' returning id")
        returned = await back(bridge, prepared)
        assert (returned.done, returned.reason, list(returned.steps)) == (True, "", STEPS_BACK)
        assert authority(prepared) == BACK_AT_THE_SOURCE
        with prepared.source() as shop:
            assert version_of(shop, 3) == 9
            shop.orders.update_one({"_id": 3}, {"$set": {"version": 10}})
        again = await over(bridge, prepared, epoch=3)
        assert again.done
        assert prepared.one("select version from shop.orders where id = '3'") == 10
        print(f"\nover  {handed.seconds:.3f} s {handed.steps}\nback  {returned.seconds:.3f} s {returned.steps}")
        print(f"again {again.seconds:.3f} s {again.steps}")


def assert_undone(rig: Rig, bridge_epoch: int = 1) -> None:
    """The source is the authority, unfenced, and takes writes; reads are where they were."""
    assert authority(rig) == ("source", bridge_epoch, "ramp", False)
    assert rig.one("select reads_bp from midflight.domains") == BUCKETS
    with rig.source() as shop:
        assert not fenced(shop)
        shop.orders.update_one({"_id": 1}, {"$set": {"version": 77}})


def assert_handed_over(rig: Rig) -> None:
    assert authority(rig) == AT_THE_TARGET
    with rig.source() as shop:
        assert fenced(shop)


# --- the way over: misses -------------------------------------------------------------------------------------------


async def test_an_instance_that_never_acknowledges_is_named_and_the_handover_undone(prepared: Rig) -> None:
    async with moving(prepared) as bridge, instance(prepared, "web-1"):
        async with instance(prepared, "web-2", lambda seen: Beat("web-2", seen, 1.0, 2, 4.1)):
            handed = await over(bridge, prepared, 0.5)
        assert not handed.done
        assert handed.late == ("web-2: write in flight for 4.1 s",)
        assert "acknowledge" in handed.reason
        assert 0.3 < handed.seconds < 1.5
        assert_undone(prepared)


async def test_an_instance_that_does_not_look_any_more_is_named(prepared: Rig) -> None:
    async with moving(prepared) as bridge, instance(prepared, "web-1", lambda _: Beat("web-1", 1, 5.0)):
        handed = await over(bridge, prepared, 2.0)
        ((late,), revision) = handed.late, prepared.one("select revision from midflight.domains")
        assert late.startswith("web-1: has not seen revision ")
        assert int(late.split("revision ")[1].split(",")[0]) < revision
        assert_undone(prepared)


async def test_an_instance_whose_lease_runs_out_is_not_waited_for(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await bridge.target.registry.poll({"orders": Beat("web-1", 1, 0.7, 1, 0.1)})
        handed = await over(bridge, prepared)
        assert handed.done
        assert handed.steps["acknowledge"] > 0.2


async def test_a_write_of_the_last_moment_is_in_the_target_when_it_becomes_the_authority(prepared: Rig) -> None:
    """Red without the drain: the tail is half a second behind."""
    late = 0.0

    async def dawdle(_: int) -> None:
        await asyncio.sleep(late)

    def dawdling(target: Target) -> Target:
        return replace(target, door=Faulty(target.door, "draw", before=dawdle))

    async with moving(prepared, tail=FaultyStores(prepared.stores, target=dawdling)) as bridge:
        with prepared.source() as shop:

            async def write(_: int) -> None:
                nonlocal late
                late = 0.5
                shop.orders.update_one({"_id": 1}, {"$set": {"version": 2}})

            handed = await over(at_source(bridge, "fence", "raise_fence", before=write), prepared)
        assert handed.done
        assert prepared.one("select version from shop.orders where id = '1'") == 2


def slow_apply(rig: Rig, seconds: float) -> None:
    """From now on every apply of an order takes so long."""
    with psycopg.connect(rig.postgres_dsn, autocommit=True) as connection:
        connection.execute(
            "create function slow() returns trigger language plpgsql as"
            f" $$ begin perform pg_sleep({seconds}); return new; end $$"
        )
        connection.execute("create trigger slow before insert or update on shop.orders execute function slow()")


async def test_a_drain_that_never_ends_is_undone(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        with prepared.source() as shop:

            async def stall(_: int) -> None:
                shop.orders.update_one({"_id": 1}, {"$set": {"version": 2}})
                slow_apply(prepared, 1)

            handed = await over(at_source(bridge, "fence", "raise_fence", before=stall), prepared, 0.6)
        assert not handed.done
        assert "did not pass mark" in handed.reason
        assert_undone(prepared)


async def test_without_a_tail_nothing_is_held_at_all(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        pass
    async with prepared.bridge() as bridge:
        handed = await over(bridge, prepared, 0.3)
        assert (handed.done, handed.steps, handed.seconds) == (False, {}, 0.0)
        assert "did not pass mark" in handed.reason
        assert_undone(prepared)


async def test_a_document_that_the_target_does_not_hold_as_it_is_undoes_the_handover(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        as_applier(prepared, "update shop.orders set version = 5 where id = '4'")
        handed = await over(bridge, prepared)
        assert not handed.done
        assert "1 of 1 changed documents differ" in handed.reason
        assert_undone(prepared)


async def test_a_document_that_goes_to_quarantine_in_the_hold_undoes_it(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        with prepared.source() as shop:

            async def write(_: int) -> None:
                shop.orders.update_one({"_id": 1}, {"$set": {"customer": "no\0text"}})

            handed = await over(at_source(bridge, "fence", "raise_fence", before=write), prepared)
        assert not handed.done
        assert "quarantine" in handed.reason
        assert_undone(prepared)


async def test_a_fence_that_somebody_lowers_in_the_hold_undoes_it(prepared: Rig) -> None:
    async with moving(prepared) as bridge:

        async def lower(_: int) -> None:
            await bridge.source.fence.lower_fence(["orders"])

        handed = await over(at_target(bridge, "rows", "keys_changed_since", before=_second(lower)), prepared)
        assert (handed.done, handed.reason) == (False, "somebody lowered the fence of orders")
        assert_undone(prepared)


def _second(hook: Any) -> Any:
    """Only at the second call: the first comes before the hold."""

    async def at_the_second(number: int) -> None:
        if number == 2:
            await hook(number)

    return at_the_second


# --- the way over: whoever dies -------------------------------------------------------------------------------------

CALLS_OVER = [
    ("target", "ledger", "set_stage"),
    ("target", "registry", "instances"),
    ("source", "fence", "raise_fence"),
    ("source", "feed", "mark"),
    ("target", "rows", "keys_changed_since"),
    ("target", "ledger", "flip"),
]
SECOND = {"mark", "keys_changed_since"}


def _at(where: str) -> Any:
    return at_source if where == "source" else at_target


@pytest.mark.parametrize(("where", "port", "method"), CALLS_OVER)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_call_that_fails_anywhere_in_the_hold_leaves_nothing_half(
    prepared: Rig, where: str, port: str, method: str, side: str
) -> None:
    number = 2 if method in SECOND else 1
    async with moving(prepared) as bridge:
        handed = await over(_at(where)(bridge, port, method, **{side: lose(number)}), prepared)
        if (method, side) == ("flip", "after"):
            assert (handed.done, handed.epoch) == (True, 2)
            assert_handed_over(prepared)
        else:
            assert not handed.done
            assert "LostAnswer" in handed.reason
            assert_undone(prepared)


@pytest.mark.parametrize(("where", "port", "method"), CALLS_OVER)
async def test_a_cancelled_attempt_undoes_itself_before_it_ends(
    prepared: Rig, where: str, port: str, method: str
) -> None:
    valve = Valve()
    hold = _second(lambda _: valve.hold(1)) if method in SECOND else valve.hold
    async with moving(prepared) as bridge:
        task = asyncio.create_task(over(_at(where)(bridge, port, method, before=hold), prepared))
        await valve.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert_undone(prepared)


@pytest.mark.parametrize(("where", "port", "method"), CALLS_OVER)
async def test_the_target_that_goes_away_in_the_hold_opens_the_source_unless_the_flip_was_asked_for(
    prepared: Rig, where: str, port: str, method: str
) -> None:
    """And the next attempt, with the target back, says how it stands."""
    place, direct = conninfo_to_dict(prepared.postgres_dsn), prepared.postgres_dsn
    async with moving(prepared), proxied(str(place["host"]), int(str(place["port"]))) as proxy:
        through(prepared, target=proxy)

        async def cut(_: int) -> None:
            await proxy.cut()

        hook = _second(cut) if method in SECOND else cut
        async with prepared.bridge() as far:
            prepared.postgres_dsn = direct
            with pytest.raises(MidflightError) as raised:
                await over(_at(where)(far, port, method, before=hook), prepared)
        assert raised.value.retryable
        with prepared.source() as shop:
            assert fenced(shop) == (method == "flip")
        async with prepared.bridge() as near:
            handed = await over(near, prepared, first=False)
        assert not handed.done
        assert_undone(prepared)


async def test_what_a_killed_worker_left_is_undone_first(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        for first in (True, False):
            await bridge.target.ledger.set_stage("orders", Stage.HOLD, BUCKETS, 0)
            await bridge.source.fence.raise_fence(["orders"])
            handed = await over(bridge, prepared, first=first)
            assert (handed.done, handed.epoch) == (False, 1)
            assert "undone" in handed.reason
            assert_undone(prepared)
        assert (await over(bridge, prepared)).done


async def test_a_second_attempt_after_the_flip_says_that_it_is_done(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        for first in (True, False):
            handed = await over(bridge, prepared, first=first)
            assert (handed.done, handed.epoch) == (True, 2)
        assert_handed_over(prepared)
        with pytest.raises(AuthorityMoved):
            await over(bridge, prepared, epoch=7)


@pytest.mark.parametrize(("where", "port", "method"), CALLS_OVER[1:])
async def test_an_attempt_that_slept_cannot_flip_once_its_successor_has_undone_it(
    prepared: Rig, where: str, port: str, method: str
) -> None:
    """Red if the flip does not name the revision of its own hold: it would happen with the fence down."""
    valve = Valve()
    hold = _second(lambda _: valve.hold(1)) if method in SECOND else valve.hold
    async with moving(prepared) as bridge, prepared.bridge() as other:
        sleeper = asyncio.create_task(over(_at(where)(bridge, port, method, before=hold), prepared, 20.0))
        await valve.reached.wait()
        assert not (await over(other, prepared, first=False)).done
        valve.opened.set()
        handed = await sleeper
        assert not handed.done
        assert_undone(prepared)


async def test_an_attempt_that_wakes_while_its_successor_undoes_it_cannot_flip(prepared: Rig) -> None:
    """Red if the fence comes down before the hold has a new revision."""
    flips, fences = Valve(), Valve()
    async with moving(prepared) as bridge, prepared.bridge() as other:
        sleeper = asyncio.create_task(over(at_target(bridge, "ledger", "flip", before=flips.hold), prepared, 20.0))
        await flips.reached.wait()
        opening = at_source(other, "fence", "lower_fence", after=fences.hold)
        undoing = asyncio.create_task(over(opening, prepared, first=False))
        await fences.reached.wait()
        flips.opened.set()
        assert not (await sleeper).done
        fences.opened.set()
        assert not (await undoing).done
        assert_undone(prepared)


async def test_a_sleeper_of_an_earlier_attempt_does_not_lower_the_fence_of_a_later_one(prepared: Rig) -> None:
    valve = Valve()
    async with moving(prepared) as bridge, prepared.bridge() as other:
        sleeper = asyncio.create_task(over(at_target(bridge, "ledger", "flip", before=valve.hold), prepared, 20.0))
        await valve.reached.wait()
        assert not (await over(other, prepared, first=False)).done
        assert (await over(other, prepared)).done
        valve.opened.set()
        await sleeper
        assert_handed_over(prepared)


async def test_an_undoing_that_slept_does_not_lower_the_fence_of_a_later_handover(prepared: Rig) -> None:
    valve = Valve()
    async with moving(prepared) as bridge, prepared.bridge() as other:
        await bridge.target.ledger.set_stage("orders", Stage.HOLD, BUCKETS, 0)
        sleeper = asyncio.create_task(take_back(at_target(bridge, "ledger", "set_stage", after=valve.hold)))
        await valve.reached.wait()
        assert not (await over(other, prepared, first=False)).done
        assert (await over(other, prepared)).done
        valve.opened.set()
        assert (await sleeper).authority == "target"
        assert_handed_over(prepared)


async def test_without_the_ledger_an_attempt_that_slept_leaves_the_fence_alone(
    prepared: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own look at the ledger fails after a long sleep, and meanwhile another handover has been finished."""
    asleep = 0.0
    monkeypatch.setattr(handover, "seconds", lambda: time.monotonic() + asleep)
    async with moving(prepared) as bridge, prepared.bridge() as other:

        async def sleep_and_fail(number: int) -> None:
            nonlocal asleep
            if number == 2:
                assert not (await over(other, prepared, first=False)).done
                assert (await over(other, prepared)).done
                asleep = 100.0
            if number > 1:
                raise TargetUnavailable("The ledger is away.")

        lost = at_source(bridge, "fence", "raise_fence", before=lose(1))
        with pytest.raises(TargetUnavailable):
            await over(at_target(lost, "ledger", "authority", before=sleep_and_fail), prepared)
        assert_handed_over(prepared)


async def test_a_hold_that_does_not_hear_its_cancellation_does_not_flip_while_it_is_undone(prepared: Rig) -> None:
    """Red without the look at `undoing` before each step: the ledger is away for who undoes, and the flip is asked for

    between the look at the fence and its end.
    """
    verifying, undoing, flipped = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def deaf(number: int) -> None:
        if number == 2:
            verifying.set()
            with suppress(asyncio.CancelledError):
                await undoing.wait()
            await undoing.wait()

    async def away(number: int) -> None:
        if number > 1:
            raise TargetUnavailable("The ledger is away.")

    async def let_flip(_: int) -> None:
        undoing.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(flipped.wait(), 2)

    async def flip(_: int) -> None:
        flipped.set()

    async with moving(prepared) as bridge:
        held = at_source(at_source(bridge, "feed", "mark", before=deaf), "fence", "lower_fence", before=let_flip)
        held = at_target(at_target(held, "ledger", "flip", after=flip), "ledger", "authority", before=away)
        attempt = asyncio.create_task(over(held, prepared, 20.0))
        await verifying.wait()
        attempt.cancel()
        with pytest.raises(TargetUnavailable):
            await attempt
        assert not (await over(bridge, prepared, first=False)).done
        assert_undone(prepared)


async def test_a_table_that_was_made_anew_gets_its_triggers_back_before_the_handover(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        without_marks(prepared)
        assert (await over(bridge, prepared)).done
        prepared.query("update shop.orders set version = 5 where id = '2' returning id")
        assert (await back(bridge, prepared)).done
        with prepared.source() as shop:
            assert version_of(shop, 2) == 5


async def test_a_table_that_marks_nothing_keeps_the_authority_at_the_target(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        without_marks(prepared)
        returned = await back(bridge, prepared)
        assert (returned.done, returned.steps) == (False, {})
        assert returned.reason.startswith("shop.orders: triggers missing or disabled: midflight_")
        assert_still_at_the_target(prepared)


def without_marks(rig: Rig) -> None:
    """As after a table was made anew from its rows: no trigger of ours marks an update."""
    with psycopg.connect(rig.postgres_dsn, autocommit=True) as connection:
        connection.execute("drop trigger midflight_mark_update on shop.orders")


async def test_undoing_after_the_flip_changes_nothing(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        assert (await take_back(bridge)).authority == "target"
        assert_handed_over(prepared)


# --- the way back ---------------------------------------------------------------------------------------------------


def assert_still_at_the_target(rig: Rig) -> None:
    assert authority(rig) == AT_THE_TARGET
    rig.query("update shop.orders set version = 99 where id = '1' returning id")
    with rig.source() as shop:
        assert fenced(shop)


def assert_back(rig: Rig) -> None:
    assert authority(rig) == BACK_AT_THE_SOURCE
    with rig.source() as shop:
        assert not fenced(shop)
        shop.orders.update_one({"_id": 1}, {"$set": {"version": 78}})


async def test_a_write_of_the_last_moment_at_the_target_is_in_the_source_when_it_is_the_authority_again(
    prepared: Rig,
) -> None:
    """Red without the drain of the marks, with and without the ledger's own look at them."""
    async with moving(prepared) as bridge:
        await over(bridge, prepared)

        async def write(_: int) -> None:
            prepared.query("update shop.orders set version = 5 where id = '2' returning id")
            prepared.query("delete from shop.order_lines where order_id = '3' returning 1")
            prepared.query("delete from shop.orders where id = '3' returning id")

        returned = await back(at_target(bridge, "ledger", "close", before=write), prepared)
        assert returned.done
        assert_back(prepared)
        with prepared.source() as shop:
            assert version_of(shop, 2) == 5
            assert shop.orders.find_one({"_id": 3}) is None


async def test_what_the_target_takes_goes_back_past_the_guards_of_an_earlier_ledger(prepared: Rig) -> None:
    """The target was replaced, its clock began anew; the source kept its guards. Red unless the clock is raised."""
    async with moving(prepared) as bridge:
        old = [WriteBack(key_bytes(n), 9_000_000_000, encode({**order(n), "version": 3})) for n in (2, 3)]
        assert await bridge.source.reverse.write_back("orders", old) == []
        await drained(bridge, SOON)
        await over(bridge, prepared)
        prepared.query("update shop.orders set version = 5 where id = '2' returning id")
        assert (await back(bridge, prepared)).done
        with prepared.source() as shop:
            assert (version_of(shop, 2), version_of(shop, 3)) == (5, 3)


async def test_an_instance_that_does_not_acknowledge_the_close_is_named_and_the_target_reopened(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        async with instance(prepared, "web-2", lambda seen: Beat("web-2", seen, 1.0, 1, 2.0)):
            returned = await back(bridge, prepared, 0.5)
        assert (returned.done, returned.late) == (False, ("web-2: write in flight for 2.0 s",))
        assert_still_at_the_target(prepared)


TOO_EXACT = "timestamptz '2026-01-01 00:00:00.123456+00'"
"""Microseconds: no BSON date."""


async def test_documents_that_the_source_refuses_are_counted_before_anything_is_closed(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        prepared.query(f"update shop.orders set placed = {TOO_EXACT} where id in ('4', '5') returning id")
        returned = await back(bridge, prepared)
        assert (returned.done, returned.steps) == (False, {})
        assert "refuses 2 documents" in returned.reason
        assert_still_at_the_target(prepared)
        prepared.query("update shop.orders set placed = null where id in ('4', '5') returning id")
        assert (await back(bridge, prepared)).done


CALLS_BACK = [
    ("target", "ledger", "hold"),
    ("target", "registry", "instances"),
    ("target", "ledger", "close"),
    ("source", "feed", "mark"),
    ("target", "reverse", "pending"),
    ("target", "ledger", "flip_back"),
]
SECOND_BACK = {"mark", "pending"}


@pytest.mark.parametrize(("where", "port", "method"), CALLS_BACK)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_call_that_fails_anywhere_on_the_way_back_leaves_nothing_half(
    prepared: Rig, where: str, port: str, method: str, side: str
) -> None:
    number = 2 if method in SECOND_BACK else 1
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        returned = await back(_at(where)(bridge, port, method, **{side: lose(number)}), prepared)
        if (method, side) == ("flip_back", "after"):
            assert (returned.done, returned.epoch) == (True, 3)
            assert_back(prepared)
        else:
            assert not returned.done
            assert_still_at_the_target(prepared)


@pytest.mark.parametrize(("where", "port", "method"), CALLS_BACK)
async def test_a_cancelled_way_back_reopens_the_target(prepared: Rig, where: str, port: str, method: str) -> None:
    valve = Valve()
    hold = _second(lambda _: valve.hold(1)) if method in SECOND_BACK else valve.hold
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        task = asyncio.create_task(back(_at(where)(bridge, port, method, before=hold), prepared))
        await valve.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert_still_at_the_target(prepared)


@pytest.mark.parametrize(("port", "method"), [("fence", "lower_fence"), ("ledger", "set_stage")])
@pytest.mark.parametrize("side", ["before", "after"])
async def test_after_the_flip_back_there_is_only_forward(prepared: Rig, port: str, method: str, side: str) -> None:
    where = "source" if port == "fence" else "target"
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        with pytest.raises(Exception, match="lost"):
            await back(_at(where)(bridge, port, method, **{side: lose(1)}), prepared)
        returned = await back(bridge, prepared, first=False)
        assert (returned.done, returned.epoch) == (True, 3)
        assert_back(prepared)
        again = await back(bridge, prepared)
        assert again.done
        assert_back(prepared)


async def test_a_way_back_that_slept_does_not_lower_the_fence_of_the_next_way_over(prepared: Rig) -> None:
    valve = Valve()
    async with moving(prepared) as bridge, prepared.bridge() as other:
        await over(bridge, prepared)
        held = at_target(bridge, "ledger", "flip_back", after=valve.hold)
        sleeper = asyncio.create_task(back(held, prepared, 20.0))
        await valve.reached.wait()
        assert (await back(other, prepared, first=False)).done
        assert (await over(other, prepared, epoch=3)).done
        valve.opened.set()
        assert (await sleeper).done
        assert authority(prepared) == ("target", 4, "target", True)
        with prepared.source() as shop:
            assert fenced(shop)


async def test_a_write_in_flight_ends_at_the_target_before_it_closes(prepared: Rig) -> None:
    """One of several transactions would be cut in half. Red where the hold closes the target at once."""
    async with moving(prepared) as bridge:
        await over(bridge, prepared)

        async def go_on(_: int) -> None:
            prepared.query("update shop.orders set version = 5 where id = '2' returning id")

        assert (await back(at_target(bridge, "registry", "instances", before=go_on), prepared)).done
        assert_back(prepared)
        with prepared.source() as shop:
            assert version_of(shop, 2) == 5


async def test_a_way_back_that_slept_does_not_close_the_target_once_its_hold_was_taken_back(prepared: Rig) -> None:
    """Red if closing does not name the revision of its own hold: a way back that was said to be undone would go on."""
    valve = Valve()
    async with moving(prepared) as bridge, prepared.bridge() as other:
        await over(bridge, prepared)
        sleeper = asyncio.create_task(back(at_target(bridge, "ledger", "close", before=valve.hold), prepared, 20.0))
        await valve.reached.wait()
        assert not (await back(other, prepared, first=False)).done
        valve.opened.set()
        assert not (await sleeper).done
        assert_still_at_the_target(prepared)


async def test_a_target_that_a_killed_worker_left_closed_is_reopened_first(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        ledger = bridge.target.ledger
        await over(bridge, prepared)
        for leave, first in ((ledger.hold, True), (ledger.close, True), (ledger.close, False)):
            await leave("orders")
            returned = await back(bridge, prepared, first=first)
            assert (returned.done, returned.epoch) == (False, 2)
            assert_still_at_the_target(prepared)
        assert (await back(bridge, prepared)).done


async def test_the_target_that_goes_away_on_the_way_back_is_reopened_by_the_next_attempt(prepared: Rig) -> None:
    place, direct = conninfo_to_dict(prepared.postgres_dsn), prepared.postgres_dsn
    async with moving(prepared) as bridge, proxied(str(place["host"]), int(str(place["port"]))) as proxy:
        await over(bridge, prepared)
        through(prepared, target=proxy)

        async def cut(_: int) -> None:
            await proxy.cut()

        async with prepared.bridge() as far:
            prepared.postgres_dsn = direct
            with pytest.raises(MidflightError) as raised:
                await back(at_target(far, "ledger", "flip_back", before=cut), prepared)
        assert raised.value.retryable
        assert not (await back(bridge, prepared, first=False)).done
        assert_still_at_the_target(prepared)
