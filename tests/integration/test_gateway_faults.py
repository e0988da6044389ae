"""The application's library when something is away, late or moved: no failed call, no stale read, no double write."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
import pytest
from pymongo.errors import WriteError

import embedded
from midflight.core.phase import Stage
from midflight.core.routing import Side
from midflight.errors import NotReady
from midflight.gateway import Policy
from tests.fixtures.proxy import Proxy, proxied
from tests.integration.gateway_kit import DOMAIN, QUICK, App, Gate, World, open_app, open_world, until

ALL = 10_000
IMPATIENT = replace(QUICK, poll_seconds=0.1, lease_seconds=0.6, park_seconds=0.8, shadow_seconds=0.3)


@pytest.fixture
async def world(servers: embedded.Servers, mongo_database: str, postgres_database: str) -> AsyncIterator[World]:
    async with open_world(servers.mongo_uri, mongo_database, postgres_database, fenced_target=True) as opened:
        yield opened


@asynccontextmanager
async def cuttable(world: World, policy: Policy = IMPATIENT) -> AsyncIterator[tuple[App, Proxy]]:
    """An application whose way to the whole target can be cut: the ledger's and its own."""
    known = psycopg.conninfo.conninfo_to_dict(world.dsn)
    async with proxied(str(known["host"]), int(str(known["port"]))) as proxy:
        way = psycopg.conninfo.make_conninfo(world.dsn, host="127.0.0.1", port=proxy.port)
        async with open_app(world, ledger=way, pool=way, policy=policy) as app:
            await app.domain.ready()
            yield app, proxy


async def lose_the_lease(app: App) -> None:
    await until(lambda: app.gateway.engine().standing(DOMAIN).trusted is None, "the lease has run out")


# --- the target is away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "reads_bp"), [(Stage.SHADOW, 0), (Stage.DARK_READ, 0), (Stage.RAMP, ALL)])
async def test_while_the_target_is_away_no_call_fails_before_the_flip(
    world: World, stage: Stage, reads_bp: int
) -> None:
    async with cuttable(world) as (app, proxy):
        await world.stage(stage, reads_bp, ALL)
        await app.sees(stage, reads_bp)
        await app.put("ada", 0)
        await proxy.cut()
        end = time.monotonic() + 3 * IMPATIENT.lease_seconds
        points = 0
        while time.monotonic() < end:
            points += 1
            assert await app.put("ada", points) == "source"
            assert await app.points("ada") == points
        assert points > 10
        await proxy.mend()
        await until(lambda: app.gateway.engine().standing(DOMAIN).trusted is not None, "the lease is back")
        app.pool = await psycopg.AsyncConnection.connect(world.dsn, autocommit=True)
        assert await app.points("ada") == points
        await world.floor_reached(app.gateway)
        await until(lambda: shadowed(world, app), "shadow writes are made again")
        await app.pool.close()


async def shadowed(world: World, app: App) -> bool:
    points = (await world.source_points("ada") or 0) + 1
    await app.put("ada", points)
    return await world.target_points("ada") == points


async def test_a_ledger_that_hangs_is_a_ledger_that_is_away(world: World) -> None:
    await world.stage(Stage.RAMP, 0)
    async with open_app(world, policy=IMPATIENT) as app:
        await app.put("ada", 0)
        async with world.look.transaction():
            await world.look.execute("lock table midflight.domains in access exclusive mode")
            for points in range(1, 6):
                async with asyncio.timeout(3):
                    assert await app.put("ada", points) == "source"
                    assert await app.points("ada") == points
                await asyncio.sleep(0.2)
        await until(lambda: app.gateway.engine().standing(DOMAIN).trusted is not None, "the lease is back")
        await until(lambda: shadowed(world, app), "shadow writes are made again")


async def test_a_target_that_takes_no_connection_does_not_keep_the_library_from_closing(world: World) -> None:
    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    deaf = psycopg.conninfo.make_conninfo(world.dsn, host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    policy = replace(IMPATIENT, start_seconds=0.5)
    async with asyncio.timeout(5), open_app(world, ledger=deaf, policy=policy) as app:
        with pytest.raises(NotReady, match="not known"):
            await app.points("ada")
    ended.set()
    server.close()


# --- the lease is lost ----------------------------------------------------------------------------------------------


async def test_behind_the_fence_nobody_reads_or_writes_the_source_without_a_lease(world: World) -> None:
    async with cuttable(world) as (app, proxy):
        await world.stage(Stage.RAMP, 0)
        await app.sees(Stage.RAMP)
        await app.put("ada", 1)
        await proxy.cut()
        await lose_the_lease(app)
        await world.fence()
        await world.drain()
        await world.flip()
        await world.look.execute("update purses set points = 2 where id = 'ada'")
        app.calls.clear()
        for call in (app.points("ada"), app.put("ada", 3)):
            started = time.monotonic()
            with pytest.raises(NotReady) as caught:
                await call
            assert caught.value.retryable
            assert time.monotonic() - started < 3 * IMPATIENT.park_seconds
        assert app.calls == []


async def test_without_a_lease_the_unfenced_source_is_in_charge_even_in_a_hold(world: World) -> None:
    async with cuttable(world) as (app, proxy):
        await world.stage(Stage.HOLD, 0)
        await app.sees(Stage.HOLD)
        await proxy.cut()
        await lose_the_lease(app)
        assert await app.put("ada", 1) == "source"
        assert await app.points("ada") == 1


async def test_a_call_waits_for_the_ledger_that_comes_back_in_time(world: World) -> None:
    async with cuttable(world, replace(IMPATIENT, park_seconds=10)) as (app, proxy):
        await world.flip()
        await app.sees(Stage.TARGET)
        await proxy.cut()
        await lose_the_lease(app)
        app.pool = await psycopg.AsyncConnection.connect(world.dsn, autocommit=True)
        writing = asyncio.create_task(app.put("ada", 1))
        await asyncio.sleep(0.3)
        assert not writing.done()
        await proxy.mend()
        assert await writing == "target"
        await app.pool.close()


async def test_at_the_target_a_lost_lease_is_a_retryable_error(world: World) -> None:
    async with cuttable(world) as (app, proxy):
        await world.flip()
        await app.sees(Stage.TARGET)
        await proxy.cut()
        await lose_the_lease(app)
        for call in (app.points("ada"), app.put("ada", 1)):
            with pytest.raises(NotReady):
                await call
        assert app.calls == []


async def test_a_lease_counts_again_only_with_the_second_poll_after_it_ran_out(world: World) -> None:
    """The controller may have found nobody just before the first one."""
    async with cuttable(world) as (app, _proxy):
        standing = app.gateway.engine().standing(DOMAIN)
        route = standing.route
        assert route is not None
        now = time.monotonic() + 100
        assert standing.adopt(route, now, 3.0)
        assert standing.trusted is None or standing.trusted is route
        assert standing._known[1] < now
        assert not standing.adopt(route, now + 1, 3.0)
        assert standing._known[1] == now + 4


# --- a store refuses ------------------------------------------------------------------------------------------------


async def test_a_write_that_slept_through_the_flip_is_refused_and_done_once_at_the_target(world: World) -> None:
    async with open_app(world) as app:
        await world.stage(Stage.RAMP, ALL)
        await app.sees(Stage.RAMP, ALL)
        gate = Gate()
        app.before_source_write = gate.pass_through
        sleeping = asyncio.create_task(app.put("ada", 5))
        await gate.reached.wait()
        await world.stage(Stage.HOLD, ALL)
        await world.fence()
        await world.flip()
        gate.opened.set()
        assert await sleeping == "target"
        assert app.sides("put") == [Side.SOURCE, Side.TARGET]
        assert (await world.source_points("ada"), await world.target_points("ada")) == (None, 5)


async def test_a_write_refused_in_the_hold_waits_for_its_end(world: World) -> None:
    async with open_app(world) as app:
        await world.stage(Stage.RAMP, ALL)
        await app.sees(Stage.RAMP, ALL)
        gate = Gate()
        app.before_source_write = gate.pass_through
        sleeping = asyncio.create_task(app.put("ada", 5))
        await gate.reached.wait()
        await world.stage(Stage.HOLD, ALL)
        await world.fence()
        gate.opened.set()
        await asyncio.sleep(0.3)
        assert not sleeping.done()
        await world.unfence()
        await world.stage(Stage.RAMP, ALL)
        assert await sleeping == "source"
        assert await world.source_points("ada") == 5


async def test_a_write_that_slept_through_the_way_back_is_done_once_at_the_source(world: World) -> None:
    async with open_app(world) as app:
        await world.stage(Stage.RAMP, ALL)
        await world.flip()
        await app.sees(Stage.TARGET, ALL)
        gate = Gate()
        at_target = app.put_at_target

        async def late(name: str, points: int) -> str:
            await gate.pass_through()
            return await at_target(name, points)

        put = app.domain.write(entities=lambda name, points: [name], target=late)(app.put_at_source)
        sleeping = asyncio.create_task(put("ada", 5))
        await gate.reached.wait()
        row = await world.target.ledger.close(DOMAIN)
        await world.target.ledger.flip_back(DOMAIN, row.epoch)
        gate.opened.set()
        await asyncio.sleep(0.2)
        assert not sleeping.done()
        await world.stage(Stage.RAMP, ALL)
        assert await sleeping == "source"
        assert app.sides("put") == [Side.TARGET, Side.SOURCE]


async def test_the_customers_own_validator_is_heard_once(world: World) -> None:
    await world.database.command("collMod", "purses", validator={"points": {"$gte": 0}})
    async with open_app(world) as app:
        await world.stage(Stage.RAMP, 0)
        with pytest.raises(WriteError, match="validation"):
            await app.put("ada", -1)
        assert app.sides("put") == [Side.SOURCE]


async def test_the_customers_own_validator_is_heard_while_the_ledger_is_away(world: World) -> None:
    await world.database.command("collMod", "purses", validator={"points": {"$gte": 0}})
    async with cuttable(world) as (app, proxy):
        await proxy.cut()
        with pytest.raises(WriteError, match="validation"):
            await app.put("ada", -1)


async def test_a_unit_of_work_that_slept_through_the_flip_must_be_begun_again(world: World) -> None:
    async with open_app(world) as app:
        await world.stage(Stage.RAMP, ALL)
        await app.sees(Stage.RAMP, ALL)

        async def sleeping_unit() -> None:
            async with app.domain.unit_of_work():
                await world.fence()
                await world.flip()
                await app.put("ada", 5)

        with pytest.raises(NotReady, match="unit of work") as caught:
            await sleeping_unit()
        assert isinstance(caught.value.__cause__, WriteError)
        async with app.domain.unit_of_work():
            assert await app.put("ada", 6) == "target"


@pytest.mark.parametrize("reads_bp", [0, ALL])
async def test_a_unit_of_work_that_outlived_its_epoch_reads_nothing_any_more(world: World, reads_bp: int) -> None:
    async def flip() -> None:
        await world.flip()
        await until(lambda: app.gateway.routes()[DOMAIN].epoch == 2, "the flip is known")

    async def flip_and_fail() -> None:
        await flip()
        raise ConnectionError("gone")

    async def read_in_a_unit() -> None:
        async with app.domain.unit_of_work():
            await flip()
            await app.points("ada")

    async def fall_back_in_a_unit() -> None:
        app.before_target_read = flip_and_fail
        async with app.domain.unit_of_work():
            await app.points("ada")

    async with open_app(world, policy=replace(QUICK, target_read_seconds=5)) as app:
        await world.stage(Stage.RAMP, reads_bp)
        await app.sees(Stage.RAMP, reads_bp)
        with pytest.raises(NotReady, match="Begin the unit of work again"):
            await (fall_back_in_a_unit() if reads_bp else read_in_a_unit())
        assert Side.SOURCE not in app.sides("points")


# --- fork -----------------------------------------------------------------------------------------------------------


async def test_a_forked_child_starts_anew_and_leaves_the_parents_connections_alone(world: World) -> None:
    async with open_app(world) as app:
        await world.stage(Stage.SHADOW)
        await app.put("ada", 1)
        child = os.fork()
        if not child:
            alright = app.gateway._engine is None
            app.gateway.__dict__.clear()
            os._exit(0 if alright else 1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0
        assert await app.put("ada", 2) == "source"
        assert await world.target_points("ada") == 2
