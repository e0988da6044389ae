"""A shop under load: writers at the source, a tail that is late on purpose, and differences planted by hand."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient, DeleteOne, ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection

from midflight.core.keys import key_bytes
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Applied, Batch, FeedPosition, Ticket
from midflight.core.plan import Plan
from midflight.parity.records import Cause
from midflight.ports import Door
from midflight.sync import Bridge, sync_keys
from tests.fixtures.applier import as_applier
from tests.fixtures.rig import Rig, order

KEYS = 3_000
HOT = 25
TOGGLING = 10
COLD = 100_000
NOBODYS = 200_000
"""Numbers of orders: churned from 0, hot at their beginning, never written from COLD, never there from NOBODYS."""
COLD_KEYS = 60
BATCH = 100
PATIENCE_SECONDS = 1.0
"""So much later than asked for the tail may be before the writers wait for it: a busy machine writes less."""

Document = dict[str, Any]


def id_of(rig: Rig, number: int) -> Any:
    """The `_id` of an order: its number, or an ObjectId where the plan wants them."""
    return ObjectId(number.to_bytes(12, "big")) if rig.plan.collections[0].key.type == "objectid" else number


def order_of(rig: Rig, number: int, version: int = 0) -> Document:
    """The order of this number."""
    return {**order(number, version), "_id": id_of(rig, number)}


@dataclass
class Churn:
    """Writes at a steady rate, a fifth of them to a few hot keys, some of them between two images."""

    rig: Rig
    orders: AsyncCollection[Document]
    tail: LateTail
    per_second: float
    chance: random.Random
    written: int = 0

    async def run(self) -> None:
        began = time.monotonic()
        while True:
            await self.orders.bulk_write([self._write() for _ in range(BATCH)], ordered=False)
            self.written += BATCH
            await asyncio.sleep(max(0.0, began + self.written / self.per_second - time.monotonic()))
            while self.tail.late_seconds > PATIENCE_SECONDS:
                began += 0.02
                await asyncio.sleep(0.02)

    def _write(self) -> ReplaceOne[Document] | DeleteOne:
        roll = self.chance.random()
        if roll < 0.05:
            number, version = self.chance.randrange(TOGGLING), self.chance.randrange(2)
        elif roll < 0.2:
            number, version = self.chance.randrange(HOT), self.written + self.chance.randrange(BATCH)
        else:
            number, version = self.chance.randrange(KEYS), self.chance.randrange(1_000_000)
            if roll < 0.25:
                return DeleteOne({"_id": id_of(self.rig, number)})
        document = order_of(self.rig, number, version)
        return ReplaceOne({"_id": document["_id"]}, document, upsert=True)


@dataclass(frozen=True)
class Held:
    """What was read and is to be applied later."""

    due: float
    plan: Plan
    ticket: Ticket
    batch: Batch


@dataclass
class SlowDoor:
    """Draws at once, and holds what is to be applied for a while: every image is as old as the lag when it arrives."""

    door: Door
    lag_seconds: float
    held: asyncio.Queue[Held] = field(default_factory=asyncio.Queue)

    async def draw(self, domain: str) -> Ticket:
        return await self.door.draw(domain)

    async def apply(self, plan: Plan, ticket: Ticket, batch: Batch) -> Applied:
        self.held.put_nowait(Held(time.monotonic() + self.lag_seconds, plan, ticket, batch))
        return Applied()


@dataclass
class LateTail:
    """Follows the feed as the tail does, but every batch comes late. `deaf`: keys that it never hears of."""

    bridge: Bridge
    applying: Bridge
    """Another connection, so that applying does not wait for following."""
    lag_seconds: float
    deaf: set[bytes] = field(default_factory=set)
    applied: int = 0
    late_seconds: float = 0.0
    """How much later than it should the last batch was applied."""

    async def run(self) -> None:
        door = SlowDoor(self.bridge.target.door, self.lag_seconds)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(replace(self.bridge, target=replace(self.bridge.target, door=door))))
            tasks.create_task(self._apply(door.held))

    async def _listen(self, slow: Bridge) -> None:
        domain = slow.plan.domain
        position = await slow.target.ledger.position(domain)
        assert position is not None
        commits, mark = position.commits, position.mark
        follow = slow.source.feed.follow(domain, ["orders"], position.token, at_most=500, wait_seconds=0.1)
        async with follow as changes:
            async for changed in changes:
                mark = max(mark, changed.mark or 0)
                checkpoint = FeedPosition(changed.token, commits, mark, changed.events)
                keys = {name: [key for key in of_one if key not in self.deaf] for name, of_one in changed.keys.items()}
                await sync_keys(slow, keys, "tail", after=changed.after, checkpoint=checkpoint)
                commits += 1

    async def _apply(self, waiting: asyncio.Queue[Held]) -> None:
        while True:
            held = await waiting.get()
            await asyncio.sleep(max(0.0, held.due - time.monotonic()))
            await self.applying.target.door.apply(held.plan, held.ticket, held.batch)
            self.applied += sum(map(len, held.batch.outcomes.values()))
            self.late_seconds = time.monotonic() - held.due if waiting.qsize() else 0.0


@dataclass
class Vandal:
    """Plants one real difference at a time, and takes it back through the door."""

    rig: Rig
    bridge: Bridge
    orders: AsyncCollection[Document]
    tail: LateTail
    planted: int = 0

    async def plant(self) -> tuple[bytes, Cause]:
        """The key that differs now, and the cause that a run should give."""
        kinds: list[tuple[Callable[[int], Any], Cause]] = [
            (self._change_a_row, Cause.ROGUE_WRITE),
            (self._miss_an_update, Cause.LOST_UPDATE),
            (self._add_a_row, Cause.ROGUE_WRITE),
            (self._miss_a_delete, Cause.LOST_DELETE),
            (self._change_a_line, Cause.ROGUE_WRITE),
            (self._remove_a_row, Cause.ROGUE_WRITE),
        ]
        damage, cause = kinds[self.planted % len(kinds)]
        # With three lines, so that there are lines to be changed.
        number = (NOBODYS if damage == self._add_a_row else COLD) + 4 * self.planted + 3
        self.planted += 1
        await damage(number)
        return self._key(number), cause

    async def mend(self, key: bytes) -> None:
        self.tail.deaf.discard(key)
        await sync_keys(self.bridge, {"orders": [key]}, "repair")

    async def _change_a_row(self, number: int) -> None:
        await self._at_target("update shop.orders set version = version + 1 where id = %s", number)

    async def _change_a_line(self, number: int) -> None:
        await self._at_target("update shop.order_lines set quantity = 77 where order_id = %s and position = 1", number)

    async def _add_a_row(self, number: int) -> None:
        await self._at_target("insert into shop.orders (id, customer) values (%s, 'nobody')", number)

    async def _remove_a_row(self, number: int) -> None:
        await self._at_target("delete from shop.order_lines where order_id = %s", number)
        await self._at_target("delete from shop.orders where id = %s", number)

    async def _miss_an_update(self, number: int) -> None:
        self.tail.deaf.add(self._key(number))
        document = order_of(self.rig, number, 1)
        await self.orders.replace_one({"_id": document["_id"]}, document)

    async def _miss_a_delete(self, number: int) -> None:
        self.tail.deaf.add(self._key(number))
        await self.orders.delete_one({"_id": id_of(self.rig, number)})

    async def _at_target(self, statement: str, number: int) -> None:
        def run() -> int:
            with as_applier(self.rig.postgres_dsn, self.bridge.plan.domain) as connection:
                return connection.execute(statement, (row_key,)).rowcount

        row_key = mapper_for(self.rig.plan.collections[0]).row_key(self._key(number))
        assert await asyncio.to_thread(run) > 0, "nothing was damaged"

    def _key(self, number: int) -> bytes:
        return key_bytes(id_of(self.rig, number))


@dataclass
class Load:
    """The shop at work."""

    churn: Churn
    tail: LateTail
    vandal: Vandal
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def warm(self) -> None:
        """Wait until writes are under way to the target."""
        end = time.monotonic() + 60
        while self.tail.applied < self.churn.per_second:
            self.alive()
            assert time.monotonic() < end, "the tail applied hardly anything for a minute"
            await asyncio.sleep(0.02)

    def alive(self) -> None:
        """Raise what ended one of the tasks, if one has ended."""
        for task in self.tasks:
            if task.done():
                task.result()

    async def calm(self) -> None:
        """No more writes."""
        await _end(self.tasks[0])


@asynccontextmanager
async def under_load(rig: Rig, *, per_second: float, lag_seconds: float, seed: int) -> AsyncIterator[Load]:
    """The shop is copied; then writers, and a tail that is late, until the end of the block."""
    async with (
        rig.bridge() as bridge,
        rig.bridge() as applying,
        AsyncMongoClient[Document](rig.mongo_uri) as client,
    ):
        orders = client[rig.database]["orders"]
        numbers = [*range(KEYS), *range(COLD, COLD + 4 * COLD_KEYS)]
        await orders.insert_many([order_of(rig, number) for number in numbers])
        await bridge.target.ledger.pin(rig.plan.domain, await bridge.source.feed.pin(["orders"]))
        for start in range(0, len(numbers), 500):
            keys = [key_bytes(id_of(rig, number)) for number in numbers[start : start + 500]]
            await sync_keys(bridge, {"orders": keys}, "backfill")
        tail = LateTail(bridge, applying, lag_seconds)
        load = Load(
            Churn(rig, orders, tail, per_second, random.Random(seed)), tail, Vandal(rig, applying, orders, tail)
        )
        load.tasks = [asyncio.create_task(load.churn.run()), asyncio.create_task(load.tail.run())]
        try:
            yield load
        finally:
            for task in load.tasks:
                await _end(task)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
