"""Activities of the same names that touch nothing: they remember what they were asked, and answer as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from midflight.contracts.backfill import Constrained, Copied, CopyPartition, Partitioned, PlanPartitions
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
    Watched,
    WatchReads,
)
from midflight.contracts.parity import (
    BeginParity,
    Compared,
    CompareRange,
    FinishParity,
    LevelView,
    OpenRange,
    ParityBegun,
    ParityReport,
    Repaired,
    RepairSettled,
    Settled,
    SettleSuspects,
)
from midflight.contracts.prepare import Checked, FindingView, PrepareRequest
from midflight.contracts.retire import Archive, ArchivedCollection, ArchiveReport, Drop
from midflight.contracts.reverse import DrainBack, DrainedBack, FollowBack, FollowedBack
from midflight.contracts.tail import Follow, Followed
from midflight.core.gates import Evidence

GOOD = Evidence(
    gathered_at="2026-01-01T00:00:00Z",
    epoch=1,
    stage="shadow",
    parity_age_seconds=1.0,
    parity_run="r",
    documents_compared=10,
    rebuilt_equal=10,
    lag_seconds=0.1,
    feed_window_seconds=100_000.0,
)


BEAT_SECONDS = 0.05
ALWAYS = asyncio.Event()
ALWAYS.set()


class World:
    """What the fakes remember, and how they are told to answer."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.stages: list[str] = []
        self.records: list[Record] = []
        self.findings: tuple[FindingView, ...] = (FindingView(check="source: reachable", ok=True),)
        self.evidence = GOOD
        self.epoch = 1
        self.authority = "source"
        self.late: tuple[str, ...] = ()
        """Instances that do not obey; emptied, they do."""
        self.refusal = ""
        """Why handovers are undone."""
        self.handover_fails = False
        self.let_hand = asyncio.Event()
        self.let_hand.set()
        self.breaches: tuple[str, ...] = ()
        self.watching = 0
        self.watched_when_staged = 0
        self.following_back = 0
        self.pending = 0
        self.let_archive = asyncio.Event()
        self.let_archive.set()
        self.drop_fails = False
        self.stale_archive = ""
        self.forget_fails = False
        self.let_gather = asyncio.Event()
        self.let_gather.set()
        self.follow_fails: str | None = None
        self.let_follow = asyncio.Event()
        """Cleared: the tail ends, and fails if it was told to."""
        self.let_follow.set()
        self.copying = asyncio.Event()
        self.let_copy = asyncio.Event()
        self.let_copy.set()
        self.following = 0
        self.copies = 0
        self.at_work_when_undone = 0
        self.at_work_when_handed = (0, 0, 0)
        """Watches, tails and reverse tails that ran beside the last handover."""
        self.at_work_when_dropped = 0
        self.mismatches = 0
        """Keys that differ for good."""
        self.repairable = 0
        """So many of them a repair mends."""
        self.slow_to_stop = 0.0
        self.fails_to_stop = ""
        """With what a copy fails that is asked to stop."""

    def called(self, name: str) -> int:
        """How often an activity was asked for."""
        return self.calls.count(name)

    def activities(self) -> list[Callable[..., Any]]:
        """Everything a worker registers."""
        return [getattr(self, name) for name in dir(type(self)) if hasattr(getattr(type(self), name), ACTIVITY)]

    @activity.defn
    async def check(self, request: PrepareRequest) -> Checked:
        self.calls.append("check")
        return Checked(findings=self.findings, documents={c.collection: 10 for c in request.plan.collections})

    @activity.defn
    async def install(self, request: PrepareRequest) -> str:
        self.calls.append("install")
        return "f" * 64

    @activity.defn
    async def plan_partitions(self, request: PlanPartitions) -> Partitioned:
        self.calls.append("plan_partitions")
        return Partitioned(open=(1, 2, 3), expected=30, partitions=3)

    @activity.defn
    async def copy_partition(self, request: CopyPartition) -> Copied:
        self.calls.append("copy_partition")
        self.copying.set()
        self.copies += 1
        try:
            while not self.let_copy.is_set():
                activity.heartbeat({})
                await asyncio.sleep(BEAT_SECONDS)
        except asyncio.CancelledError:
            await asyncio.sleep(self.slow_to_stop)
            if self.fails_to_stop:
                raise ApplicationError(self.fails_to_stop, type="TargetUnavailable") from None
            return Copied(documents=1, committed=1, done=False)
        finally:
            self.copies -= 1
        return Copied(documents=10, committed=10, written=10, done=True)

    @activity.defn
    async def constrain(self, ref: DomainRef) -> Constrained:
        self.calls.append("constrain")
        return Constrained()

    @activity.defn
    async def pin(self, ref: DomainRef) -> None:
        self.calls.append("pin")

    @activity.defn
    async def follow(self, request: Follow) -> Followed:
        self.calls.append("follow")
        self.following += 1
        try:
            await _until_cancelled(self.let_follow)
        finally:
            self.following -= 1
        if self.follow_fails:
            raise ApplicationError(self.follow_fails, type="PositionLost", non_retryable=True)
        return Followed(done=False)

    @activity.defn
    async def follow_back(self, request: FollowBack) -> FollowedBack:
        self.calls.append("follow_back")
        self.following_back += 1
        try:
            await _until_cancelled(ALWAYS)
        finally:
            self.following_back -= 1
        return FollowedBack(done=False)

    @activity.defn
    async def drain_back(self, request: DrainBack) -> DrainedBack:
        self.calls.append("drain_back")
        assert self.following_back, "nobody writes back"
        await asyncio.sleep(BEAT_SECONDS)
        pending, self.pending = self.pending, max(0, self.pending - 1_000)
        return DrainedBack(pending=pending, refused=0, seconds=0.01)

    @activity.defn
    async def forget(self, ref: DomainRef) -> None:
        self.calls.append("forget")
        if self.forget_fails:
            raise ApplicationError("no privilege", type="SourceRefused", non_retryable=True)

    @activity.defn
    async def begin_parity(self, request: BeginParity) -> ParityBegun:
        self.calls.append("begin_parity")
        ranges = tuple(OpenRange(collection="members", number=number) for number in (0, 1))
        return ParityBegun(open=ranges, token=7)

    @activity.defn
    async def compare_range(self, request: CompareRange) -> Compared:
        self.calls.append("compare_range")
        return Compared(compared=10, equal=10, done=True)

    @activity.defn
    async def settle_suspects(self, request: SettleSuspects) -> Settled:
        self.calls.append("settle_suspects")
        return Settled(settled=self.mismatches, done=True)

    @activity.defn
    async def repair_settled(self, request: RepairSettled) -> Repaired:
        self.calls.append("repair_settled")
        repaired, self.mismatches = min(self.mismatches, self.repairable), max(0, self.mismatches - self.repairable)
        return Repaired(repaired=repaired, remaining=self.mismatches, refused=self.mismatches, done=True)

    @activity.defn
    async def finish_parity(self, request: FinishParity) -> ParityReport:
        self.calls.append("finish_parity")
        verdict = "fail" if self.mismatches else "pass"
        full = LevelView(level="full", verdict=verdict, reason=f"{self.mismatches} keys differ for good")
        return ParityReport(
            run=request.run, verdict=verdict, compared=20, equal=20, mismatches=self.mismatches, levels=(full,)
        )

    @activity.defn
    async def set_stage(self, request: SetStage) -> Staged:
        self.calls.append("set_stage")
        self._demand_epoch(request.epoch)
        self.watched_when_staged += self.watching
        self.stages.append(request.stage.value + (f":{request.reads_bp}" if request.stage == "ramp" else ""))
        return self._staged()

    @activity.defn
    async def acknowledged(self, request: AwaitAcknowledged) -> Staged:
        self.calls.append("acknowledged")
        assert request.revision == len(self.stages)
        with suppress(asyncio.CancelledError):
            while self.late:
                activity.heartbeat({})
                await asyncio.sleep(BEAT_SECONDS)
        return self._staged()

    @activity.defn
    async def watch_reads(self, request: WatchReads) -> Watched:
        self.calls.append("watch_reads")
        self.watching += 1
        try:
            while not self.breaches:
                activity.heartbeat({})
                await asyncio.sleep(BEAT_SECONDS)
        except asyncio.CancelledError:
            return Watched(done=False)
        finally:
            self.watching -= 1
        breaches, self.breaches = self.breaches, ()
        self.stages.append("set_back")
        return Watched(done=False, breaches=breaches)

    @activity.defn
    async def rehearse(self, request: Rehearse) -> Rehearsed:
        self.calls.append("rehearse")
        return Rehearsed(forecast_seconds=0.25, steps={"drain": 0.2}, token=request.token + 1)

    @activity.defn
    async def hand_over(self, request: HandOver) -> HandedOver:
        return await self._hand("hand_over", request, "target")

    @activity.defn
    async def hand_back(self, request: HandBack) -> HandedOver:
        return await self._hand("hand_back", request, "source")

    async def _hand(self, name: str, request: HandOver | HandBack, to: str) -> HandedOver:
        """As the ledger would have it: who asks again after an answer that was lost hears of the same handover."""
        self.calls.append(name)
        self.at_work_when_handed = (self.watching, self.following, self.following_back)
        while not self.let_hand.is_set():
            activity.heartbeat({})
            await asyncio.sleep(BEAT_SECONDS)
        if self.handover_fails:
            raise ApplicationError("the ledger refuses", type="TargetRefused", non_retryable=True)
        if self.refusal:
            return HandedOver(done=False, epoch=self.epoch, reason=self.refusal, late=self.late, seconds=0.2)
        if self.authority != to:
            assert request.epoch == self.epoch
            self.authority, self.epoch = to, self.epoch + 1
            self.stages.append("target" if to == "target" else "ramp:10000")
        return HandedOver(done=True, epoch=self.epoch, seconds=0.2, steps={"drain": 0.1})

    @activity.defn
    async def undo_handover(self, ref: DomainRef) -> None:
        self.calls.append("undo_handover")
        if self.authority == "target":
            raise ApplicationError("the target is the authority", type="AuthorityMoved", non_retryable=True)

    @activity.defn
    async def archive(self, request: Archive) -> ArchiveReport:
        self.calls.append("archive")
        while not self.let_archive.is_set():
            activity.heartbeat({})
            await asyncio.sleep(BEAT_SECONDS)
        one = ArchivedCollection(collection="members", documents=30, size=300, digest="d" * 64)
        return ArchiveReport(folder=f"members-{self.called('archive')}", collections=(one,))

    @activity.defn
    async def drop(self, request: Drop) -> None:
        self.calls.append("drop")
        self.at_work_when_dropped = self.following + self.following_back
        if self.drop_fails:
            raise ApplicationError("the archive does not read back", type="SourceRefused", non_retryable=True)
        if request.archive.folder == self.stale_archive:
            raise ApplicationError("they do not hold the same", type="ArchiveDiffers", non_retryable=True)

    def _demand_epoch(self, epoch: int | None) -> None:
        """As the ledger: a move's first change of stage may not know it."""
        if epoch not in (None, self.epoch):
            raise ApplicationError(f"it is epoch {self.epoch}", type="AuthorityMoved", non_retryable=True)

    def _staged(self) -> Staged:
        return Staged(epoch=self.epoch, revision=len(self.stages), late=self.late)

    @activity.defn
    async def gather_evidence(self, ref: DomainRef) -> Evidence:
        self.calls.append("gather_evidence")
        await self.let_gather.wait()
        return self.evidence

    @activity.defn
    async def record(self, request: Record) -> None:
        self.records.append(request)

    @activity.defn
    async def undo(self, request: Undo) -> None:
        self._demand_epoch(request.epoch)
        self.epoch += request.forget_copy
        self.calls.append("undo:copy" if request.forget_copy else "undo:partitions")
        self.at_work_when_undone = self.copies + self.following

    @activity.defn
    async def retire(self, ref: DomainRef) -> Staged:
        self.calls.append("retire")
        self.stages.append("target_only")
        return self._staged()


async def _until_cancelled(going: asyncio.Event) -> None:
    with suppress(asyncio.CancelledError):
        while going.is_set():
            activity.heartbeat({})
            await asyncio.sleep(BEAT_SECONDS)


ACTIVITY = "__temporal_activity_definition"
