"""What happens between the read and the write of a batch: the last write of the source always wins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database

from midflight.core.documents import read_documents
from midflight.core.keys import key_bytes
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Batch, FeedPosition, Ticket
from midflight.errors import AuthorityMoved, Superseded
from midflight.records import KeyRange
from midflight.sync import Bridge, map_block, sync_keys
from midflight.testing.faults import Faulty, Valve
from tests.fixtures.rig import ORDERS, Rig, order

Shop = Database[dict[str, Any]]
KEY = key_bytes(7)


def _update(shop: Shop) -> None:
    shop.orders.update_one({"_id": 7}, {"$set": {"version": 2}, "$push": {"lines": {"sku": "new", "quantity": 9}}})


def _delete(shop: Shop) -> None:
    shop.orders.delete_one({"_id": 7})


def _reinsert(shop: Shop) -> None:
    shop.orders.delete_one({"_id": 7})
    shop.orders.insert_one(order(7, version=5))


CHANGES = [_update, _delete, _reinsert]


def held_at_the_door(bridge: Bridge, valve: Valve) -> Bridge:
    """The same stores; the first apply waits at the valve."""
    door = Faulty(bridge.target.door, "apply", before=valve.hold)
    return replace(bridge, target=replace(bridge.target, door=door))


async def first_block(bridge: Bridge) -> bytes:
    """The first block of a new cursor."""
    async for block in bridge.source.reader.read_range("orders", KeyRange(), above=None, batch_size=100):
        return block
    raise AssertionError("the collection is empty")


async def apply_block(bridge: Bridge, block: bytes, ticket: Ticket) -> None:
    """Apply a block as the backfill does."""
    outcomes = map_block(mapper_for(ORDERS), block)
    await bridge.target.door.apply(bridge.plan, ticket, Batch("backfill", {"orders": outcomes}))


async def assert_equal(bridge: Bridge, rig: Rig) -> None:
    """The target holds what the source holds."""
    with rig.source() as shop:
        expected = [(str(d["_id"]), d.get("version"), len(d["lines"])) for d in shop.orders.find(sort=[("_id", 1)])]
    found = rig.query(
        "select id, version, (select count(*) from shop.order_lines where order_id = id) from shop.orders order by id"
    )
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_between_read_and_write_of_a_batch_is_right_in_the_target(
    prepared: Rig, change: Callable[[Shop], None]
) -> None:
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(10)])
        async with prepared.bridge() as bridge:
            ticket = await bridge.target.door.draw("orders")
            block = await first_block(bridge)
            change(shop)
            await sync_keys(bridge, {"orders": [KEY]}, "tail")
            await apply_block(bridge, block, ticket)
            await assert_equal(bridge, prepared)


@pytest.mark.parametrize("change", CHANGES)
async def test_the_tail_after_the_batch_is_right_too(prepared: Rig, change: Callable[[Shop], None]) -> None:
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(10)])
        async with prepared.bridge() as bridge:
            ticket = await bridge.target.door.draw("orders")
            block = await first_block(bridge)
            change(shop)
            await apply_block(bridge, block, ticket)
            await sync_keys(bridge, {"orders": [KEY]}, "tail")
            await assert_equal(bridge, prepared)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_sync_that_slept_between_read_and_apply_never_restores_an_old_document(
    prepared: Rig, change: Callable[[Shop], None]
) -> None:
    """Fails if the token is drawn after the read: the sleeper's old image would carry the newest token."""
    valve = Valve()
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(10)])
        async with prepared.bridge() as sleeper, prepared.bridge() as bridge:
            held = replace(
                sleeper,
                source=replace(sleeper.source, reader=Faulty(sleeper.source.reader, "read_keys", after=valve.hold)),
            )
            sleeping = asyncio.create_task(sync_keys(held, {"orders": [KEY]}, "shadow"))
            await valve.reached.wait()
            change(shop)
            await sync_keys(bridge, {"orders": [key_bytes(n) for n in range(10)]}, "tail")
            valve.opened.set()
            await sleeping
            await assert_equal(bridge, prepared)


async def test_a_zombie_tail_cannot_harm(prepared: Rig) -> None:
    """It drew and read, timed out, and applies after its successor: nothing of it arrives, not even its position."""
    valve = Valve()
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(10)])
        async with prepared.bridge() as zombie, prepared.bridge() as bridge:
            token = await bridge.source.feed.pin(["orders"])
            await bridge.target.ledger.pin("orders", token)
            held = replace(
                zombie, target=replace(zombie.target, door=Faulty(zombie.target.door, "apply", before=valve.hold))
            )
            stale = FeedPosition(token, commits=0, mark=99)
            living_dead = asyncio.create_task(sync_keys(held, {"orders": [KEY]}, "tail", checkpoint=stale))
            await valve.reached.wait()
            _update(shop)
            await sync_keys(bridge, {"orders": [KEY]}, "tail", checkpoint=FeedPosition(token, commits=0, mark=1))
            _delete(shop)
            await sync_keys(bridge, {"orders": [KEY]}, "tail", checkpoint=FeedPosition(token, commits=1, mark=2))
            valve.opened.set()
            with pytest.raises(Superseded):
                await living_dead
            position = await bridge.target.ledger.position("orders")
            assert position is not None
            assert (position.commits, position.mark) == (2, 2)
            assert prepared.query("select id from shop.orders") == []


async def test_a_zombie_from_before_a_rollback_cannot_refill_the_emptied_target(prepared: Rig) -> None:
    valve = Valve()
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(10)])
        async with prepared.bridge() as zombie, prepared.bridge() as bridge:
            held = replace(
                zombie, target=replace(zombie.target, door=Faulty(zombie.target.door, "apply", before=valve.hold))
            )
            living_dead = asyncio.create_task(sync_keys(held, {"orders": [KEY]}, "tail"))
            await valve.reached.wait()
            await bridge.target.ledger.reset(prepared.plan)
            valve.opened.set()
            with pytest.raises(AuthorityMoved):
                await living_dead
            assert prepared.query("select id from shop.orders") == []


async def test_after_the_flip_nothing_of_the_source_is_drawn_or_applied(prepared: Rig) -> None:
    valve = Valve()
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(10)])
        async with prepared.bridge() as late, prepared.bridge() as bridge:
            held = held_at_the_door(late, valve)
            waiting = asyncio.create_task(sync_keys(held, {"orders": [KEY]}, "tail"))
            await valve.reached.wait()
            epoch = (await bridge.target.ledger.authority("orders")).epoch
            await bridge.target.ledger.flip("orders", epoch)
            valve.opened.set()
            with pytest.raises(AuthorityMoved):
                await waiting
            with pytest.raises(AuthorityMoved):
                await sync_keys(bridge, {"orders": [KEY]}, "tail")
            assert prepared.query("select id from shop.orders") == []


async def test_the_bytes_of_a_block_are_the_documents(prepared: Rig) -> None:
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(10)])
    async with prepared.bridge() as bridge:
        assert [d.key for d in read_documents(await first_block(bridge))] == [key_bytes(n) for n in range(10)]
