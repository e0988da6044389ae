"""Dark reads behind the library on real stores: what they find is evidence, and no caller ever feels one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest
from pymongo import MongoClient
from temporalio.testing import ActivityEnvironment

import embedded
from activities import reads as watching
from activities.reads import ReadActivities
from midflight.contracts.base import DomainRef
from midflight.contracts.cutover import WatchReads
from midflight.core.breach import ReadEvidence
from midflight.core.phase import Stage
from midflight.core.plan import Limits
from midflight.core.routing import Side
from midflight.gateway import Comparator, Gateway, base
from midflight.gateway.dark import LAG, DarkReads
from midflight.ports import Target
from midflight.postgres.connection import open_target
from tests.integration.gateway_kit import DOMAIN, QUICK, App, Gate, World, open_app, open_world, until

ALL = 10_000
POLICY = replace(
    QUICK,
    publish_seconds=0.05,
    dark_at_once=20,
    dark_seconds=5.0,
    breaker_failures=3,
    breaker_seconds=60.0,
    keep_values=True,
)
NAMES = [f"member-{n}" for n in range(20)]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "DarkReads", partial(DarkReads, look_again_after=(0.02, 0.1)))


@pytest.fixture
async def world(servers: embedded.Servers, mongo_database: str, postgres_database: str) -> AsyncIterator[World]:
    async with open_world(servers.mongo_uri, mongo_database, postgres_database) as opened:
        for name in NAMES:
            await opened.database["purses"].insert_one({"_id": name, "points": 10})
        await opened.drain()
        yield opened


@pytest.fixture
async def app(world: World) -> AsyncIterator[App]:
    await world.stage(Stage.DARK_READ, 0, ALL)
    async with open_app(world, policy=POLICY) as opened:
        await opened.domain.ready()
        yield opened


async def reads(world: World) -> ReadEvidence:
    return (await world.target.ledger.evidence(DOMAIN)).reads or ReadEvidence(seconds=0.0)


async def until_reads(world: World, count: str, at_least: int) -> ReadEvidence:
    async def enough() -> bool:
        return int(getattr(await reads(world), count)) >= at_least

    await until(enough, f"{at_least} {count}")
    return await reads(world)


async def mismatches(world: World) -> list[dict[str, Any]]:
    return await world.target.registry.mismatches(DOMAIN, 10)


async def until_total(world: World, column: str, at_least: int) -> None:
    async def enough() -> bool:
        found = await (await world.look.execute(f"select coalesce(sum({column}), 0) from midflight.reads")).fetchone()
        return found is not None and int(found[0]) >= at_least

    await until(enough, f"{at_least} {column}")


async def spoil(world: World, name: str) -> None:
    """A fault of the copy, which nobody but the applier could have made: the fence lets no other write through."""
    async with world.look.transaction():
        await world.look.execute("select set_config('midflight.applier', %s, true)", (DOMAIN,))
        await world.look.execute("update purses set points = 11 where id = %s", (name,))


# --- evidence ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "reads_bp"), [(Stage.DARK_READ, 0), (Stage.RAMP, 0), (Stage.RAMP, ALL)])
async def test_what_was_compared_is_evidence_whoever_served(
    world: World, app: App, stage: Stage, reads_bp: int
) -> None:
    await world.stage(stage, reads_bp, ALL)
    await app.sees(stage, reads_bp)
    for name in NAMES:
        assert await app.points(name) == 10
    found = await until_reads(world, "compared", 20)
    assert (found.compared, found.mismatched, found.unclear) == (20, 0, 0)
    assert (found.source_reads, found.target_reads, found.source_errors, found.target_errors) == (20, 20, 0, 0)
    assert found.source_p95_ms is not None
    assert found.target_p99_ms is not None


async def test_a_sample_of_nothing_asks_the_target_nothing(world: World, app: App) -> None:
    await world.stage(Stage.DARK_READ, 0, 0)
    await until(lambda: app.domain.route.dark_reads_bp == 0, "no sample")
    for name in NAMES:
        await app.points(name)
    assert app.sides("points") == [Side.SOURCE] * 20
    assert (await until_reads(world, "source_reads", 20)).target_reads == 0


async def test_a_difference_that_stays_is_listed_and_the_caller_got_the_sources_answer(world: World, app: App) -> None:
    await spoil(world, "member-3")
    assert await app.points("member-3") == 10
    found = await until_reads(world, "mismatched", 1)
    assert found.causes == {"(value): different value": 1}
    (one,) = await mismatches(world)
    assert (one["operation"], one["entity"], one["fields"]) == ("points", '"member-3"', ["(value)"])
    assert one["sides"] == {"source": 10, "target": 11}


async def test_a_write_that_the_tail_has_yet_to_bring_is_lag_and_no_mismatch(world: World, app: App) -> None:
    gate = Gate()
    await world.database["purses"].update_one({"_id": "member-1"}, {"$set": {"points": 12}})
    app.before_source_read = lambda: gate.pass_through() if len(app.calls) > 2 else asyncio.sleep(0)
    assert await app.points("member-1") == 12
    await gate.reached.wait()  # the difference was seen; the second look has begun
    await world.drain()
    gate.opened.set()
    found = await until_reads(world, "compared", 1)
    assert (found.mismatched, found.causes) == (0, {LAG: 1})
    assert await mismatches(world) == []


# --- what no caller feels ---------------------------------------------------------------------------------------------


async def test_a_slow_candidate_delays_no_caller_and_is_bounded_in_number(world: World) -> None:
    gate = Gate()
    await world.stage(Stage.DARK_READ, 0, ALL)
    async with open_app(world, policy=replace(POLICY, dark_at_once=4, dark_seconds=60.0)) as app:
        app.before_target_read = gate.pass_through
        for name in NAMES:  # a caller that waited for the gate would wait in vain
            assert await asyncio.wait_for(app.points(name), 10.0) == 10
        await until_total(world, "dropped", 16)
        assert app.sides("points").count(Side.TARGET) == 4
        gate.opened.set()


async def test_a_bug_in_a_hook_reaches_no_caller(world: World, app: App) -> None:
    class Buggy(Comparator[int | None]):
        def clean(self, value: int | None) -> Any:
            raise ZeroDivisionError

    reading = app.domain.read(entity=lambda name: name, target=app.points_of_target, compare=Buggy(), name="buggy")
    points = reading(app.points_of_source)
    assert [await points(name) for name in NAMES] == [10] * 20
    assert (await until_reads(world, "unclear", 20)).compared == 0


async def test_a_target_that_is_away_opens_the_breaker_and_fails_nobody(world: World, app: App) -> None:
    await app.pool.close()
    for name in NAMES:
        assert await app.points(name) == 10
        await until_total(world, "dropped", NAMES.index(name) + 1)
    assert app.sides("points").count(Side.TARGET) == POLICY.breaker_failures
    found = await until_reads(world, "target_errors", POLICY.breaker_failures)
    assert (found.compared, found.mismatched, found.target_errors) == (0, 0, POLICY.breaker_failures)


async def test_what_could_not_be_published_is_published_later_and_hurts_nobody(world: World, app: App) -> None:
    await world.look.execute("alter table midflight.reads rename to elsewhere")
    for name in NAMES:
        assert await app.points(name) == 10
    await asyncio.sleep(4 * POLICY.publish_seconds)  # some publications fail
    await world.look.execute("alter table midflight.elsewhere rename to reads")
    found = await until_reads(world, "compared", 20)
    assert (found.compared, found.source_reads, found.target_reads) == (20, 20, 20)


# --- threads ----------------------------------------------------------------------------------------------------------


async def test_the_sync_twin_compares_in_threads_of_its_own(world: World) -> None:
    await world.stage(Stage.DARK_READ, 0, ALL)
    await spoil(world, "member-3")
    await asyncio.to_thread(read_in_threads, world)
    found = await until_reads(world, "compared", 20)
    assert (found.compared, found.mismatched) == (20, 1)
    (one,) = await mismatches(world)
    assert one["sides"] == {"source": 10, "target": 11}


def read_in_threads(world: World) -> None:
    with (
        MongoClient[dict[str, Any]](world.mongo_uri) as client,
        psycopg.connect(world.dsn, autocommit=True) as connection,
        Gateway(ledger=world.dsn, source=world.mongo_uri, policy=POLICY) as gateway,
    ):
        purses = client[world.database.name]["purses"]

        def of_target(name: str) -> int:
            found = connection.execute("select points from purses where id = %s", (name,)).fetchone()
            assert found is not None
            return int(found[0])

        @gateway.domain(DOMAIN, entity=str).read(entity=lambda name: name, target=of_target, name="points")
        def points(name: str) -> int:
            found = purses.find_one({"_id": name})
            assert found is not None
            return int(found["points"])

        assert [points(name) for name in NAMES] == [10] * 20
        # Closing waits for the dark reads and publishes what they showed.


# --- the whole circle -------------------------------------------------------------------------------------------------


async def test_a_mismatch_in_ramp_sets_the_applications_reads_back(
    world: World, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_EVERY_SECONDS", 0.05)
    plan = world.plan.model_copy(update={"limits": Limits(minimum_sample=20)})
    await world.target.ledger.register(plan)
    await world.stage(Stage.RAMP, ALL, ALL)
    await app.sees(Stage.RAMP, ALL)
    await spoil(world, "member-3")
    request = WatchReads(ref=DomainRef.of(plan, ""), seconds=60.0)
    watch = asyncio.ensure_future(ActivityEnvironment().run(ReadActivities(OnlyTarget(world)).watch_reads, request))
    for name in NAMES:
        assert await app.points(name) == (11 if name == "member-3" else 10)
        await until(lambda: app.sides("points").count(Side.SOURCE) > NAMES.index(name), "the dark read")  # noqa: B023
    watched = await watch
    assert "1 of 20 compared reads differ (5 %)" in watched.breaches[0]
    await app.sees(Stage.DARK_READ, 0)
    assert await app.points("member-3") == 10


class OnlyTarget:
    """Stores of which only the target is asked for."""

    def __init__(self, world: World) -> None:
        self._world = world

    def source(self, store: str, database: str) -> Any:
        raise AssertionError("reads are watched without the source")

    @asynccontextmanager
    async def target(self, store: str) -> AsyncIterator[Target]:
        async with open_target(self._world.dsn) as target:
            yield target
