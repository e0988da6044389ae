"""Stages, gates' evidence, fence and flip: the activities that move authority, each safe to repeat."""

from __future__ import annotations

from temporalio import activity

from activities.opened import opened
from activities.slices import beating
from midflight.contracts.base import DomainRef
from midflight.contracts.cutover import Fence, Flip, Flipped, Record, SetStage, Undo
from midflight.core.gates import Evidence
from midflight.ports import Stores


class CutoverActivities:
    """The activities that move stages and authority."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    @activity.defn
    async def set_stage(self, request: SetStage) -> int:
        """Move the stage; returns the epoch it holds for."""
        async with self._stores.target(request.ref.target_store) as target:
            await target.ledger.set_stage(request.ref.domain, request.stage, request.reads_bp, request.dark_reads_bp)
            return (await target.ledger.authority(request.ref.domain)).epoch

    @activity.defn
    async def gather_evidence(self, ref: DomainRef) -> Evidence:
        """Everything the gates ask for, measured now."""
        async with opened(self._stores, ref) as work:
            evidence = await work.target.ledger.evidence(ref.domain)
            window = await work.source.reader.feed_window_seconds()
            pending = await work.target.schema.pending(work.plan)
        known = window if window != float("inf") else None
        return evidence.model_copy(update={"feed_window_seconds": known, "constraints_pending": pending})

    @activity.defn
    async def record(self, request: Record) -> None:
        """Append to the audit trail."""
        async with self._stores.target(request.ref.target_store) as target:
            await target.ledger.record(request.ref.domain, request.kind, request.person, request.details)

    @activity.defn
    async def raise_fence(self, request: Fence) -> None:
        """From here the source store refuses inserts and updates. The fence itself remembers what it replaced."""
        async with self._stores.source(request.ref.source_store, request.ref.database) as source:
            await source.fence.raise_fence(request.collections)

    @activity.defn
    async def lower_fence(self, request: Fence) -> None:
        """Put back what was there before the fence. Asks only the source: the target may be the one that is away."""
        async with self._stores.source(request.ref.source_store, request.ref.database) as source:
            await source.fence.lower_fence(request.collections)

    @activity.defn
    async def flip(self, request: Flip) -> Flipped:
        """Make the target the authority."""
        async with self._stores.target(request.ref.target_store) as target:
            return Flipped(epoch=await target.ledger.flip(request.ref.domain, request.epoch))

    @activity.defn
    async def undo(self, request: Undo) -> None:
        """Forget the copy or only the backfill's progress."""
        async with opened(self._stores, request.ref) as work, beating(request.ref.domain, "undo"):
            if request.forget_copy:
                await work.target.ledger.reset(work.plan)
            elif request.forget_partitions:
                await work.target.ledger.reset_partitions(request.ref.domain)

    @activity.defn
    async def retire(self, ref: DomainRef) -> None:
        """The target alone: stage `target_only`."""
        async with self._stores.target(ref.target_store) as target:
            await target.ledger.retire(ref.domain)
