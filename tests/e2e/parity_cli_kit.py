"""The parity commands as an operator has them: processes beside a copied shop, its tail and its writers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from midflight.core.keys import key_bytes
from midflight.core.mapping import mapper_for
from midflight.sync import sync_keys
from tests.fixtures.applier import as_applier
from tests.fixtures.cli import Ended
from tests.fixtures.forked import Command, command
from tests.fixtures.rig import ORDERS, Rig, order, until
from tests.integration.parity.churn_kit import LateTail

CLEAN, REFUSED, INTERRUPTED = 0, 4, 130
INCOMPLETE, UNDECIDED, DIFFERENT = 64 + 1, 64 + 2, 64 + 4
AT_ONCE = 500
PATIENCE_SECONDS = 0.2
"""So much later than asked for the tail may be before the writers wait for it: a busy machine writes less."""
WARM = 10

Document = dict[str, Any]


@dataclass(frozen=True)
class Office:
    """Where parity commands are typed. Temporal is not there."""

    rig: Rig
    home: Path

    async def start(self, name: str, *arguments: str) -> Command:
        """`midflight parity NAME DOMAIN ...`, at work."""
        surroundings = {
            **self.rig.environment,
            "MIDFLIGHT_TEMPORAL_ADDRESS": "127.0.0.1:1",
            "MIDFLIGHT_STATE_DIR": str(self.home / "state"),
        }
        return await command(("parity", name, self.rig.plan.domain, *arguments), surroundings, self.home)

    async def __call__(self, name: str, *arguments: str) -> Ended:
        """The same, at its end."""
        return await (await self.start(name, *arguments)).ended()

    def tamper(self, statement: str, numbers: Iterable[int] = ()) -> None:
        """Change rows behind everybody's back; `%s` stands for the row key of each number."""
        row_key = mapper_for(ORDERS).row_key
        with as_applier(self.rig.postgres_dsn, self.rig.plan.domain) as connection:
            for number in numbers:
                changed = connection.execute(statement.encode(), (row_key(key_bytes(number)),)).rowcount
                assert changed > 0, "nothing was damaged"

    def places(self, run: str) -> list[tuple[Any, ...]]:
        """Every range of the run: what was committed of it."""
        return self.rig.query(
            "select number, batches, compared, equal, done, tally - 'token' from midflight.parity_places"
            f" where run = '{run}' order by number"
        )

    async def in_the_middle(self, run: str) -> None:
        """Wait until a part of the source's range is committed, and not all of it."""
        await until(lambda: any(place[0] == 1 and place[1] > 0 for place in self.places(run)), f"a part of {run}")
        assert not all(place[4] for place in self.places(run))


async def copied(rig: Rig, numbers: Sequence[int]) -> None:
    """These orders are at the source, and have come through the door."""
    with rig.source() as source:
        source["orders"].insert_many([order(number) for number in numbers])
    async with rig.bridge() as bridge:
        await bridge.target.ledger.pin(rig.plan.domain, await bridge.source.feed.pin(["orders"]))
        for start in range(0, len(numbers), AT_ONCE):
            keys = [key_bytes(number) for number in numbers[start : start + AT_ONCE]]
            await sync_keys(bridge, {"orders": keys}, "backfill")
        for constraint in await bridge.target.schema.create_foreign_keys(rig.plan):
            await bridge.target.schema.validate_foreign_key(rig.plan, constraint)


@asynccontextmanager
async def followed(rig: Rig, lag_seconds: float) -> AsyncIterator[LateTail]:
    """The tail follows, so much later, until the end of the block."""
    async with rig.bridge() as bridge, rig.bridge() as applying:
        tail = LateTail(bridge, applying, lag_seconds)
        task = asyncio.create_task(tail.run())
        try:
            yield tail
            if task.done():
                task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@dataclass
class Till:
    """Writes orders one after the other, and keeps in mind what the source has acknowledged."""

    orders: AsyncCollection[Document]
    tail: LateTail
    numbers: Sequence[int]
    per_second: float
    patience_seconds: float
    acknowledged: dict[int, int] = field(default_factory=dict)
    written: int = 0
    closed: bool = False

    async def run(self) -> None:
        """Until it is closed; then the last write is acknowledged, too."""
        chance = random.Random(7)
        while not self.closed:
            number = chance.choice(self.numbers)
            version = self.acknowledged.get(number, 0) + 1
            await self.orders.replace_one({"_id": number}, order(number, version), upsert=True)
            self.acknowledged[number] = version
            self.written += 1
            await asyncio.sleep(1 / self.per_second)
            while self.tail.late_seconds > self.patience_seconds and not self.closed:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def written(
    rig: Rig, tail: LateTail, numbers: Sequence[int], per_second: float, *, patience_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[Till]:
    """These orders are written all the time, until the end of the block; it begins once some were."""
    async with AsyncMongoClient[Document](rig.mongo_uri) as client:
        till = Till(client[rig.database]["orders"], tail, numbers, per_second, patience_seconds)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(till.run())
            try:
                await until(lambda: till.written >= WARM, "some writes")
                yield till
            finally:
                till.closed = True
