"""A domain of two collections behind the library: real stores, repositories as a team writes them, a controller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from midflight.core.keys import key_bytes
from midflight.core.phase import Stage
from midflight.core.plan import Plan
from midflight.core.routing import Side
from midflight.gateway import AsyncDomain, AsyncGateway, Policy
from midflight.mongo.client import source_in
from midflight.ports import Source, Target
from midflight.postgres.connection import open_target
from midflight.records import AuthorityRow, KeyRange
from midflight.sync import Bridge, sync_keys

DOMAIN = "purse"
SOON = 10.0
QUICK = Policy(poll_seconds=0.2, lease_seconds=2.0, park_seconds=5.0, start_seconds=5.0, shadow_seconds=1.0)

PURSES = {
    "collection": "purses",
    "table": "purses",
    "key": {"column": "id", "type": "text"},
    "fields": [
        {"field": "owner", "column": "owner", "type": "text"},
        {"field": "points", "column": "points", "type": "bigint"},
    ],
}
NOTES = {
    "collection": "notes",
    "table": "notes",
    "key": {"column": "id", "type": "text"},
    "fields": [{"field": "text", "column": "text", "type": "text"}],
}


def purse_plan(database: str) -> Plan:
    return Plan.model_validate(
        {
            "domain": DOMAIN,
            "source": {"store": "mongo", "database": database},
            "target": {"store": "postgres"},
            "collections": [PURSES, NOTES],
        }
    )


@dataclass
class World:
    """Both stores, opened by the test itself; the ledger with the plan; the controller's side of the registry."""

    mongo_uri: str
    dsn: str
    plan: Plan
    database: AsyncDatabase[dict[str, Any]]
    source: Source
    target: Target
    look: psycopg.AsyncConnection[tuple[Any, ...]]

    async def stage(self, stage: Stage, reads_bp: int = 0, dark_reads_bp: int = 0) -> AuthorityRow:
        return await self.target.ledger.set_stage(DOMAIN, stage, reads_bp, dark_reads_bp)

    async def flip(self) -> int:
        row = await self.target.ledger.authority(DOMAIN)
        return await self.target.ledger.flip(DOMAIN, row.epoch)

    async def fence(self) -> None:
        await self.source.fence.raise_fence(["purses", "notes"])

    async def unfence(self) -> None:
        await self.source.fence.lower_fence(["purses", "notes"])

    async def drain(self) -> None:
        """What the tail would do, and the reverse tail's contrary: everything of the source is in the target."""
        keys = [key_bytes(each["_id"]) async for each in self.database["purses"].find({}, {"_id": 1})]
        await sync_keys(Bridge(self.source, self.target, self.plan), {"purses": keys}, "tail")

    async def pass_marks(self) -> None:
        """What the tail would do: all marks written so far are applied, with everything before them."""
        await self.drain()
        found = await self.database["midflight_marks"].find_one({"_id": DOMAIN})
        number = int(found["n"]) if found else 0
        await self.look.execute("update midflight.positions set mark = %s where domain = %s", (number, DOMAIN))

    async def floor_reached(self, gateway: AsyncGateway) -> None:
        """Let the tail go on until this context has no floor: marks that are written only now are passed too."""

        async def reached() -> bool:
            await self.pass_marks()
            return gateway.floor() == ""

        await until(reached, "the floor is reached")

    async def be_silent(self) -> None:
        """From now on the ledger tells nobody that a route has changed: only the clock makes an instance poll."""
        query = b"select pg_get_functiondef('midflight.note_change'::regproc)"
        [[text]] = await (await self.look.execute(query)).fetchall()
        assert "perform pg_notify" in text
        await self.look.execute(text.replace("perform pg_notify", "-- perform pg_notify").encode())

    async def acknowledged(self, revision: int) -> bool:
        found = await self.target.registry.instances(DOMAIN)
        return bool(found) and all(each.acknowledges(revision) for each in found)

    async def source_points(self, name: str) -> int | None:
        found = await self.database["purses"].find_one({"_id": name})
        return None if found is None else int(found["points"])

    async def target_points(self, name: str) -> int | None:
        found = await (await self.look.execute("select points from purses where id = %s", (name,))).fetchone()
        return None if found is None else int(found[0])


@dataclass
class Gate:
    """Where a test stops a function: it tells that it has come, and waits until it is opened."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_through(self) -> None:
        self.reached.set()
        await self.opened.wait()


@dataclass
class App:
    """One process of the application: a gateway and two repositories behind it. `calls` says where calls went."""

    world: World
    gateway: AsyncGateway
    domain: AsyncDomain[str]
    pool: psycopg.AsyncConnection[tuple[Any, ...]]
    calls: list[tuple[str, Side]] = field(default_factory=list)
    before_source_write: Callable[[], Awaitable[None]] | None = None
    after_source_write: Callable[[], Awaitable[None]] | None = None
    before_target_read: Callable[[], Awaitable[None]] | None = None
    before_source_read: Callable[[], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        reading = self.domain.read(entity=lambda name: name, target=self.points_of_target, name="points")
        writing = self.domain.write(
            entities=lambda name, points: [name],
            target=self.put_at_target,
            keys=lambda name, points: {"purses": [name]},
            name="put",
        )
        self.points = reading(self.points_of_source)
        self.put = writing(self.put_at_source)

    async def points_of_source(self, name: str) -> int | None:
        self.calls.append(("points", Side.SOURCE))
        if self.before_source_read:
            await self.before_source_read()
        return await self.world.source_points(name)

    async def points_of_target(self, name: str) -> int | None:
        self.calls.append(("points", Side.TARGET))
        if self.before_target_read:
            await self.before_target_read()
        found = await (await self.pool.execute("select points from purses where id = %s", (name,))).fetchone()
        return None if found is None else int(found[0])

    async def put_at_source(self, name: str, points: int) -> str:
        self.calls.append(("put", Side.SOURCE))
        if self.before_source_write:
            await self.before_source_write()
        await self.world.database["purses"].update_one({"_id": name}, {"$set": {"points": points}}, upsert=True)
        if self.after_source_write:
            await self.after_source_write()
        return "source"

    async def put_at_target(self, name: str, points: int) -> str:
        self.calls.append(("put", Side.TARGET))
        await self.pool.execute(
            "insert into purses (id, points) values (%s, %s) on conflict (id) do update set points = excluded.points",
            (name, points),
        )
        return "target"

    def sides(self, operation: str) -> list[Side]:
        return [side for name, side in self.calls if name == operation]

    async def sees(self, stage: Stage, reads_bp: int = 0) -> None:
        await self.domain.ready()
        await until(lambda: (self.domain.route.stage, self.domain.route.reads_bp) == (stage, reads_bp), f"{stage}")


@asynccontextmanager
async def open_world(mongo_uri: str, database: str, dsn: str, *, fenced_target: bool = False) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        client: AsyncMongoClient[dict[str, Any]] = await stack.enter_async_context(AsyncMongoClient(mongo_uri))
        target = await stack.enter_async_context(open_target(dsn))
        look = await stack.enter_async_context(await psycopg.AsyncConnection.connect(dsn, autocommit=True))
        plan = purse_plan(database)
        for each in plan.collections:
            await client[database].create_collection(each.collection)
        await target.schema.install_ledger()
        await target.ledger.register(plan)
        await target.schema.create_tables(plan)
        if fenced_target:
            await target.fence.install(plan)
        for each in plan.collections:
            await target.ledger.put_partitions(DOMAIN, each.collection, [KeyRange()])
        await target.ledger.pin(DOMAIN, b"start")
        yield World(mongo_uri, dsn, plan, client[database], source_in(client, database), target, look)


@asynccontextmanager
async def open_app(
    world: World, *, ledger: str = "", source: str = "", policy: Policy = QUICK, pool: str = ""
) -> AsyncIterator[App]:
    """`ledger`, `source`, `pool`: other ways to the same servers, such as a proxy's."""
    async with (
        await psycopg.AsyncConnection.connect(pool or world.dsn, autocommit=True) as connection,
        AsyncGateway(ledger=ledger or world.dsn, source=source or world.mongo_uri, policy=policy) as gateway,
    ):
        yield App(world, gateway, gateway.domain(DOMAIN, entity=str), connection)


async def until(condition: Callable[[], bool | Awaitable[bool]], why: str) -> None:
    """Look until the condition holds."""
    end = time.monotonic() + SOON
    while True:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < end, f"waited {SOON:g} s in vain for: {why}"
        await asyncio.sleep(0.01)
