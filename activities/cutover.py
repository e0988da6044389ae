"""Stages, gates' evidence and handovers: the activities that move authority, each safe to repeat."""

from __future__ import annotations

from temporalio import activity

from activities.opened import opened
from activities.slices import beating
from midflight.clock import seconds
from midflight.contracts.base import DomainRef
from midflight.contracts.cutover import (
    AwaitAcknowledged,
    HandBack,
    HandedOver,
    HandOver,
    Record,
    Rehearse,
    Rehearsed,
    SetStage,
    Staged,
    Undo,
)
from midflight.core.gates import Evidence
from midflight.core.routing import Side
from midflight.errors import AuthorityMoved
from midflight.handover import hand_back, hand_over, take_back
from midflight.ports import Stores, Target
from midflight.records import AuthorityRow
from midflight.rehearsal import rehearse
from midflight.waiting import late_instances, to_the_end

ACKNOWLEDGE_SECONDS = 10.0


class CutoverActivities:
    """The activities that move stages and authority."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    @activity.defn
    async def set_stage(self, request: SetStage) -> Staged:
        """Move the stage, then wait a while for the instances of the application; `late` are those to wait for."""
        domain = request.ref.domain
        async with self._stores.target(request.ref.target_store) as target, beating(domain, "set the stage"):
            row = await target.ledger.set_stage(
                domain, request.stage, request.reads_bp, request.dark_reads_bp, request.epoch
            )
            return await _staged(target, domain, row, ACKNOWLEDGE_SECONDS)

    @activity.defn
    async def acknowledged(self, request: AwaitAcknowledged) -> Staged:
        """Wait until every live instance obeys the revision, or the time is over."""
        domain = request.ref.domain
        async with self._stores.target(request.ref.target_store) as target, beating(domain, "wait for instances"):
            row = await target.ledger.authority(domain)
            return await _staged(target, domain, row, request.within_seconds, request.revision)

    @activity.defn
    async def gather_evidence(self, ref: DomainRef) -> Evidence:
        """Everything the gates ask for, measured now."""
        async with beating(ref.domain, "gather evidence"), opened(self._stores, ref) as work:
            evidence = await work.target.ledger.evidence(ref.domain)
            window = await work.source.reader.feed_window_seconds()
            pending = await work.target.schema.pending(work.plan)
        known = window if window != float("inf") else None
        return evidence.model_copy(update={"feed_window_seconds": known, "constraints_pending": pending})

    @activity.defn
    async def record(self, request: Record) -> None:
        """Append to the audit trail."""
        domain = request.ref.domain
        async with beating(domain, "record"), self._stores.target(request.ref.target_store) as target:
            await target.ledger.record(domain, request.kind, request.person, request.details)

    @activity.defn
    async def rehearse(self, request: Rehearse) -> Rehearsed:
        """Compare what has changed since the token, and say how long a handover would hold writes."""
        async with opened(self._stores, request.ref) as work, beating(request.ref.domain, "rehearse the handover"):
            return await rehearse(work, request.token, request.acknowledge_seconds)

    @activity.defn
    async def hand_over(self, request: HandOver) -> HandedOver:
        """Make the target the authority, or undo it. Another attempt finds out what became of the first."""
        async with beating(request.ref.domain, "hand over"), opened(self._stores, request.ref) as work:
            return await hand_over(work, request, first=_first())

    @activity.defn
    async def hand_back(self, request: HandBack) -> HandedOver:
        """Make the source the authority again, or undo it. Another attempt finds out what became of the first."""
        async with beating(request.ref.domain, "hand back"), opened(self._stores, request.ref) as work:
            return await hand_back(work, request, first=_first())

    @activity.defn
    async def undo_handover(self, ref: DomainRef) -> None:
        """The source takes writes again, reads stay at the target (`ramp` at 100 %). AuthorityMoved after the flip."""
        async with beating(ref.domain, "undo the handover"), opened(self._stores, ref) as work:
            row = await to_the_end(take_back(work))
        if row.authority == Side.TARGET:
            raise AuthorityMoved(
                f"The target is the authority of {ref.domain} since epoch {row.epoch}.", next_step="Hand back instead."
            )

    @activity.defn
    async def undo(self, request: Undo) -> None:
        """Forget the copy or only the backfill's progress."""
        async with opened(self._stores, request.ref) as work, beating(request.ref.domain, "undo"):
            if request.forget_copy:
                await work.target.ledger.reset(work.plan, request.epoch)
            elif request.forget_partitions:
                await work.target.ledger.reset_partitions(request.ref.domain, request.epoch)

    @activity.defn
    async def retire(self, ref: DomainRef) -> Staged:
        """The target alone: stage `target_only`; then as `set_stage`."""
        async with self._stores.target(ref.target_store) as target, beating(ref.domain, "retire"):
            await target.ledger.retire(ref.domain)
            row = await target.ledger.authority(ref.domain)
            return await _staged(target, ref.domain, row, ACKNOWLEDGE_SECONDS)


def _first() -> bool:
    return activity.info().attempt == 1


async def _staged(
    target: Target, domain: str, row: AuthorityRow, within_seconds: float, revision: int | None = None
) -> Staged:
    began = seconds()
    late = await late_instances(target.registry, domain, revision or row.revision, within_seconds)
    return Staged(epoch=row.epoch, revision=row.revision, late=late, seconds=round(seconds() - began, 3))
