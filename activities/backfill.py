"""Backfill: cut a collection into key ranges, copy each through the door, then build constraints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from temporalio import activity

from activities.opened import opened
from activities.reading import Block, ahead, mapped_blocks
from activities.slices import Progress, beating, stop_if_worker_stops, until_paused
from midflight.clock import seconds
from midflight.contracts.backfill import Constrained, Copied, CopyPartition, Partitioned, PlanPartitions
from midflight.contracts.base import DomainRef
from midflight.core.keys import key_bytes
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Applied, Batch, PartitionCursor
from midflight.core.pacing import batch_size, rest_seconds
from midflight.ports import Stores
from midflight.records import Partition
from midflight.sync import Bridge, sync_keys

ORPHANS_AT_ONCE = 1_000


class BackfillActivities:
    """The activities of the backfill phase."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    @activity.defn
    async def plan_partitions(self, request: PlanPartitions) -> Partitioned:
        """Cut the collection into partitions and record them; what is recorded already stays."""
        domain, name = request.ref.domain, request.collection
        async with beating(domain, "cut into partitions"), opened(self._stores, request.ref) as work:
            expected = await work.source.reader.count(name)
            if not await work.target.ledger.partitions(domain, name):
                ranges = await work.source.reader.partitions(name, expected // request.pacing.partition_size + 1)
                await work.target.ledger.put_partitions(domain, name, ranges)
            recorded = await work.target.ledger.partitions(domain, name)
        return Partitioned(
            open=tuple(p.number for p in recorded if not p.done),
            expected=expected,
            partitions=len(recorded),
            committed=sum(p.documents for p in recorded if p.done),
        )

    @activity.defn
    async def copy_partition(self, request: CopyPartition) -> Copied:
        """Copy from the committed cursor to the end of the partition; a pause returns what was done until then."""
        tally = _Tally()
        async with until_paused(), opened(self._stores, request.ref) as work:
            await self._copy(work, request, tally)
        return tally.copied()

    @activity.defn
    async def constrain(self, ref: DomainRef) -> Constrained:
        """Indexes, then foreign keys.

        Orphans are sent through the door again, which quarantines them, then validated.
        """
        async with opened(self._stores, ref) as work, beating(ref.domain, "indexes and foreign keys"):
            schema, plan = work.target.schema, work.plan
            await schema.create_indexes(plan)
            names = await schema.create_foreign_keys(plan)
            orphans = sum([await _settle(work, name) for name in names])
            return Constrained(
                indexes=sum(len(c.indexes) for c in plan.collections),
                foreign_keys=len(names),
                orphans=orphans,
            )

    async def _copy(self, work: Bridge, request: CopyPartition, tally: _Tally) -> None:
        partition = await _partition(work, request)
        tally.committed = partition.documents
        progress = Progress(request.ref.domain, "backfill", collection=request.collection, partition=request.partition)
        if partition.done:
            tally.done = True
            return
        # One draw serves one cursor: drawn before it is opened, because the server may hold documents back between
        # batches.
        ticket = await work.target.door.draw(request.ref.domain)
        place, began = partition, seconds()
        async with aclosing(_blocks(work, request, partition)) as blocks:
            async for block in blocks:
                checkpoint = _checkpoint(request, place, block.last, block.documents)
                batch = Batch("backfill", {request.collection: block.outcomes}, checkpoint)
                tally.add(block.documents, await work.target.door.apply(work.plan, ticket, batch))
                place = _moved(place, block.last, block.documents)
                progress.beat(block.documents, committed=place.documents)
                stop_if_worker_stops()
                await _rest(rest_seconds(block.documents, seconds() - began, request.pacing, request.share), progress)
                began = seconds()
        await _finish(work, request, place)
        tally.done = True


class _Tally:
    """Counts of one call; a pause may end it at any moment, so they are kept outside the loop."""

    def __init__(self) -> None:
        self.documents = 0
        self.committed = 0
        self.applied = Applied()
        self.done = False

    def add(self, documents: int, applied: Applied) -> None:
        self.documents += documents
        self.committed += documents
        self.applied += applied

    def copied(self) -> Copied:
        a = self.applied
        return Copied(
            documents=self.documents,
            committed=self.committed,
            written=a.written,
            stale=a.stale,
            quarantined=a.quarantined,
            done=self.done,
        )


async def _partition(work: Bridge, request: CopyPartition) -> Partition:
    recorded = await work.target.ledger.partitions(request.ref.domain, request.collection)
    return next(p for p in recorded if p.number == request.partition)


def _blocks(work: Bridge, request: CopyPartition, partition: Partition) -> AsyncGenerator[Block, None]:
    blocks = mapped_blocks(
        work.source.reader,
        work.plan.collection(request.collection),
        partition.keys,
        above=partition.cursor,
        batch_size=batch_size(request.pacing, request.share),
    )
    return ahead(blocks)


def _checkpoint(
    request: CopyPartition, place: Partition, key: bytes | None, documents: int, *, done: bool = False
) -> PartitionCursor:
    return PartitionCursor(request.collection, request.partition, place.batches, key, place.documents + documents, done)


def _moved(place: Partition, key: bytes, documents: int) -> Partition:
    return Partition(place.number, place.keys, key, place.batches + 1, place.documents + documents, done=False)


async def _finish(work: Bridge, request: CopyPartition, place: Partition) -> None:
    ticket = await work.target.door.draw(request.ref.domain)
    checkpoint = _checkpoint(request, place, place.cursor, 0, done=True)
    await work.target.door.apply(work.plan, ticket, Batch("backfill", {}, checkpoint))


async def _rest(rest: float, progress: Progress) -> None:
    """Rest in short naps: each beats, so that a pause is noticed while resting."""
    until = seconds() + rest
    while (left := until - seconds()) > 0:
        await asyncio.sleep(min(left, 0.5))
        progress.beat()


async def _settle(work: Bridge, constraint: str) -> int:
    found = 0
    while orphans := await work.target.schema.orphans(work.plan, constraint, ORPHANS_AT_ONCE):
        keys = {name: await _keys_of(work, name, row_keys) for name, row_keys in orphans.items()}
        await sync_keys(work, keys, "repair")
        found += sum(len(of_one) for of_one in keys.values())
    await work.target.schema.validate_foreign_key(work.plan, constraint)
    return found


async def _keys_of(work: Bridge, name: str, row_keys: Sequence[Any]) -> list[bytes]:
    collection = work.plan.collection(name)
    mapper = mapper_for(collection)
    found = await work.target.rows.rows_of(work.plan.target.schema_, collection, row_keys)
    return [key_bytes(mapper.id_of(rows[0][0])) for rows in found.values()]
