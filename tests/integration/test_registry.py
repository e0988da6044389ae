"""What instances of the library and the ledger say to one another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from midflight.core.phase import Stage
from midflight.core.routing import Route, Side
from midflight.errors import DomainUnknown
from midflight.ports import Registry
from midflight.postgres.connection import open_target
from midflight.records import Beat, ReadMismatch, ReadReport
from tests.integration.door_kit import DOMAIN, Shop, open_shop

LEASE = 30.0


@pytest.fixture
async def here(postgres_database: str) -> AsyncIterator[Shop]:
    async with open_shop(postgres_database) as opened:
        yield opened


@pytest.fixture
async def registry(here: Shop) -> AsyncIterator[Registry]:
    """An instance's own connection."""
    async with open_target(here.dsn) as target:
        yield target.registry


def beat(seen: int = 0, oldest: int | None = None, *, instance: str = "a", lease: float = LEASE) -> Beat:
    return Beat(instance, seen, lease, oldest, None if oldest is None else 0.5)


async def test_a_poll_brings_the_route(here: Shop, registry: Registry) -> None:
    await here.target.ledger.set_stage(DOMAIN, Stage.RAMP, 2_500, 300)
    await here.ask("update midflight.positions set mark = 41 where domain = %s returning 1", DOMAIN)
    routes = await registry.poll({DOMAIN: beat()})
    assert routes == {DOMAIN: Route(DOMAIN, Side.SOURCE, 1, 2, False, Stage.RAMP, 2_500, 300, 41)}


async def test_an_unknown_domain_is_left_out(registry: Registry) -> None:
    assert set(await registry.poll({DOMAIN: beat(), "nowhere": beat()})) == {DOMAIN}


async def test_without_a_ledger_the_next_step_is_named(postgres_database: str) -> None:
    async with open_target(postgres_database) as target:
        with pytest.raises(DomainUnknown, match="prepare"):
            await target.registry.poll({DOMAIN: beat()})


async def test_a_poll_acknowledges_and_renews_the_lease(here: Shop, registry: Registry) -> None:
    await registry.poll({DOMAIN: beat(1, lease=5)})
    await registry.poll({DOMAIN: beat(3, 2)})
    [seen] = await here.target.registry.instances(DOMAIN)
    assert (seen.instance, seen.seen_revision, seen.oldest_revision, seen.oldest_seconds) == ("a", 3, 2, 0.5)
    assert LEASE - 5 < seen.lease_left <= LEASE
    assert 0 <= seen.silent_seconds < 5
    assert [seen.acknowledges(revision) for revision in (2, 3)] == [True, False]


async def test_an_instance_whose_lease_has_run_out_is_not_waited_for(here: Shop, registry: Registry) -> None:
    await registry.poll({DOMAIN: beat(lease=0.05)})
    async with asyncio.timeout(5):
        while await here.target.registry.instances(DOMAIN):
            await asyncio.sleep(0.01)
    await registry.poll({DOMAIN: beat()})
    assert len(await here.target.registry.instances(DOMAIN)) == 1


async def test_who_leaves_is_not_waited_for_and_the_long_dead_are_forgotten(here: Shop, registry: Registry) -> None:
    await registry.poll({DOMAIN: beat(instance="a")})
    await registry.poll({DOMAIN: beat(instance="dead")})
    await here.ask(
        "update midflight.instances set lease_until = now() - interval '2 days' where instance = 'dead' returning 1"
    )
    await registry.leave(DOMAIN, "a")
    await registry.leave(DOMAIN, "a")
    assert await here.ask("select instance from midflight.instances") == []


async def test_a_poll_waits_for_nobody_who_works_at_the_door(here: Shop, registry: Registry) -> None:
    await registry.poll({DOMAIN: beat()})
    async with here.look.transaction():
        await here.ask("select 1 from midflight.domains where domain = %s for share", DOMAIN)
        async with asyncio.timeout(5):
            await registry.poll({DOMAIN: beat(1, instance="new"), "nowhere": beat()})


async def test_a_change_of_the_route_wakes_whoever_waits(here: Shop, registry: Registry) -> None:
    assert await registry.woken(0.01)  # whoever begins to listen has missed what was before
    assert not await registry.woken(0.05)
    waiting = asyncio.create_task(registry.woken(10))
    await asyncio.sleep(0.05)
    await here.target.ledger.set_stage(DOMAIN, Stage.SHADOW, 0, 0)
    async with asyncio.timeout(2):
        assert await waiting


async def test_a_change_during_a_poll_is_not_missed(here: Shop, registry: Registry) -> None:
    await registry.woken(0)
    await here.target.ledger.set_stage(DOMAIN, Stage.SHADOW, 0, 0)
    await registry.poll({DOMAIN: beat()})  # the notification arrives with this answer
    started = time.monotonic()
    assert await registry.woken(10)
    assert time.monotonic() - started < 5


async def test_waiting_may_be_cut_to_poll(registry: Registry) -> None:
    await registry.woken(0)
    for _ in range(20):
        waiting = asyncio.create_task(registry.woken(30))
        await asyncio.sleep(0.002)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(2):
            assert await registry.poll({DOMAIN: beat()})


async def test_what_reads_showed_is_published(here: Shop, registry: Registry) -> None:
    report = ReadReport("balance", 1, compared=2, equal=1, causes={"points: different value": 1})
    mismatch = ReadMismatch("balance", '"ada"', ("points",), "points: different value")
    await registry.publish(DOMAIN, "a", [report], [mismatch])
    assert await here.ask("select operation, compared, equal from midflight.reads") == [("balance", 2, 1)]
    [found] = await here.target.registry.mismatches(DOMAIN, 10)
    assert (found["entity"], found["fields"]) == ('"ada"', ["points"])
