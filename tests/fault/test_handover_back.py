"""The way back on real servers: what the target took is at the source, or the target stays in charge."""

from __future__ import annotations

from midflight.core.keys import key_bytes
from midflight.core.values import encode
from midflight.records import Beat, WriteBack
from midflight.waiting import drained
from tests.fixtures.handovers import assert_back, assert_still_at_the_target, without_marks
from tests.fixtures.moving import SOON, at_target, back, instance, moving, over, version_of
from tests.fixtures.rig import Rig, order

TOO_EXACT = "timestamptz '2026-01-01 00:00:00.123456+00'"
"""Microseconds: no BSON date."""


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


async def test_an_instance_that_does_not_acknowledge_the_close_is_named_and_the_target_reopened(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        async with instance(prepared, "web-2", lambda seen: Beat("web-2", seen, 1.0, 1, 2.0)):
            returned = await back(bridge, prepared, 0.5)
        assert (returned.done, returned.late) == (False, ("web-2: write in flight for 2.0 s",))
        assert_still_at_the_target(prepared)


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


async def test_a_table_that_marks_nothing_keeps_the_authority_at_the_target(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        without_marks(prepared)
        returned = await back(bridge, prepared)
        assert (returned.done, returned.steps) == (False, {})
        assert returned.reason.startswith("shop.orders: triggers missing or disabled: midflight_")
        assert_still_at_the_target(prepared)
