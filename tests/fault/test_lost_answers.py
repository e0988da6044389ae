"""The answer of a committed batch is lost: the next attempt goes on from the commit, nothing twice, nothing missing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities.backfill import BackfillActivities
from activities.parity import ParityActivities
from activities.tail import TailActivities
from midflight.contracts.backfill import CopyPartition, PlanPartitions
from midflight.contracts.base import DomainRef
from midflight.contracts.parity import BeginParity, CompareRange
from midflight.contracts.tail import Follow
from midflight.core.fingerprint import fingerprint
from midflight.core.keys import key_bytes
from midflight.core.plan import Pacing
from midflight.parity.ports import ParityStores, RunStore
from midflight.ports import SourceReader, Target
from midflight.records import KeyRange
from midflight.sync import sync_keys
from midflight.testing.faults import Faulty, FaultyStores, LostAnswer, lose
from tests.fixtures.rig import Rig, order

DOCUMENTS, BATCH = 1_000, 100


def losing(stores: ParityStores, port: str, method: str, at_call: int) -> FaultyStores:
    """The real stores; one answer of one port of the target, or of the place where runs are kept, is lost."""
    if port == "runs":
        return FaultyStores(stores, runs=lambda runs: cast("RunStore", Faulty(runs, method, after=lose(at_call))))

    def fault(target: Target) -> Target:
        return replace(target, **{port: Faulty(getattr(target, port), method, after=lose(at_call))})

    return FaultyStores(stores, target=fault)


def reference(rig: Rig) -> DomainRef:
    return DomainRef.of(rig.plan, fingerprint(rig.plan))


@pytest.mark.parametrize("lost", [1, 4, 10, 11])
async def test_a_copy_whose_commit_went_unanswered_goes_on_after_it(prepared: Rig, lost: int) -> None:
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(DOCUMENTS)])
    ref, environment = reference(prepared), ActivityEnvironment()
    pacing = prepared.plan.pacing.model_copy(update={"batch_size": BATCH, "partition_size": 100_000})
    request = CopyPartition(ref=ref, collection="orders", partition=1, pacing=pacing)
    faulty = losing(prepared.stores, "door", "apply", lost)
    plan_request = PlanPartitions(ref=ref, collection="orders", pacing=pacing)
    planned = await environment.run(BackfillActivities(prepared.stores).plan_partitions, plan_request)
    request = request.model_copy(update={"partition": planned.open[0]})
    with pytest.raises(LostAnswer):
        await environment.run(BackfillActivities(faulty).copy_partition, request)
    copied = await environment.run(BackfillActivities(prepared.stores).copy_partition, request)
    assert copied.done
    assert copied.documents == max(0, DOCUMENTS - lost * BATCH)
    ((batches, documents, done),) = prepared.query("select batches, documents, done from midflight.partitions")
    assert (documents, done) == (DOCUMENTS, True)
    # One commit more says that it is done; and a cursor opened again may cut one batch short where it begins.
    assert batches <= DOCUMENTS // BATCH + 2
    assert prepared.one("select count(*) from shop.orders") == DOCUMENTS


class ChangingReader:
    """A reader under which the documents change as soon as the first block has been read."""

    def __init__(self, reader: SourceReader, change: Callable[[], Awaitable[None]]) -> None:
        self._reader, self._change = reader, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def read_range(self, collection: str, keys: KeyRange, **how: Any) -> AsyncIterator[bytes]:
        async for block in self._reader.read_range(collection, keys, **how):
            await self._change()
            yield block


async def test_the_copy_draws_before_it_opens_its_cursor(prepared: Rig) -> None:
    """Red if the draw comes after the first read: the old image of the block would outrank the tail's new one."""
    ref, environment = reference(prepared), ActivityEnvironment()
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(10)])

        async def change() -> None:
            shop.orders.update_one({"_id": 7}, {"$set": {"version": 2}})
            shop.orders.delete_one({"_id": 8})
            async with prepared.bridge() as bridge:
                await sync_keys(bridge, {"orders": [key_bytes(7), key_bytes(8)]}, "tail")

        pacing = prepared.plan.pacing
        plan_request = PlanPartitions(ref=ref, collection="orders", pacing=pacing)
        planned = await environment.run(BackfillActivities(prepared.stores).plan_partitions, plan_request)
        request = CopyPartition(ref=ref, collection="orders", partition=planned.open[0], pacing=pacing)
        stores = FaultyStores(
            prepared.stores, source=lambda source: replace(source, reader=ChangingReader(source.reader, change))
        )
        copied = await environment.run(BackfillActivities(stores).copy_partition, request)
    assert copied.stale == 2
    assert prepared.one("select version from shop.orders where id = '7'") == 2
    assert prepared.query("select 1 from shop.orders where id = '8'") == []


async def test_a_tail_whose_commit_went_unanswered_goes_on_after_it(prepared: Rig) -> None:
    ref, environment = reference(prepared), ActivityEnvironment()
    tail = TailActivities(prepared.stores)
    await environment.run(tail.pin, ref)
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(50)])
        shop.orders.delete_many({"_id": {"$gte": 40}})
    request = Follow(ref=ref, slice_seconds=60.0, batch_size=7)
    faulty = losing(prepared.stores, "door", "apply", 3)
    with pytest.raises(LostAnswer):
        await environment.run(TailActivities(faulty).follow, request)
    commits = prepared.one("select commits from midflight.positions")
    assert commits == 3
    await environment.run(tail.follow, request.model_copy(update={"slice_seconds": 3.0}))
    assert prepared.one("select count(*) from shop.orders") == 40
    assert prepared.one("select count(*) from midflight.guards where deleted") == 10


async def test_a_comparison_whose_commit_went_unanswered_counts_nothing_twice(prepared: Rig) -> None:
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(DOCUMENTS)])
    ref, environment = reference(prepared), ActivityEnvironment()
    parity, pacing = ParityActivities(prepared.stores), Pacing(batch_size=BATCH)
    begun = await environment.run(parity.begin_parity, BeginParity(ref=ref, run="run", pacing=pacing))
    request = CompareRange(ref=ref, run="run", collection="orders", number=1, pacing=pacing)
    with pytest.raises(LostAnswer):
        await environment.run(ParityActivities(losing(prepared.stores, "runs", "advance", 2)).compare_range, request)
    for one in begun.open:
        await environment.run(parity.compare_range, request.model_copy(update={"number": one.number}))
    assert prepared.one("select sum(compared) from midflight.parity_places") == DOCUMENTS
    assert prepared.one("select count(*) from midflight.parity_mismatches") == DOCUMENTS
