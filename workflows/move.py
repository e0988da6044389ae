"""One domain's move: what all phases share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.cutover import CutoverActivities
    from midflight.contracts.backfill import Steer
    from midflight.contracts.base import DomainRef
    from midflight.contracts.cutover import AwaitAcknowledged, Record, SetStage, Staged
    from midflight.contracts.domain import DomainState, MigrateRequest, PhaseSpan
    from midflight.core.phase import Phase, Stage
    from workflows import options, story
    from workflows.beside import Beside, ReverseTail, Tail, Watch
    from workflows.steering import HistoryFull, Steering

R = TypeVar("R")
A = TypeVar("A")


class Move:
    """Plan, state and wheel of one domain, and the small things every phase does."""

    def __init__(self, request: MigrateRequest) -> None:
        self.request = request
        self.plan = request.plan
        self.state = request.state or DomainState(
            domain=request.plan.domain, pacing=request.plan.pacing, started_by=request.started_by
        )
        self.steering = Steering(paused=self.state.pause is not None)
        if self.state.rollback is not None and not self.state.parked:
            self.steering.stop()  # it was asked for, or under way, when the move continued as new
        self.tail, self.reverse, self.watch = Tail(self), ReverseTail(self), Watch(self)
        self.story = story.Story()

    @property
    def besides(self) -> tuple[Beside, ...]:
        """Everything that runs beside the phases."""
        return (self.tail, self.reverse, self.watch)

    @property
    def still(self) -> bool:
        """Whether nothing may be written now. A handover is never left standing: users wait for it."""
        return self.steering.paused and not self.state.handing

    @property
    def ref(self) -> DomainRef:
        """How activities find the domain."""
        return DomainRef.of(self.plan, self.state.fingerprint)

    async def call(
        self, method: Callable[[Any, A], Any], argument: A, summary: str, policy: options.ActivityOptions
    ) -> Any:
        """Run one short activity to its end."""
        return await workflow.execute_activity_method(method, argument, summary=summary, **policy)

    async def undisturbed(
        self, method: Callable[[Any, A], Any], argument: A, summary: str, policy: options.ActivityOptions
    ) -> Any:
        """Run one activity to its end, whatever is said meanwhile, also when this workflow is cancelled."""
        handle = workflow.start_activity_method(method, argument, summary=summary, **policy)
        try:
            await workflow.wait_condition(handle.done)
        except asyncio.CancelledError:
            await workflow.wait_condition(handle.done)
            raise
        return await handle

    async def record(self, kind: str, person: str = "midflight", **details: Any) -> None:
        """Append to the audit trail."""
        request = Record(ref=self.ref, kind=kind, person=person, details=details)
        await self.call(CutoverActivities.record, request, f"record: {kind}", options.SHORT)

    async def set_stage(self, stage: Stage, reads_percent: float = 0.0, dark_percent: float = 0.0) -> None:
        """Move the stage in the authority row, and wait until the application obeys it."""
        request = SetStage(
            ref=self.ref,
            stage=stage,
            reads_bp=round(reads_percent * 100),
            dark_reads_bp=round(dark_percent * 100),
            epoch=self.state.epoch or None,  # unknown before the first answer
        )
        where = f" ({reads_percent:g} % of reads)" if stage is Stage.RAMP else ""
        staged: Staged = await self.call(CutoverActivities.set_stage, request, f"stage {stage}{where}", options.SHORT)
        self.state.stage, self.state.reads_percent = stage, reads_percent
        self.tell()
        await self.obeyed(staged)

    async def obeyed(self, staged: Staged) -> None:
        """Wait until no live instance of the application is late: never are three stages live at once."""
        self.state.epoch, self.state.acknowledge_seconds = staged.epoch, staged.seconds
        if staged.done:
            return
        self._tell_late(staged)
        request = AwaitAcknowledged(
            ref=self.ref,
            revision=staged.revision,
            within_seconds=options.ACKNOWLEDGED_WITHIN.total_seconds(),
        )

        def start() -> workflow.ActivityHandle[Staged]:
            return workflow.start_activity_method(
                CutoverActivities.acknowledged, request, summary="wait for late instances", **options.SLICE
            )

        await self.steering.work(start, self._tell_late)
        self.tell(waiting_for="")

    def _tell_late(self, staged: Staged) -> None:
        if not staged.done:
            self.tell(waiting_for=f"instances that do not obey the stage yet: {', '.join(staged.late)}")
            self.check_history()

    def steer_besides(self) -> None:
        """What runs beside the phases stands still with the move."""
        for beside in self.besides:
            beside.steer()

    def start_besides(self) -> None:
        """Start again what belongs to this part of the move."""
        for beside in self.besides:
            if beside.wanted():
                beside.start()

    async def halt_besides(self) -> None:
        """Nothing runs any more beside the phases; what is wanted is remembered."""
        for beside in self.besides:
            await beside.halt()

    def tell(self, waiting_for: str | None = None) -> None:
        """Bring everything an operator sees up to date."""
        if waiting_for is not None:
            self.state.waiting_for = waiting_for
        self.state.state = story.state_of(self.state)
        self.story.tell(self.state)

    def enter(self, phase: Phase) -> None:
        """Leave the phase and enter another."""
        now = workflow.now().isoformat(timespec="milliseconds")
        spans = self.state.spans
        if spans and not spans[-1].left:
            spans = [*spans[:-1], spans[-1].model_copy(update={"left": now})]
        self.state.spans = [*spans, PhaseSpan(phase=phase, entered=now)]
        self.state.phase = phase
        self.state.gate = self.state.passed = None
        self.state.approvals = ()
        self.tell(waiting_for="")

    def steer(self) -> Steer:
        """What the children must know."""
        return Steer(paused=self.steering.paused, pacing=self.state.pacing)

    def check_history(self) -> None:
        """HistoryFull when it is time to continue as new; what the operator wants goes first."""
        self.steering.check()
        info = workflow.info()
        if info.is_continue_as_new_suggested() or info.get_current_history_length() > self.request.history_limit:
            raise HistoryFull

    async def child(self, run: Callable[[Any, A], Any], argument: A, name: str, summary: str) -> Any:
        """Run a child workflow to its end, passing on pause and pacing; a rollback cancels it."""
        # Taken before the start: what is said while the child starts must reach it too.
        turn = self.steering.turn
        handle = await workflow.start_child_workflow(
            run,
            argument,
            id=f"{workflow.info().workflow_id}/{name}",
            static_summary=summary,
            search_attributes=self.story.attributes(self.state),
        )
        while not handle.done():
            seen = turn
            await workflow.wait_condition(lambda: handle.done() or self.steering.turn != seen)  # noqa: B023
            turn = self.steering.turn
            if not handle.done():
                await self._steer_child(handle)
        return await _outcome(handle, self.steering)

    async def _steer_child(self, handle: workflow.ChildWorkflowHandle[Any, Any]) -> None:
        if self.steering.stopped or self.steering.failure is not None:
            handle.cancel()
            await workflow.wait_condition(handle.done)
        else:
            with suppress(FailureError):  # it has just ended; its result is on the way
                await handle.signal("steer", self.steer())

    async def sleep_until(self, moment: float, why: str) -> None:
        """Sleep until the moment (seconds since 1970); pause, rollback and a full history act meanwhile."""
        self.tell(waiting_for=why)
        for piece in story.naps(moment - workflow.now().timestamp()):
            self.check_history()
            await self.steering.until(lambda: False, why, timeout=piece)
        await self.steering.ready()


def now_text() -> str:
    """The workflow's time as ISO text."""
    return moment_text(workflow.now())


def moment_text(moment: datetime) -> str:
    """A moment as ISO text."""
    return moment.isoformat(timespec="milliseconds")


async def _outcome(handle: workflow.ChildWorkflowHandle[Any, Any], steering: Steering) -> Any:
    try:
        return await handle
    except ChildWorkflowError as error:
        if is_cancelled_exception(error):
            steering.check()
        raise
