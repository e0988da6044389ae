"""The cutover under a tail that is late, and after writes that came at the last moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from pymongo.errors import WriteError

from midflight.core.phase import Phase
from midflight.ports import Target
from midflight.settings import Settings
from midflight.testing.faults import Faulty, FaultyStores
from tests.fixtures.rig import Rig, approve, order, until_status
from worker import build_worker
from workflows.client import connect

FENCED = 121
"""The code of a document that fails validation: the fence."""


class Lateness:
    """Seconds that every apply through the door waits first."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def wait(self, _: int) -> None:
        await asyncio.sleep(self.seconds)

    def on(self, target: Target) -> Target:
        return replace(target, door=Faulty(target.door, "apply", before=self.wait))


@asynccontextmanager
async def working(rig: Rig) -> AsyncIterator[Lateness]:
    """A worker in this process, whose door can be made late.

    Stop it before its move is terminated: the SDK may wait for ever, in a shutdown, for an activity that the server
    has forgotten in the same moment. (A worker process is given up after a while, see `worker.run`.)
    """
    client = await connect(rig.temporal_address, "default")
    lateness = Lateness()
    stores = FaultyStores(rig.stores, target=lateness.on)
    names = ("TEMPORAL_ADDRESS", "TASK_QUEUE", "HEARTBEAT_THROTTLE_SECONDS")
    settings = Settings.from_environment({f"MIDFLIGHT_{name}": rig.environment[f"MIDFLIGHT_{name}"] for name in names})
    async with build_worker(client, settings, stores):
        yield lateness


def versions(rig: Rig) -> dict[str, int]:
    return dict(rig.query("select id, version from shop.orders"))


async def at_the_cutover(rig: Rig, shop: Any) -> Any:
    """A move that waits for the approval of its cutover."""
    shop.orders.insert_many([order(n) for n in range(100)])
    handle = await rig.start()
    await until_status(handle, lambda s: s.state.phase is Phase.CUTOVER and s.state.state == "waiting", "the gate")
    return handle


async def test_the_flip_waits_until_a_late_tail_has_passed_every_accepted_write(rig: Rig) -> None:
    """Red without the drain: the target would be the authority without the last writes."""
    with rig.source() as shop:
        async with working(rig) as late:
            handle = await at_the_cutover(rig, shop)
            late.seconds = 0.5
            approval = asyncio.create_task(approve(handle, "cutover"))
            written = await write_until_fenced(shop)
            await approval
            await until_status(handle, lambda s: s.state.flipped, "the flip")
        await handle.terminate()
    assert written > 0
    assert versions(rig)["1"] == written
    assert rig.query("select authority, epoch from midflight.domains") == [("target", 2)]


async def write_until_fenced(shop: Any) -> int:
    """Increase the version of order 1 until the source refuses; returns how often it was accepted."""
    accepted = 0
    while True:
        try:
            await asyncio.to_thread(shop.orders.update_one, {"_id": 1}, {"$inc": {"version": 1}})
        except WriteError as refusal:
            if refusal.code != FENCED:
                raise
            return accepted
        accepted += 1


async def test_a_drain_that_is_too_late_undoes_the_cutover_and_the_source_takes_writes_again(rig: Rig) -> None:
    rig.plan = rig.plan.model_copy(update={"limits": rig.plan.limits.model_copy(update={"cutover_seconds": 1.0})})
    with rig.source() as shop:
        async with working(rig) as late:
            handle = await at_the_cutover(rig, shop)
            late.seconds = 3.0
            await approve(handle, "cutover")
            status = await until_status(handle, lambda s: s.state.state == "attention", "the undone cutover")
            assert "The cutover was undone, nothing is lost" in status.state.problem
            assert "did not pass mark" in status.state.problem
            shop.orders.update_one({"_id": 1}, {"$set": {"version": 77}})
            assert rig.query("select authority, epoch, stage from midflight.domains") == [("source", 1, "ramp")]
            late.seconds = 0.0
        await handle.terminate()


@pytest.mark.parametrize("validator", [{}, {"version": {"$gte": 0}}])
async def test_the_validator_that_was_there_is_put_back_when_a_cutover_is_undone(rig: Rig, validator: Any) -> None:
    rig.plan = rig.plan.model_copy(update={"limits": rig.plan.limits.model_copy(update={"cutover_seconds": 0.5})})
    with rig.source() as shop:
        shop.create_collection("orders", **({"validator": validator} if validator else {}))
        async with working(rig) as late:
            handle = await at_the_cutover(rig, shop)
            late.seconds = 2.0
            await approve(handle, "cutover")
            await until_status(handle, lambda s: s.state.state == "attention", "the undone cutover")
            options = next(iter(shop.list_collections(filter={"name": "orders"})))["options"]
            assert options.get("validator", {}) == validator
            late.seconds = 0.0
        await handle.terminate()


@pytest.mark.slow
async def test_a_worker_killed_in_the_hold_is_found_out_and_the_cutover_undone(rig: Rig) -> None:
    """kill -9 between fence and flip: the next attempt opens the source again within seconds, and says so."""
    with rig.source() as shop:
        rig.start_worker(hurried=True)
        handle = await at_the_cutover(rig, shop)
        await asyncio.to_thread(slow_applies_in_the_hold, rig)
        writing = asyncio.create_task(write_until_fenced(shop))
        await approve(handle, "cutover")
        await writing
        rig.kill_workers()
        assert rig.query("select stage, authority from midflight.domains") == [("hold", "source")]
        killed = time.monotonic()
        rig.start_worker(hurried=True)
        status = await until_status(handle, lambda s: s.state.state == "attention", "the undone cutover")
        assert "an earlier attempt ended before its flip, and was undone" in status.state.problem
        assert rig.query("select stage, authority, epoch from midflight.domains") == [("ramp", "source", 1)]
        shop.orders.update_one({"_id": 1}, {"$set": {"version": 77}})
        print(f"\nundone {time.monotonic() - killed:.1f} s after the kill")
        await handle.terminate()


def slow_applies_in_the_hold(rig: Rig) -> None:
    """Every row takes more than a second in the hold; before it, a tail as late as that would not let it begin."""
    with psycopg.connect(rig.postgres_dsn, autocommit=True) as connection:
        connection.execute(
            "create function slow() returns trigger language plpgsql as $$ begin"
            " if exists (select from midflight.domains where stage = 'hold') then perform pg_sleep(1.5); end if;"
            " return new; end $$"
        )
        connection.execute("create trigger slow before insert or update on shop.orders execute function slow()")
