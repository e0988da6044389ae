"""The library for threads on real stores: the same promises, kept for plain functions and several threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pymongo import MongoClient

import embedded
from midflight.core.keys import key_bytes
from midflight.core.phase import Stage
from midflight.core.routing import Side
from midflight.errors import GatewayMisused, NotReady, WritesHeld
from midflight.gateway import Domain, Gateway, Policy
from tests.integration.gateway_kit import DOMAIN, QUICK, World, open_world, until

ALL = 10_000
ADA = key_bytes("ada")
PUT = sql.SQL("insert into purses (id, points) values (%s, %s) on conflict (id) do update set points = excluded.points")


@pytest.fixture
async def world(servers: embedded.Servers, mongo_database: str, postgres_database: str) -> AsyncIterator[World]:
    async with open_world(servers.mongo_uri, mongo_database, postgres_database, fenced_target=True) as opened:
        yield opened


@dataclass
class Shop:
    """One process of an application of threads. Its functions remember in which thread they ran."""

    world: World
    gateway: Gateway
    domain: Domain[str]
    client: MongoClient[dict[str, Any]]
    calls: list[tuple[str, Side]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    before_source_write: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        self.points = self.domain.read(entity=lambda name: name, target=self.points_of_target)(self.points_of_source)
        self.put = self.domain.write(
            entities=lambda name, points: [name],
            target=self.put_at_target,
            keys=lambda name, points: {"purses": [name]},
        )(self.put_at_source)

    @property
    def purses(self) -> Any:
        return self.client[self.world.database.name]["purses"]

    def note(self, operation: str, side: Side) -> None:
        self.calls.append((operation, side))
        self.threads.add(threading.current_thread().name)

    def points_of_source(self, name: str) -> int | None:
        self.note("points", Side.SOURCE)
        found = self.purses.find_one({"_id": name})
        return None if found is None else int(found["points"])

    def points_of_target(self, name: str) -> int | None:
        self.note("points", Side.TARGET)
        with psycopg.connect(self.world.dsn) as connection:
            found = connection.execute("select points from purses where id = %s", (name,)).fetchone()
        return None if found is None else int(found[0])

    def put_at_source(self, name: str, points: int) -> str:
        self.note("put", Side.SOURCE)
        if self.before_source_write:
            self.before_source_write()
        self.purses.update_one({"_id": name}, {"$set": {"points": points}}, upsert=True)
        return "source"

    def put_at_target(self, name: str, points: int) -> str:
        self.note("put", Side.TARGET)
        with psycopg.connect(self.world.dsn) as connection:
            connection.execute(PUT, (name, points))
        return "target"

    def sides(self, operation: str) -> list[Side]:
        return [side for name, side in self.calls if name == operation]

    def stage_is(self, stage: Stage) -> bool:
        route = self.gateway.routes().get(DOMAIN)
        return route is not None and route.stage is stage


@contextmanager
def open_shop(world: World, policy: Policy = QUICK) -> Iterator[Shop]:
    with MongoClient[dict[str, Any]](world.mongo_uri) as client:
        gateway = Gateway(ledger=world.dsn, source=world.mongo_uri, policy=policy)
        shop = Shop(world, gateway, gateway.domain(DOMAIN, entity=str), client)
        try:
            yield shop
        finally:
            closing = threading.Thread(target=gateway.close)
            closing.start()
            closing.join(20)
            assert not closing.is_alive()


@pytest.fixture
async def shop(world: World) -> AsyncIterator[Shop]:
    with open_shop(world) as opened:
        yield opened


@pytest.mark.parametrize(
    ("stage", "reads_bp", "read", "shadowed"),
    [(Stage.OFF, 0, Side.SOURCE, False), (Stage.SHADOW, 0, Side.SOURCE, True), (Stage.RAMP, ALL, Side.TARGET, True)],
)
async def test_before_the_flip_the_source_is_written_and_the_target_follows(
    world: World, shop: Shop, stage: Stage, reads_bp: int, read: Side, shadowed: bool
) -> None:
    await world.stage(stage, reads_bp)
    assert await asyncio.to_thread(shop.put, "ada", 7) == "source"
    assert await asyncio.to_thread(shop.points, "ada") == 7
    assert shop.sides("points") == [read]
    assert await world.target_points("ada") == (7 if shadowed else None)


async def test_functions_run_in_the_thread_that_calls_them(world: World, shop: Shop) -> None:
    await world.stage(Stage.RAMP, ALL)
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        await asyncio.get_running_loop().run_in_executor(pool, shop.put, "ada", 7)
        await asyncio.get_running_loop().run_in_executor(pool, shop.points, "ada")
    assert shop.threads == {"mine_0"}


async def test_two_threads_write_through_a_hold_and_go_on_at_the_target(world: World, shop: Shop) -> None:
    await world.stage(Stage.RAMP, ALL)
    stop = threading.Event()
    last: dict[str, int] = {}

    def write(name: str) -> set[str]:
        wrote = set()
        while not stop.is_set():
            last[name] = last.get(name, 0) + 1
            wrote.add(shop.put(name, last[name]))
            assert shop.points(name) == last[name]
        return wrote

    threads = [asyncio.create_task(asyncio.to_thread(write, name)) for name in ("ada", "eve")]
    await until(lambda: min(last.get("ada", 0), last.get("eve", 0)) > 5, "a few writes")
    row = await world.stage(Stage.HOLD, ALL)
    await until(lambda: world.acknowledged(row.revision), "acknowledgement")
    await world.fence()
    await world.drain()
    await world.flip()
    seen = dict(last)
    await until(lambda: min(last[name] - seen[name] for name in seen) > 5, "a few writes more")
    stop.set()
    assert await asyncio.gather(*threads) == [{"source", "target"}] * 2
    for name, points in last.items():
        assert await world.target_points(name) == points


async def test_a_step_is_not_acknowledged_before_the_last_older_write_has_ended(world: World, shop: Shop) -> None:
    await world.stage(Stage.RAMP, 0)
    reached, opened = threading.Event(), threading.Event()

    def gate() -> None:
        reached.set()
        assert opened.wait(10)

    shop.before_source_write = gate
    writing = asyncio.create_task(asyncio.to_thread(shop.put, "ada", 1))
    await asyncio.to_thread(reached.wait)
    row = await world.stage(Stage.HOLD, 0)
    await until(lambda: shop.stage_is(Stage.HOLD), "hold")
    await asyncio.sleep(2 * QUICK.poll_seconds)
    assert not await world.acknowledged(row.revision)
    opened.set()
    await until(lambda: world.acknowledged(row.revision), "acknowledgement")
    assert await writing == "source"


async def test_a_hold_that_lasts_too_long_is_a_retryable_error(world: World) -> None:
    await world.stage(Stage.HOLD, 0)
    with open_shop(world, Policy(park_seconds=0.3)) as shop, pytest.raises(WritesHeld):
        await asyncio.to_thread(shop.put, "ada", 1)


async def test_a_write_that_slept_through_the_flip_is_done_once_at_the_target(world: World, shop: Shop) -> None:
    await world.stage(Stage.RAMP, ALL)
    loop = asyncio.get_running_loop()

    async def move() -> None:
        await world.fence()
        await world.flip()

    shop.before_source_write = lambda: asyncio.run_coroutine_threadsafe(move(), loop).result(10)
    assert await asyncio.to_thread(shop.put, "ada", 5) == "target"
    assert shop.sides("put") == [Side.SOURCE, Side.TARGET]
    assert (await world.source_points("ada"), await world.target_points("ada")) == (None, 5)


async def test_a_unit_of_work_pins_the_route_and_shadows_at_its_end(world: World, shop: Shop) -> None:
    await world.stage(Stage.RAMP, ALL)

    def work() -> tuple[int | None, int | None]:
        with shop.domain.unit_of_work() as pinned:
            shop.put("ada", 5)
            assert shop.domain.route == pinned
            inside = shop.points("ada")
        return inside, shop.points("ada")

    assert await asyncio.to_thread(work) == (5, 5)
    assert shop.sides("points") == [Side.SOURCE, Side.TARGET]


async def test_a_write_that_outlives_its_unit_of_work_stays_in_flight_and_is_behind(world: World, shop: Shop) -> None:
    await world.stage(Stage.RAMP, ALL)
    reached, go_on = threading.Event(), threading.Event()

    def stop() -> None:
        reached.set()
        assert go_on.wait(10)

    def begin() -> Future[str]:
        shop.put("ada", 1)
        shop.before_source_write = stop
        with shop.domain.unit_of_work():
            writing = pool.submit(copy_context().run, shop.put, "ada", 2)
            assert reached.wait(10)
        return writing

    with ThreadPoolExecutor(1) as pool:
        writing = await asyncio.to_thread(begin)
        row = await world.stage(Stage.RAMP, ALL - 1)
        await until(lambda: shop.gateway.routes()[DOMAIN].reads_bp == ALL - 1, "the step")
        assert not await world.acknowledged(row.revision)
        floors = (await asyncio.to_thread(shop.gateway.background)).engine.standing(DOMAIN).floors

        async def there() -> bool:
            await world.pass_marks()
            return not floors.behind(ADA, 1)

        await until(there, "what fell with the unit is there")
        go_on.set()
        await asyncio.to_thread(writing.result, 10)
    assert await asyncio.to_thread(shop.points, "ada") == 2
    await until(lambda: world.acknowledged(row.revision), "acknowledgement")


async def test_own_writes_are_read_although_the_shadow_write_was_missed(world: World, shop: Shop) -> None:
    await world.stage(Stage.RAMP, ALL)

    def put(name: str, points: int) -> str:
        shop.purses.update_one({"_id": name}, {"$set": {"points": points}}, upsert=True)
        return ""

    unseen = shop.domain.write(entities=lambda name, points: [name], target=shop.put_at_target)(put)

    def session() -> tuple[int | None, str]:
        with shop.gateway.with_floor(""):
            shop.put("ada", 1)
            unseen("ada", 2)
            return shop.points("ada"), shop.gateway.floor()

    points, token = await asyncio.to_thread(session)
    assert points == 2
    assert token.startswith(f"{DOMAIN}.1.")


async def test_dark_reads_run_in_a_small_pool_of_their_own(world: World, shop: Shop) -> None:
    await world.stage(Stage.DARK_READ, 0, ALL)
    assert await asyncio.to_thread(shop.put, "ada", 7) == "source"
    assert await asyncio.to_thread(shop.points, "ada") == 7
    await until(lambda: sorted(shop.sides("points")) == [Side.SOURCE, Side.TARGET], "a dark read")
    assert any(name.startswith("midflight-dark") for name in shop.threads)


async def test_inside_a_running_event_loop_it_refuses_to_wait(shop: Shop) -> None:
    for call in (shop.gateway.start, shop.gateway.close, lambda: shop.points("ada"), lambda: shop.put("ada", 1)):
        with pytest.raises(GatewayMisused, match="event loop"):
            call()
    assert shop.gateway.routes() == {}
    assert shop.gateway.floor() == ""


async def test_an_unknown_domain_is_not_ready(world: World) -> None:
    gateway = Gateway(ledger=world.dsn, source=world.mongo_uri, policy=Policy(start_seconds=0.3))
    try:
        with pytest.raises(NotReady, match="nowhere"):
            await asyncio.to_thread(gateway.domain("nowhere", entity=str).ready)
    finally:
        await asyncio.to_thread(gateway.close)


async def test_a_forked_child_starts_anew(world: World, shop: Shop) -> None:
    await world.stage(Stage.SHADOW)

    def fork() -> int:
        shop.put("ada", 1)
        child = os.fork()
        if not child:
            os._exit(_child(shop))
        return os.waitpid(child, 0)[1]

    assert await asyncio.to_thread(fork) == 0
    assert await asyncio.to_thread(shop.put, "ada", 3) == "source"
    assert (await world.target_points("ada"), await world.target_points("eve")) == (3, 2)


def _child(shop: Shop) -> int:
    """In the child: its own gateway, its own thread, its own lease."""
    with MongoClient[dict[str, Any]](shop.world.mongo_uri) as client:
        shop.client = client
        alright = shop.gateway._background is None and shop.put("eve", 2) == "source"
        shop.gateway.close()
        return 0 if alright else 1


async def test_closing_gives_up_the_lease(world: World, shop: Shop) -> None:
    await asyncio.to_thread(shop.domain.ready)
    assert len(await world.target.registry.instances(DOMAIN)) == 1
    await asyncio.to_thread(shop.gateway.close)
    assert await world.target.registry.instances(DOMAIN) == []
