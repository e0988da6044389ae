"""The reverse tail on real servers: what the application writes at the target arrives at the source, in order."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from midflight.core.keys import key_bytes
from midflight.errors import AuthorityMoved, NotDrained
from midflight.reverse import drained_back, write_back
from midflight.sync import Bridge, sync_keys
from midflight.testing.faults import Faulty, LostAnswer, Valve, lose
from tests.fixtures.moving import at_source, at_target, back, moving, over, soon, tailing_back, version_of
from tests.fixtures.rig import Rig
from tests.fixtures.rig import order as document

PENDING = "select count(*) from midflight.dirty where seq > written_back"
TOO_EXACT = "timestamptz '2026-01-01 00:00:00.123456+00'"
"""Microseconds: no BSON date."""


def at_the_target(rig: Rig, *statements: str) -> None:
    """As the application: one transaction."""
    with psycopg.connect(rig.postgres_dsn) as connection:
        for statement in statements:
            connection.execute(statement)


def rebuilt(number: int, **changes: Any) -> dict[str, Any]:
    return {**document(number), **changes}


async def test_inserts_updates_and_deletes_of_roots_and_children_arrive_at_the_source(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        async with tailing_back(prepared) as tail:
            at_the_target(
                prepared,
                "insert into shop.orders (id, customer, total, version) values ('100', 'ada', 3, 1)",
                "insert into shop.order_lines (order_id, position, sku, quantity) values ('100', 0, 'sku', 2)",
                "update shop.orders set version = 5 where id = '2'",
                "update shop.order_lines set quantity = 9 where order_id = '3' and position = 1",
                "delete from shop.order_lines where order_id = '6'",
                "delete from shop.orders where id = '6'",
            )
            with prepared.source() as shop:
                await soon(lambda: prepared.one(PENDING) == 0, "everything to be written back")
                found = {each["_id"]: each for each in shop.orders.find()}
            assert not tail.done()
    assert found[2] == rebuilt(2, version=5)
    lines = document(3)["lines"]
    lines[1]["quantity"] = 9
    assert found[3] == rebuilt(3, lines=lines)
    assert 6 not in found
    assert found[100]["lines"] == [{"sku": "sku", "quantity": 2}]


async def test_a_write_between_the_read_and_the_clearing_of_its_mark_arrives_too(prepared: Rig) -> None:
    """Red if any mark is cleared: the second write would never reach the source."""
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        at_the_target(prepared, "update shop.orders set version = 5 where id = '2'")

        async def write_again(number: int) -> None:
            if number == 1:
                at_the_target(prepared, "update shop.orders set version = 6 where id = '2'")

        await write_back(at_target(bridge, "reverse", "written_back", before=write_again), "orders", 100)
        assert prepared.one(PENDING) == 1
        await drained_back(bridge, 5.0)
        with prepared.source() as shop:
            assert version_of(shop, 2) == 6


async def test_nothing_is_drawn_or_applied_while_the_target_is_closing(prepared: Rig) -> None:
    """The source is stale until the reverse tail has drained: whoever copied it now would undo what users were told."""
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        at_the_target(prepared, "update shop.orders set version = 5 where id = '2'")
        await bridge.target.ledger.close(prepared.plan.domain)
        with pytest.raises(AuthorityMoved):
            await sync_keys(bridge, {"orders": [key_bytes(2)]}, "repair")
        assert prepared.one("select version from shop.orders where id = '2'") == 5


@pytest.mark.parametrize("change", ["update", "delete"])
async def test_a_reverse_write_that_slept_across_the_way_back_and_over_again_changes_nothing(
    prepared: Rig, change: str
) -> None:
    """Red without the guard at the source, and without its tombstone."""
    valve = Valve()
    async with moving(prepared) as bridge, prepared.bridge() as zombie:
        await over(bridge, prepared)
        at_the_target(prepared, "update shop.orders set version = 5 where id = '2'")
        held = at_source(zombie, "reverse", "write_back", before=valve.hold)
        sleeping = asyncio.create_task(write_back(held, "orders", 100))
        await valve.reached.wait()
        if change == "delete":
            at_the_target(
                prepared,
                "delete from shop.order_lines where order_id = '2'",
                "delete from shop.orders where id = '2'",
            )
        assert (await back(bridge, prepared)).done
        with prepared.source() as shop:
            if change == "update":
                shop.orders.update_one({"_id": 2}, {"$set": {"version": 6}})
            expected = shop.orders.find_one({"_id": 2})
            assert (expected is None) == (change == "delete")
            assert (await over(bridge, prepared, epoch=3)).done
            valve.opened.set()
            await sleeping
            assert shop.orders.find_one({"_id": 2}) == expected
            assert prepared.one("select count(*) from midflight.quarantine") == 0


async def test_a_document_that_makes_no_document_does_not_stop_the_others(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        at_the_target(
            prepared,
            f"update shop.orders set placed = {TOO_EXACT} where id = '2'",
            "update shop.orders set version = 5 where id = '3'",
        )
        drained = await drained_back(bridge, 5.0)
        assert (drained.pending, drained.refused) == (1, 1)
        assert prepared.one("select refused from midflight.dirty where row_key = '2'") == (
            "a BSON date has milliseconds only, the time would be cut off"
        )
        with prepared.source() as shop:
            assert version_of(shop, 3) == 5
        at_the_target(prepared, "update shop.orders set placed = null where id = '2'")
        assert (await drained_back(bridge, 5.0)).pending == 0


async def test_a_document_that_the_source_refuses_does_not_stop_the_others(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        with prepared.source() as shop:
            shop.orders.update_many({}, [{"$set": {"customer": {"$toString": "$_id"}}}])
            shop.orders.create_index("customer", unique=True)
            await over(bridge, prepared)
            at_the_target(
                prepared,
                "update shop.orders set customer = '7' where id = '2'",
                "update shop.orders set version = 5 where id = '3'",
            )
            drained = await drained_back(bridge, 5.0)
            assert (drained.pending, drained.refused) == (1, 1)
            assert "unique index" in prepared.one("select refused from midflight.dirty where row_key = '2'")
            assert version_of(shop, 3) == 5
            await bridge.target.ledger.close("orders")
            with pytest.raises(NotDrained):
                await bridge.target.ledger.flip_back("orders", 2)


async def test_a_document_that_is_too_large_for_the_source_is_refused(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        at_the_target(prepared, "update shop.orders set customer = repeat('x', 17 * 1024 * 1024) where id = '2'")
        drained = await drained_back(bridge, 10.0)
        assert (drained.pending, drained.refused) == (1, 1)
        assert "bytes" in prepared.one("select refused from midflight.dirty")


@pytest.mark.parametrize(("port", "method"), [("reverse", "written_back"), ("reverse", "dirty")])
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_batch_that_dies_anywhere_is_done_again(prepared: Rig, port: str, method: str, side: str) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        at_the_target(prepared, "update shop.orders set version = 5 where id = '2'")
        with pytest.raises(LostAnswer):
            await write_back(at_target(bridge, port, method, **{side: lose(1)}), "orders", 100)
        await drained_back(bridge, 5.0)
        with prepared.source() as shop:
            assert version_of(shop, 2) == 5


async def test_the_answer_of_a_written_document_is_lost_and_it_is_written_once(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        at_the_target(prepared, "update shop.orders set version = 5 where id = '2'")
        with pytest.raises(LostAnswer):
            await write_back(at_source(bridge, "reverse", "write_back", after=lose(1)), "orders", 100)
        assert (await write_back(bridge, "orders", 100)).written == 1
        with prepared.source() as shop:
            assert shop.orders.find_one({"_id": 2}) == rebuilt(2, version=5)


async def test_two_reverse_tails_and_a_busy_application_end_with_the_same_in_both_stores(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)

        async def write(worker: int) -> None:
            for number in range(40):
                key = (number * 7 + worker) % 10
                statement = f"update shop.orders set version = coalesce(version, 0) + 1 where id = '{key}'"
                await asyncio.to_thread(at_the_target, prepared, statement)

        async with tailing_back(prepared), tailing_back(prepared):
            await asyncio.gather(write(0), write(1), write(2))
            await soon(lambda: prepared.one(PENDING) == 0, "everything to be written back")
        assert same(bridge, prepared)


def same(_: Bridge, rig: Rig) -> bool:
    """Whether both stores hold the same versions."""
    with rig.source() as shop:
        return {str(d["_id"]): d["version"] for d in shop.orders.find()} == dict(
            rig.query("select id, version from shop.orders")
        )


async def test_the_reverse_tail_ends_when_the_source_is_the_authority_again(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        async with tailing_back(prepared) as tail:
            assert (await back(bridge, prepared)).done
            assert (await asyncio.wait_for(tail, 5)).done


async def test_a_source_that_is_away_is_caught_up_with(prepared: Rig) -> None:
    """The failure is Temporal's to retry: the next call finds everything still pending."""
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        at_the_target(prepared, "update shop.orders set version = 5 where id = '2'")
        away = replace(
            bridge,
            source=replace(bridge.source, reverse=Faulty(bridge.source.reverse, "write_back", before=lose(1))),
        )
        with pytest.raises(LostAnswer):
            await write_back(away, "orders", 100)
        assert prepared.one(PENDING) == 1
        assert (await drained_back(bridge, 5.0)).pending == 0
