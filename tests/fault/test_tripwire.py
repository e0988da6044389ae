"""After the flip the tail is a tripwire: what nobody refused at the old authority is caught, kept and put right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.tail import TailActivities
from midflight.contracts.tail import Follow
from midflight.errors import PositionLost
from midflight.mongo.change_feed import MongoFeed
from midflight.reverse import drained_back
from midflight.testing.faults import Faulty, FaultyStores, Valve
from midflight.waiting import drained
from tests.fixtures.moving import SOON, at_source, back, moving, over, ref_of, soon, tailing, tailing_back, version_of
from tests.fixtures.rig import Rig
from tests.fixtures.rig import order as document

LATE = "select count(*) from midflight.quarantine where path = 'tripwire'"
PENDING = "select count(*) from midflight.dirty where seq > written_back"


def bypassing_write(shop: Any, number: int = 2) -> None:
    """A client that may bypass validation, and does."""
    updates = [{"q": {"_id": number}, "u": {"$set": {"version": 66}}}]
    shop.command("update", "orders", updates=updates, bypassDocumentValidation=True)


def deleted(shop: Any) -> None:
    """No validator refuses a delete."""
    shop.orders.delete_one({"_id": 2})


@pytest.mark.parametrize(("late_write", "image"), [(bypassing_write, True), (deleted, False)])
async def test_a_late_write_is_quarantined_with_its_image_and_the_source_put_right(
    prepared: Rig, late_write: Any, image: bool
) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        async with tailing_back(prepared):
            with prepared.source() as shop:
                late_write(shop)
                await soon(lambda: prepared.one(LATE) == 1, "the tripwire")
                await soon(lambda: shop.orders.find_one({"_id": 2}) == document(2), "the source to be put right")
            ((kept, reason),) = prepared.query("select image, reason from midflight.quarantine")
            assert (kept is not None) == image
            assert "past the fence" in reason
            assert prepared.query("select version from shop.orders where id = '2'") == [(0,)]
            await soon(
                lambda: (
                    prepared.query("select details ->> 'collection', details ->> 'count' from midflight.audit")
                    == [("orders", "1")]
                ),
                "the audit trail",
            )


async def test_what_the_reverse_tail_writes_is_not_late(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        async with tailing_back(prepared):
            for version in range(20):
                prepared.query(f"update shop.orders set version = {version} where id in ('2', '3') returning id")
            prepared.query("delete from shop.orders where id = '4' returning id")
            await soon(lambda: prepared.one(PENDING) == 0, "everything to be written back")
            await drained(bridge, SOON)
        assert prepared.one(LATE) == 0


async def test_after_the_way_back_the_tail_applies_again(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        assert (await back(bridge, prepared)).done
        with prepared.source() as shop:
            shop.orders.update_one({"_id": 2}, {"$set": {"version": 8}})
            shop.orders.delete_one({"_id": 3})
        await drained(bridge, SOON)
        assert prepared.query("select id, version from shop.orders where id in ('2', '3')") == [("2", 8)]
        assert prepared.one(LATE) == 0


async def test_a_change_judged_under_the_target_but_committed_after_the_way_back_is_not_late(prepared: Rig) -> None:
    """Red if the tripwire's commit does not ask who is the authority: the source's own write would be called late."""
    valve = Valve()
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
    held = FaultyStores(
        prepared.stores,
        source=lambda source: replace(source, reverse=Faulty(source.reverse, "late_writes", before=valve.hold)),
    )
    async with prepared.bridge() as bridge:
        prepared.query("update shop.orders set version = 5 where id = '2' returning id")
        await drained_back(bridge, SOON)
        async with tailing(prepared, held):
            await valve.reached.wait()
            await bridge.target.ledger.close("orders")
            await bridge.target.ledger.flip_back("orders", 2)
            await bridge.source.fence.lower_fence(["orders"])
            with prepared.source() as shop:
                shop.orders.update_one({"_id": 2}, {"$set": {"version": 8}})
            valve.opened.set()
            await drained(bridge, SOON)
        assert prepared.one("select version from shop.orders where id = '2'") == 8
        assert (prepared.one(LATE), prepared.one(PENDING)) == (0, 0)


async def test_a_delete_that_no_fence_refused_before_the_drain_counts(prepared: Rig) -> None:
    """It was accepted while the source was the authority: it is no late write."""
    async with moving(prepared) as bridge:
        with prepared.source() as shop:

            async def delete(_: int) -> None:
                shop.orders.delete_one({"_id": 2})

            handed = await over(at_source(bridge, "fence", "raise_fence", after=delete), prepared)
        assert handed.done
        await drained(bridge, SOON)
        assert prepared.query("select id from shop.orders where id = '2'") == []
        assert prepared.one(LATE) == 0


async def test_the_slice_counts_late_writes(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
    with prepared.source() as shop:
        deleted(shop)
        bypassing_write(shop, 3)
    request = Follow(ref=ref_of(prepared), slice_seconds=1.5)
    followed = await ActivityEnvironment().run(TailActivities(prepared.stores).follow, request)
    assert (followed.late, followed.done) == (2, False)


# --- a position that the source no longer holds -----------------------------------------------------------------------

LOST = MongoFeed.follow


def forgetful(monkeypatch: pytest.MonkeyPatch, rig: Rig) -> bytes:
    """The source no longer reaches back to the position that the ledger holds now."""
    ((old,),) = rig.query("select token from midflight.positions")

    def follow(self: MongoFeed, domain: str, collections: Any, token: bytes, **how: Any) -> Any:
        if token == old:
            raise PositionLost("The source no longer holds our position.")
        return LOST(self, domain, collections, token, **how)

    monkeypatch.setattr(MongoFeed, "follow", follow)
    return bytes(old)


async def test_a_lost_position_under_the_target_is_told_and_leaves_the_way_back_open(
    prepared: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red if the tripwire gives up: no mark would be passed any more, and every way back wait for one in vain."""
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
    forgetful(monkeypatch, prepared)
    async with prepared.bridge() as bridge, tailing(prepared):
        prepared.query("update shop.orders set version = 5 where id = '2' returning id")
        assert (await back(bridge, prepared)).done
        with prepared.source() as shop:
            assert version_of(shop, 2) == 5
    gaps = prepared.query("select details -> 'collections', details ->> 'next_step' from midflight.audit")
    assert [collections for collections, _ in gaps] == [["orders"]]
    assert "compare" in gaps[0][1]


async def test_a_lost_position_under_the_source_ends_the_tail(prepared: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was deleted in the gap would stay in the target for ever."""
    async with moving(prepared):
        pass
    old = forgetful(monkeypatch, prepared)
    request = Follow(ref=ref_of(prepared), slice_seconds=1.5)
    with pytest.raises(PositionLost):
        await ActivityEnvironment().run(TailActivities(prepared.stores).follow, request)
    assert prepared.query("select token from midflight.positions") == [(old,)]
