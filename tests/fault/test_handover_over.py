"""The way over on real servers: finished, or undone because of what the hold found or waited for in vain."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest
from pymongo.errors import WriteError

from midflight.attempt import TELL_SECONDS
from midflight.handover import UNDO_SECONDS
from midflight.ports import Target
from midflight.records import Beat
from midflight.testing.faults import Faulty, FaultyStores
from midflight.waiting import OBEYS_CANCEL_SECONDS
from tests.fixtures.handovers import assert_undone, second, without_marks
from tests.fixtures.moving import (
    AT_THE_TARGET,
    BACK_AT_THE_SOURCE,
    as_applier,
    at_source,
    at_target,
    authority,
    back,
    instance,
    moving,
    over,
    version_of,
)
from tests.fixtures.rig import Rig

STEPS_OVER = ["hold", "acknowledge", "fence", "drain", "verify", "flip"]
STEPS_BACK = ["hold", "acknowledge", "close", "tripwire", "drain", "flip", "release"]
LIMIT_SECONDS = 2.0


async def test_a_quiet_domain_is_handed_over_and_back_and_over_again(prepared: Rig) -> None:
    """The figures are for people: no assertion hangs on time."""
    async with moving(prepared) as bridge, instance(prepared, "web-1"), instance(prepared, "web-2"):
        handed = await over(bridge, prepared)
        assert (handed.done, handed.reason, list(handed.steps)) == (True, "", STEPS_OVER)
        assert authority(prepared) == AT_THE_TARGET
        with prepared.source() as shop, pytest.raises(WriteError, match="failed validation"):
            shop.orders.update_one({"_id": 3}, {"$set": {"version": 8}})
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


async def test_an_instance_that_never_acknowledges_is_named_and_the_handover_undone(prepared: Rig) -> None:
    async with moving(prepared) as bridge, instance(prepared, "web-1"):
        async with instance(prepared, "web-2", lambda seen: Beat("web-2", seen, 1.0, 2, 4.1)):
            handed = await over(bridge, prepared, LIMIT_SECONDS)
        assert not handed.done
        assert handed.late == ("web-2: write in flight for 4.1 s",)
        assert "acknowledge" in handed.reason
        waited, undone = LIMIT_SECONDS - TELL_SECONDS, LIMIT_SECONDS + OBEYS_CANCEL_SECONDS + UNDO_SECONDS
        assert waited <= handed.seconds < undone
        assert_undone(prepared)


async def test_an_instance_that_does_not_look_any_more_is_named(prepared: Rig) -> None:
    async with moving(prepared) as bridge, instance(prepared, "web-1", lambda _: Beat("web-1", 1, 5.0)):
        handed = await over(bridge, prepared, LIMIT_SECONDS)
        ((late,), revision) = handed.late, prepared.one("select revision from midflight.domains")
        assert late.startswith("web-1: has not seen revision ")
        assert int(late.split("revision ")[1].split(",")[0]) < revision
        assert_undone(prepared)


async def test_an_instance_whose_lease_runs_out_is_not_waited_for(prepared: Rig) -> None:
    """Nor for a shorter time: the source is fenced only once the lease is over."""
    leases_at_the_fence = []
    async with moving(prepared) as bridge:

        async def begin_a_write(_: int) -> None:
            await bridge.target.registry.poll({"orders": Beat("web-1", 1, 0.7, 1, 0.1)})

        async def look(_: int) -> None:
            leases_at_the_fence.append(prepared.one("select lease_until > clock_timestamp() from midflight.instances"))

        hooked = at_target(bridge, "ledger", "set_stage", before=begin_a_write)
        handed = await over(at_source(hooked, "fence", "raise_fence", before=look), prepared)
        assert handed.done
        assert leases_at_the_fence == [False]


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

        handed = await over(at_target(bridge, "rows", "keys_changed_since", before=second(lower)), prepared)
        assert (handed.done, handed.reason) == (False, "somebody lowered the fence of orders")
        assert_undone(prepared)


async def test_a_table_that_was_made_anew_gets_its_triggers_back_before_the_handover(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        without_marks(prepared)
        assert (await over(bridge, prepared)).done
        prepared.query("update shop.orders set version = 5 where id = '2' returning id")
        assert (await back(bridge, prepared)).done
        with prepared.source() as shop:
            assert version_of(shop, 2) == 5
