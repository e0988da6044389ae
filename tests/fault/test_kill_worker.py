"""kill -9 of the worker in backfill, tail and verify: nothing twice, nothing missing, at most one batch repeated."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo.database import Database

from midflight.core.phase import Phase
from midflight.core.plan import Pacing
from tests.fixtures.rig import Rig, approve, order, until, until_status

pytestmark = pytest.mark.slow

DOCUMENTS = 2_000
BATCH = 50
BACKFILL_BATCHES = "select coalesce(sum(batches), 0) from midflight.partitions"
TAIL_COMMITS = "select commits from midflight.positions"
VERIFY_BATCHES = "select coalesce(sum(batches), 0) from midflight.parity_places where number > 0"


@contextmanager
def writing(shop: Database[dict[str, Any]]) -> Iterator[None]:
    """Somebody who inserts, updates and deletes until the end of the block."""
    stop = threading.Event()

    def write() -> None:
        number = DOCUMENTS
        while not stop.wait(0.004):
            number += 1
            shop.orders.insert_one(order(number))
            shop.orders.update_one({"_id": number % DOCUMENTS}, {"$inc": {"version": 1}})
            if number % 5 == 0:
                shop.orders.delete_one({"_id": number - 3})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def in_source(shop: Database[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Versions and lines by key."""
    return {str(d["_id"]): (d["version"], len(d["lines"])) for d in shop.orders.find()}


def assert_same(rig: Rig, expected: dict[str, tuple[int, int]]) -> None:
    """The target holds the same keys, versions and lines."""
    found = rig.query(
        "select id, version, (select count(*) from shop.order_lines where order_id = id) from shop.orders"
    )
    assert {key: (version, lines) for key, version, lines in found} == expected
    assert len(found) == len(expected)


@pytest.mark.timeout(200)
async def test_a_worker_killed_in_backfill_tail_and_verify_leaves_no_trace(rig: Rig) -> None:
    pacing = Pacing(parallel=2, batch_size=BATCH, partition_size=1_000, documents_per_second=1_000)
    plan = rig.plan.model_copy(update={"pacing": pacing})
    with rig.source() as shop:
        shop.orders.insert_many([order(n) for n in range(DOCUMENTS)])
        rig.start_worker(hurried=True)
        with writing(shop):
            handle = await rig.start(plan)
            await until(lambda: (rig.one(BACKFILL_BATCHES) or 0) > 6, "a few batches of the backfill")
            rig.kill_workers()
            batches_at_kill = rig.one(BACKFILL_BATCHES)
            commits_at_kill = rig.one(TAIL_COMMITS)
            rig.start_worker(hurried=True)
            await until(lambda: rig.one(BACKFILL_BATCHES) > batches_at_kill, "the backfill to go on")
            await until(lambda: rig.one(TAIL_COMMITS) > commits_at_kill, "the tail to go on")
            await until(lambda: (rig.one(VERIFY_BATCHES) or 0) > 3, "a few batches of the parity run")
            rig.kill_workers()
            rig.start_worker(hurried=True)
            await until_status(handle, lambda s: s.state.phase is Phase.CUTOVER, "the cutover's gate")
        assert_batches(rig)
        expected = in_source(shop)  # nobody writes any more; at its end the move archives and drops the source
        await approve(handle, "cutover")
        report = await handle.result()
        assert report.parity.mismatches == 0
        assert_same(rig, expected)
    rig.stop_workers()


def assert_batches(rig: Rig) -> None:
    """Every batch was committed once.

    As many as the documents fill, one more for each partition's last, partial one.
    """
    for batches, documents in rig.query("select batches, documents from midflight.partitions"):
        # A cursor opened again after a kill cuts its batches from where it stands: at most one partial batch more
        # each time.
        assert batches <= math.ceil(documents / BATCH) + 2
    compared, documents = rig.query(
        "select sum(compared), (select count(*) from midflight.guards where not deleted)"
        " from midflight.parity_places where number > 0"
    )[0]
    assert compared <= documents + 1_000
