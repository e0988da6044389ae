"""Activities of the same names that touch nothing: they remember what they were asked, and answer as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from midflight.contracts.backfill import Constrained, Copied, CopyPartition, Partitioned, PlanPartitions
from midflight.contracts.base import DomainRef
from midflight.contracts.cutover import Fence, Flip, Flipped, Record, SetStage, Undo
from midflight.contracts.parity import (
    BeginParity,
    ChangedChecked,
    CheckChanged,
    Compared,
    CompareRange,
    FinishParity,
    ParityBegun,
    Recheck,
    Rechecked,
)
from midflight.contracts.prepare import Checked, FindingView, PrepareRequest
from midflight.contracts.tail import Drain, Drained, Follow, Followed
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


class World:
    """What the fakes remember, and how they are told to answer."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.stages: list[str] = []
        self.records: list[Record] = []
        self.findings: tuple[FindingView, ...] = (FindingView(check="source: reachable", ok=True),)
        self.evidence = GOOD
        self.drain_fails = False
        self.flip_fails = False
        self.forget_fails = False
        self.let_gather = asyncio.Event()
        self.let_gather.set()
        self.follow_fails: str | None = None
        self.copying = asyncio.Event()
        self.let_copy = asyncio.Event()
        self.let_copy.set()
        self.following = 0
        self.copies = 0
        self.at_work_when_undone = 0
        self.mismatches = 0
        self.slow_to_stop = 0.0

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
        if self.follow_fails:
            raise ApplicationError(self.follow_fails, type="PositionLost", non_retryable=True)
        self.following += 1
        try:
            while self.stages[-1:] != ["target"]:
                activity.heartbeat({})
                await asyncio.sleep(BEAT_SECONDS)
        except asyncio.CancelledError:
            return Followed(done=False)
        finally:
            self.following -= 1
        return Followed(done=True)

    @activity.defn
    async def drain(self, request: Drain) -> Drained:
        self.calls.append("drain")
        if self.drain_fails:
            raise ApplicationError("the tail is late", type="DrainTimeout")
        return Drained(mark=1, seconds=0.01)

    @activity.defn
    async def forget(self, ref: DomainRef) -> None:
        self.calls.append("forget")
        if self.forget_fails:
            raise ApplicationError("no privilege", type="SourceRefused", non_retryable=True)

    @activity.defn
    async def begin_parity(self, request: BeginParity) -> ParityBegun:
        self.calls.append("begin_parity")
        return ParityBegun(open=(0, 1), token=7)

    @activity.defn
    async def compare_range(self, request: CompareRange) -> Compared:
        self.calls.append("compare_range")
        return Compared(compared=10, equal=10, done=True)

    @activity.defn
    async def recheck(self, request: Recheck) -> Rechecked:
        self.calls.append("recheck")
        return Rechecked(suspects=self.mismatches, remaining=self.mismatches, done=True)

    @activity.defn
    async def finish_parity(self, request: FinishParity) -> None:
        self.calls.append("finish_parity")

    @activity.defn
    async def check_changed(self, request: CheckChanged) -> ChangedChecked:
        self.calls.append("check_changed")
        return ChangedChecked(compared=3, mismatches=0, token=request.token + 1)

    @activity.defn
    async def set_stage(self, request: SetStage) -> int:
        self.calls.append("set_stage")
        self.stages.append(request.stage.value + (f":{request.reads_bp}" if request.stage == "ramp" else ""))
        return 1

    @activity.defn
    async def gather_evidence(self, ref: DomainRef) -> Evidence:
        self.calls.append("gather_evidence")
        await self.let_gather.wait()
        return self.evidence

    @activity.defn
    async def record(self, request: Record) -> None:
        self.records.append(request)

    @activity.defn
    async def raise_fence(self, request: Fence) -> None:
        self.calls.append("raise_fence")

    @activity.defn
    async def lower_fence(self, request: Fence) -> None:
        self.calls.append("lower_fence")

    @activity.defn
    async def flip(self, request: Flip) -> Flipped:
        self.calls.append("flip")
        if self.flip_fails:
            raise ApplicationError("the ledger refuses", type="TargetRefused", non_retryable=True)
        self.stages.append("target")
        return Flipped(epoch=request.epoch + 1)

    @activity.defn
    async def undo(self, request: Undo) -> None:
        self.calls.append("undo:copy" if request.forget_copy else "undo:partitions")
        self.at_work_when_undone = self.copies + self.following

    @activity.defn
    async def retire(self, ref: DomainRef) -> None:
        self.calls.append("retire")


ACTIVITY = "__temporal_activity_definition"
