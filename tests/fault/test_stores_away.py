"""A store goes away in the middle and comes back: the move waits, goes on by itself, and nothing is lost."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from midflight.core.plan import Pacing
from tests.fixtures.proxy import Proxy, proxied
from tests.fixtures.rig import Handle, Rig, order, until, until_status

pytestmark = pytest.mark.slow

DOCUMENTS = 1_500
WRITTEN = "select coalesce(sum(batches), 0) from midflight.partitions"
PACING = Pacing(parallel=1, batch_size=50, partition_size=1_000, documents_per_second=500)


async def failures(handle: Handle) -> list[str]:
    """What Temporal Web shows of activities that are being tried again."""
    described = await handle.describe()
    children = [child.workflow_id for child in described.raw_description.pending_children]
    client = handle._client
    every = [described, *[await client.get_workflow_handle(child).describe() for child in children]]
    return [
        a.last_failure.message for d in every for a in d.raw_description.pending_activities if a.last_failure.message
    ]


async def until_failing(handle: Handle) -> None:
    """Wait until the outage shows."""
    while not await failures(handle):
        await asyncio.sleep(0.1)


def through(rig: Rig, source: Proxy | None = None, target: Proxy | None = None) -> None:
    """Make the rig's workers use the proxies."""
    if target is not None:
        rig.postgres_dsn = make_conninfo(rig.postgres_dsn, host="127.0.0.1", port=target.port)
    if source is not None:
        parts = urlsplit(rig.mongo_uri)
        rig.mongo_uri = urlunsplit(parts._replace(netloc=f"127.0.0.1:{source.port}"))


@pytest.mark.timeout(180)
async def test_the_target_may_be_away_in_the_middle(rig: Rig) -> None:
    where = conninfo_to_dict(rig.postgres_dsn)
    direct = rig.postgres_dsn
    plan = rig.plan.model_copy(update={"pacing": PACING, "approvals": ()})
    async with proxied(str(where["host"]), int(str(where["port"]))) as proxy:
        through(rig, target=proxy)
        with rig.source() as shop:
            shop.orders.insert_many([order(n) for n in range(DOCUMENTS)])
            rig.start_worker()
            handle = await rig.start(plan)
            rig.postgres_dsn = direct
            await until(lambda: (rig.one(WRITTEN) or 0) > 3, "the backfill to write")
            await proxy.cut()
            await until_failing(handle)
            shop.orders.update_one({"_id": 1}, {"$set": {"version": 7}})
            shop.orders.delete_one({"_id": 2})
            await proxy.mend()
            report = await handle.result()
        rig.kill_workers()
    assert report.parity.mismatches == 0
    assert rig.one("select count(*) from shop.orders") == DOCUMENTS - 1
    assert rig.one("select version from shop.orders where id = '1'") == 7


@pytest.mark.timeout(180)
async def test_the_source_may_be_away_in_the_middle(rig: Rig) -> None:
    where = urlsplit(rig.mongo_uri)
    direct = rig.mongo_uri
    plan = rig.plan.model_copy(update={"pacing": PACING, "approvals": ()})
    async with proxied(str(where.hostname), int(where.port or 0)) as proxy:
        through(rig, source=proxy)
        rig.mongo_uri, proxied_uri = direct, rig.mongo_uri
        with rig.source() as shop:
            shop.orders.insert_many([order(n) for n in range(DOCUMENTS)])
            rig.mongo_uri = proxied_uri
            rig.start_worker()
            handle = await rig.start(plan)
            await until(lambda: (rig.one(WRITTEN) or 0) > 3, "the backfill to write")
            await proxy.cut()
            await until_failing(handle)
            shop.orders.update_one({"_id": 1}, {"$set": {"version": 7}})
            await proxy.mend()
            report = await handle.result()
        rig.kill_workers()
    assert report.parity.mismatches == 0
    assert rig.one("select version from shop.orders where id = '1'") == 7


async def test_the_target_away_at_the_start_is_said_and_resume_starts_again(rig: Rig) -> None:
    where = conninfo_to_dict(rig.postgres_dsn)
    async with proxied(str(where["host"]), int(str(where["port"]))) as proxy:
        through(rig, target=proxy)
        await proxy.cut()
        with rig.source() as shop:
            shop.orders.insert_one(order(1))
        rig.start_worker()
        handle = await rig.start()
        status = await until_status(handle, lambda s: s.state.state == "attention", "the failed check")
        assert "target" in status.state.problem
        assert "secret" not in status.state.problem
        await handle.terminate()
        rig.kill_workers()
    with psycopg.connect(make_conninfo(rig.postgres_dsn, port=str(where["port"]))) as connection:
        row = connection.execute("select count(*) from pg_namespace where nspname = 'midflight'").fetchone()
    assert row == (0,)
