"""Two applications, a move's machinery and both real servers, driven one step at a time.

Every step runs to its end before the next begins, but for those that are *stalled*: they stop just before their last
call to a store, and go on whenever somebody wakes them, however late. That is what a process does that was stopped with
SIGSTOP, a retry whose first attempt still lives, or a worker that was given up for dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import psycopg
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import WriteError

from midflight.contracts.base import DomainRef
from midflight.contracts.cutover import HandBack, HandedOver, HandOver
from midflight.core.keys import key_bytes
from midflight.core.outcome import FeedPosition
from midflight.core.phase import Stage
from midflight.core.plan import Child, CollectionMap, FieldMap, KeyMap, Plan, SourcePlace, TargetPlace
from midflight.core.routing import Route, Side, write_side
from midflight.errors import AuthorityMoved, SourceUnavailable, Superseded, TargetUnavailable
from midflight.handover import hand_back, hand_over, take_back
from midflight.mongo.client import open_source
from midflight.postgres.connection import open_target
from midflight.records import Beat, Changed
from midflight.reverse import drained_back, write_back_all
from midflight.sync import Bridge, sync_keys
from midflight.testing.faults import Faulty, LostAnswer, Valve, lose

DOMAIN = "things"
COLLECTION = CollectionMap(
    collection="things",
    table="things",
    key=KeyMap(column="id", type="text"),
    fields=(FieldMap(field="n", column="n", type="bigint"),),
    children=(
        Child(
            array="parts",
            table="parts",
            parent_key="thing",
            fields=(FieldMap(field=".", column="part", type="bigint"),),
        ),
    ),
)
KEYS = ("a", "b", "c")
_ALL = [key_bytes(key) for key in KEYS]
LEASE_SECONDS = 60.0
HOLD_SECONDS = 0.8
EMPTY_FEED_SECONDS = 0.02
"""How long a step of the tail waits for events where there are none: what was written is there at once."""
REFUSED_BY_TRIGGER = "MF001"
SOON = 20.0

Document = dict[str, Any]
Truth = dict[str, int | None]


class Stale(AssertionError):
    """A store accepted a write that it should have refused."""


@dataclass
class Application:
    """One process: the route it believes in, and the revisions that its stalled writes obey."""

    name: str
    route: Route | None = None
    flying: list[int] = field(default_factory=list)

    def beat(self) -> Beat:
        """What it says with a poll."""
        seen = self.route.revision if self.route else 0
        return Beat(self.name, seen, LEASE_SECONDS, min(self.flying, default=None), 0.0 if self.flying else None)


@dataclass
class Stalled:
    """A step that has stopped before its last call."""

    valve: Valve
    task: asyncio.Task[Any]

    async def wake(self) -> None:
        """Let it go on, and wait for its end; that it was refused is what should happen."""
        self.valve.opened.set()
        with suppress(AuthorityMoved, Superseded, LostAnswer):
            await asyncio.wait_for(self.task, SOON)


def things(database: str) -> Plan:
    """The plan of the only collection."""
    return Plan(
        domain=DOMAIN,
        source=SourcePlace(store="mongo-main", database=database),
        target=TargetPlace(store="pg-main", schema_="shop"),
        collections=(COLLECTION,),
    )


def image(key: str, value: int) -> Document:
    """The document of a value; its child rows follow from it. Never an empty array: no rows come back as no field."""
    return {"_id": key, "n": value, "parts": [value + step for step in range(value % 3 + 1)]}


async def away(number: int) -> None:
    """A hook: the store does not answer the first call."""
    if number == 1:
        raise TargetUnavailable("The store is away.")


@dataclass(frozen=True)
class Intrusion:
    """What comes between two steps of a handover: before a call of a port, or instead of its answer."""

    call: str  # port and method, as `ledger.flip`
    what: Literal["sleeper", "write", "sync", "lost answer", "failure"]

    def into(self, world: World) -> Bridge:
        """The world's stores, with this between."""
        port, method = self.call.split(".")
        hooks = {
            "sleeper": {"before": world.intrude_sleeper},
            "write": {"before": world.intrude_write},
            "sync": {"before": world.intrude_sync},
            "lost answer": {"after": away},
            "failure": {"before": away},
        }
        source, target = world.bridge.source, world.bridge.target
        if port == "marks":
            target = replace(target, reverse=Faulty(target.reverse, method, **hooks[self.what]))
        elif port in ("fence", "reverse", "feed"):
            source = replace(source, **{port: Faulty(getattr(source, port), method, **hooks[self.what])})
        else:
            target = replace(target, **{port: Faulty(getattr(target, port), method, **hooks[self.what])})
        return replace(world.bridge, source=source, target=target)


class World:
    """Both stores, and everything that moves between them."""

    def __init__(self, mongo_uri: str, database: str, dsn: str) -> None:
        self._mongo_uri, self._database, self._dsn = mongo_uri, database, dsn
        self._stack, self._following = AsyncExitStack(), AsyncExitStack()
        self.plan = things(database)
        self.truth: Truth = {}
        self.applications: list[Application] = []
        self.stalled: list[Stalled] = []
        self.writes = 0
        self.copied = False

    # --- opening, resetting, closing ---------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, and make ledger and tables."""
        source = await self._stack.enter_async_context(open_source(self._mongo_uri, self._database))
        target = await self._stack.enter_async_context(open_target(self._dsn))
        self.bridge = Bridge(source, target, self.plan)
        self._client: AsyncMongoClient[Document] = AsyncMongoClient(self._mongo_uri)
        self._stack.push_async_callback(self._client.close)
        self._postgres = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
        self._stack.push_async_callback(self._postgres.close)
        await self._client[self._database].create_collection("things")
        await target.schema.install_ledger()
        await target.ledger.register(self.plan)
        await target.schema.create_tables(self.plan)

    @property
    def things(self) -> AsyncCollection[Document]:
        """The application's collection through its own client."""
        return self._client[self._database]["things"]

    async def reset(self) -> None:
        """A new domain: a few documents, the position pinned, stage `shadow`, two applications."""
        await self.wake_all()
        await self._following.aclose()
        await self.bridge.source.fence.lower_fence(["things"])
        await self.bridge.source.reverse.forget_guards(["things"])
        await self.things.delete_many({})
        await self._forget_everything()
        self.truth = {key: number for number, key in enumerate(KEYS[:2])}
        await self.things.insert_many([image(key, value or 0) for key, value in self.truth.items()])
        self.writes, self.copied = 100, False
        token = await self.bridge.source.feed.pin(["things"])
        await self.bridge.target.ledger.pin(DOMAIN, token)
        await self.bridge.target.ledger.set_stage(DOMAIN, Stage.SHADOW, 0, 0)
        self.applications = [Application("web-1"), Application("web-2")]
        await self.follow()

    async def _forget_everything(self) -> None:
        async with self._postgres.transaction():
            await self._postgres.execute("select set_config('midflight.applier', %s, true)", (DOMAIN,))
            await self._postgres.execute("truncate shop.things, shop.parts")
            for table in ("guards", "dirty", "quarantine", "positions", "partitions", "instances"):
                await self._postgres.execute(f"delete from midflight.{table}")
            await self._postgres.execute(
                "update midflight.domains set authority = 'source', accepting = false, stage = 'off',"
                " reads_bp = 0, epoch = epoch + 1"
            )

    async def close(self) -> None:
        """End everything."""
        await self.wake_all()
        await self._following.aclose()
        await self._stack.aclose()

    # --- the applications --------------------------------------------------------------------------------------

    async def poll(self, application: Application) -> Route:
        """Renew the lease, acknowledge, believe the route."""
        routes = await self.bridge.target.registry.poll({DOMAIN: application.beat()})
        application.route = routes[DOMAIN]
        return application.route

    async def write(self, application: Application, key: str, *, delete: bool) -> Side | None:
        """One whole write where the application believes that it belongs; None where it is held or refused."""
        route = application.route or await self.poll(application)
        side = write_side(route)
        if side is None:
            return None
        return side if await self._put(side, key, self._next_value(delete)) else None

    async def stall_write(self, application: Application, key: str, *, delete: bool, stopped: bool) -> None:
        """The application has decided where to write, and sleeps. `stopped`: its lease has run out meanwhile."""
        route = application.route or await self.poll(application)
        side = write_side(route)
        if side is None:
            return
        valve, value = Valve(), self._next_value(delete)
        if not stopped:
            application.flying.append(route.revision)
        else:
            await self.bridge.target.registry.leave(DOMAIN, application.name)

        async def late() -> None:
            await valve.hold(1)
            await self._put(side, key, value)
            if not stopped:
                application.flying.remove(route.revision)

        self._remember(valve, late())
        if stopped:
            application.name, application.route = f"{application.name}+", None

    def _next_value(self, delete: bool) -> int | None:
        self.writes += 1
        return None if delete else self.writes

    async def _put(self, side: Side, key: str, value: int | None) -> bool:
        """Write at the store; what it accepts is the truth, and only the authority may accept."""
        put = self._put_source if side is Side.SOURCE else self._put_target
        if not await put(key, value):
            return False
        authority = (await self.bridge.target.ledger.authority(DOMAIN)).authority
        if authority != side:
            raise Stale(f"the {side} accepted a write while the {authority} is the authority")
        self.truth[key] = value
        return True

    async def _put_source(self, key: str, value: int | None) -> bool:
        """False where the fence refuses. A delete touches the document first: no validator would refuse it alone."""
        try:
            if value is not None:
                await self.things.replace_one({"_id": key}, image(key, value), upsert=True)
                return True
            async with self._client.start_session() as session, await session.start_transaction():
                await self.things.update_one({"_id": key}, {"$set": {"n": -1}}, upsert=True, session=session)
                await self.things.delete_one({"_id": key}, session=session)
        except WriteError as error:
            if error.code != 121:
                raise
            return False
        return True

    async def _put_target(self, key: str, value: int | None) -> bool:
        """False where the trigger refuses."""
        try:
            async with self._postgres.transaction():
                await self._postgres.execute("delete from shop.parts where thing = %s", (key,))
                if value is None:
                    await self._postgres.execute("delete from shop.things where id = %s", (key,))
                    return True
                await self._postgres.execute(
                    "insert into shop.things (id, n) values (%s, %s) on conflict (id) do update set n = excluded.n",
                    (key, value),
                )
                for position, part in enumerate(image(key, value)["parts"]):
                    await self._postgres.execute(
                        "insert into shop.parts (thing, position, part) values (%s, %s, %s)", (key, position, part)
                    )
        except psycopg.Error as error:
            if error.sqlstate != REFUSED_BY_TRIGGER:
                raise
            return False
        return True

    # --- forward -----------------------------------------------------------------------------------------------

    async def shadow(self, key: str, *, stall: bool) -> None:
        """Sync the key, as after a write; stalled, it applies later or never."""
        await self._forward(lambda bridge: sync_keys(bridge, {"things": [key_bytes(key)]}, "shadow"), stall=stall)

    async def backfill(self, *, stall: bool) -> None:
        """Copy everything: one draw, one cursor."""

        async def copy(bridge: Bridge) -> None:
            keys = [key_bytes(document["_id"]) async for document in self.things.find({}, {"_id": 1})]
            await sync_keys(bridge, {"things": keys}, "backfill")

        await self._forward(copy, stall=stall)
        self.copied = self.copied or not stall

    async def _forward(self, run: Callable[[Bridge], Awaitable[Any]], *, stall: bool) -> None:
        with suppress(AuthorityMoved, Superseded):
            if not stall:
                await run(self.bridge)
                return
            valve = Valve()
            door = Faulty(self.bridge.target.door, "apply", before=valve.hold)
            await self._stall(valve, run(replace(self.bridge, target=replace(self.bridge.target, door=door))))

    async def follow(self) -> None:
        """Follow the feed from the committed position, as a tail that starts."""
        await self._following.aclose()
        self._following = AsyncExitStack()
        position = await self.bridge.target.ledger.position(DOMAIN)
        assert position is not None
        feed = self.bridge.source.feed
        following = feed.follow(DOMAIN, ["things"], position.token, at_most=100, wait_seconds=EMPTY_FEED_SECONDS)
        self._changes = await self._following.enter_async_context(following)
        self.position = position

    async def tail(self, *, stall: bool = False, lost: bool = False) -> Changed:
        """Bring what the feed has, to the applier or to the tripwire; afterwards the position has moved, or not."""
        changed = await anext(self._changes)
        await self._pass_on(changed, stall=stall, lost=lost)
        return changed

    async def _pass_on(self, changed: Changed, *, stall: bool, lost: bool) -> None:
        position = self._checkpoint(changed)
        if (await self.bridge.target.ledger.authority(DOMAIN)).authority == "target":
            await self._trip(changed, position)
            return

        async def run(bridge: Bridge) -> None:
            await sync_keys(bridge, changed.keys, "tail", after=changed.after, checkpoint=position)

        if lost:
            door = Faulty(self.bridge.target.door, "apply", after=lose(1))
            with suppress(LostAnswer, AuthorityMoved, Superseded):
                await run(replace(self.bridge, target=replace(self.bridge.target, door=door)))
        else:
            await self._forward(run, stall=stall)
        if stall or lost:
            await self.follow()  # the next attempt knows only what is committed
        else:
            self._moved(changed)

    async def _trip(self, changed: Changed, position: FeedPosition) -> None:
        late = {name: await self.bridge.source.reverse.late_writes(name, keys) for name, keys in changed.keys.items()}
        assert not any(late.values()), "a write of the reverse tail was taken for a late write"
        with suppress(AuthorityMoved):
            await self.bridge.target.reverse.late(self.plan, position, late)
            self._moved(changed)

    def _checkpoint(self, changed: Changed) -> FeedPosition:
        mark = max(self.position.mark, changed.mark or 0)
        return FeedPosition(changed.token, self.position.commits, mark, changed.events)

    def _moved(self, changed: Changed) -> None:
        mark = max(self.position.mark, changed.mark or 0)
        self.position = replace(self.position, token=changed.token, commits=self.position.commits + 1, mark=mark)

    # --- back --------------------------------------------------------------------------------------------------

    async def carry_back(self, *, stall: bool = False, lost: bool = False) -> None:
        """One batch of the reverse tail."""
        reverse: Any = self.bridge.source.reverse
        if not stall:
            hook = lose(1) if lost else None
            faulty = replace(self.bridge.source, reverse=Faulty(reverse, "write_back", after=hook))
            with suppress(LostAnswer):
                await write_back_all(replace(self.bridge, source=faulty))
            return
        valve = Valve()
        held = replace(self.bridge.source, reverse=Faulty(reverse, "write_back", before=valve.hold))
        await self._stall(valve, write_back_all(replace(self.bridge, source=held)))

    # --- handovers ---------------------------------------------------------------------------------------------

    async def hand_over(self, intrusion: Intrusion | None) -> HandedOver | None:
        """Source to target, with somebody or something coming between; None where a gate would be shut."""
        row = await self.bridge.target.ledger.authority(DOMAIN)
        if row.authority != "source" or not self.copied:
            return None
        request = HandOver(ref=self._ref, epoch=row.epoch, token=0, seconds=HOLD_SECONDS)
        return await self._hand(lambda bridge: hand_over(bridge, request), intrusion)

    async def hand_back(self, intrusion: Intrusion | None) -> HandedOver | None:
        """Target to source; None where the source is in charge already."""
        row = await self.bridge.target.ledger.authority(DOMAIN)
        if row.authority != "target":
            return None
        request = HandBack(ref=self._ref, epoch=row.epoch, seconds=HOLD_SECONDS)
        return await self._hand(lambda bridge: hand_back(bridge, request), intrusion)

    @property
    def _ref(self) -> DomainRef:
        return DomainRef.of(self.plan, "")

    async def _hand(
        self, hand: Callable[[Bridge], Awaitable[HandedOver]], intrusion: Intrusion | None
    ) -> HandedOver | None:
        """While it runs, the tail follows and those applications that live acknowledge."""
        bridge = intrusion.into(self) if intrusion else self.bridge
        beside = [asyncio.ensure_future(self._tail_on()), asyncio.ensure_future(self._acknowledge_on())]
        try:
            return await hand(bridge)
        except (TargetUnavailable, SourceUnavailable, LostAnswer):
            return None  # the next attempt finds out
        finally:
            for task in beside:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self.follow()

    async def _tail_on(self) -> None:
        while True:
            await self.tail()

    async def _acknowledge_on(self) -> None:
        while True:
            for application in self.applications:
                await self.poll(application)
            await asyncio.sleep(0.005)

    async def resolve(self) -> None:
        """What a worker's next attempt does after one that died: a hold that was left is taken back or gone through."""
        row = await self.bridge.target.ledger.authority(DOMAIN)
        if row.stage is not Stage.HOLD:
            return
        if row.authority == "source":
            await take_back(self.bridge)
        else:
            await self.bridge.target.ledger.reopen(DOMAIN)

    # --- the end of a run ----------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Wake everybody, let every queue run dry; then both stores hold the last accepted write of every key."""
        await self.wake_all()
        await self.resolve()
        await self.drain_feed()
        if (await self.bridge.target.ledger.authority(DOMAIN)).authority == "target":
            await drained_back(self.bridge, SOON)
            assert await self.bridge.target.reverse.pending(DOMAIN) == (0, 0)
        elif not self.copied:
            await self.backfill(stall=False)
        expected = {key: value for key, value in self.truth.items() if value is not None}
        assert await self.in_source() == {key: image(key, value) for key, value in expected.items()}
        assert await self.in_target() == {key: (value, image(key, value)["parts"]) for key, value in expected.items()}
        assert await self._quarantined() == 0

    async def drain_feed(self) -> None:
        """Pass everything that the source has acknowledged until now."""
        await self.follow()
        mark = await self.bridge.source.feed.mark(DOMAIN)
        while self.position.mark < mark:
            await self.tail()

    async def in_source(self) -> dict[str, Document]:
        """What the source holds."""
        return {document["_id"]: document async for document in self.things.find({})}

    async def in_target(self) -> dict[str, tuple[int, list[int]]]:
        """What the target holds: value and parts by key."""
        query = (
            "select id, n, array(select part from shop.parts where thing = id order by position)"
            " from shop.things order by id"
        )
        return {key: (n, parts) for key, n, parts in await (await self._postgres.execute(query)).fetchall()}

    async def _quarantined(self) -> int:
        row = await (await self._postgres.execute("select count(*) from midflight.quarantine")).fetchone()
        assert row is not None
        return int(row[0])

    # --- stalled steps -----------------------------------------------------------------------------------------

    async def _stall(self, valve: Valve, step: Awaitable[Any]) -> None:
        stalled = self._remember(valve, step)
        reached = asyncio.ensure_future(valve.reached.wait())
        await asyncio.wait({stalled.task, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()

    def _remember(self, valve: Valve, step: Awaitable[Any]) -> Stalled:
        stalled = Stalled(valve, asyncio.ensure_future(step))
        self.stalled.append(stalled)
        return stalled

    async def wake(self, number: int) -> None:
        """Wake one of the sleepers, if there are any."""
        if self.stalled:
            await self.stalled.pop(number % len(self.stalled)).wake()

    async def intrude_sleeper(self, number: int) -> None:
        """A hook: whoever sleeps wakes just now."""
        if number == 1:
            await self.wake_all()

    async def intrude_write(self, number: int) -> None:
        """A hook: an application writes just now, where it believes that it may."""
        if number == 1 and self.applications:
            await self.write(self.applications[0], KEYS[0], delete=False)

    async def intrude_sync(self, number: int) -> None:
        """A hook: somebody draws, reads and applies just now, as far as the door lets him."""
        if number == 1:
            await self._forward(lambda bridge: sync_keys(bridge, {"things": _ALL}, "repair"), stall=False)

    async def wake_all(self) -> None:
        """Wake all sleepers."""
        while self.stalled:
            await self.wake(0)
