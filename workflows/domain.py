"""MigrateDomain: the runbook of one domain, as a workflow."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from midflight.contracts.domain import (
        Abandon,
        Answer,
        Approve,
        Command,
        DomainReport,
        DomainStatus,
        GateView,
        MigrateRequest,
        Pause,
        Reject,
        Resume,
        Rollback,
        SetPacing,
    )
    from midflight.core.phase import Phase, after
    from workflows import commands, story
    from workflows.acts import act
    from workflows.move import Move, now_text
    from workflows.phases import RUNBOOK
    from workflows.rollback import roll_back
    from workflows.steering import HistoryFull, Interrupted, Parked

REFUSED = "Refused"


@workflow.defn
class MigrateDomain:
    """Moves one domain from its source to its target, steered by an operator."""

    @workflow.init
    def __init__(self, request: MigrateRequest) -> None:
        self._move = Move(request)
        self._state = self._move.state

    @workflow.run
    async def run(self, request: MigrateRequest) -> DomainReport:  # noqa: ARG002 (given to __init__ too)
        """Phase after phase until done; pauses, rollbacks, failures and a long history lead back into the loop."""
        if not self._state.spans:
            self._move.enter(Phase.PREPARE)
        self._move.start_besides()
        self._move.tell()
        while self._state.phase is not Phase.DONE and not self._state.abandoned:
            await self._one_phase()
        await self._move.halt_besides()
        self._move.tell()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._report()

    async def _one_phase(self) -> None:
        move = self._move
        try:
            await self._ready()
            await RUNBOOK[self._state.phase](move)
            move.enter(after(self._state.phase))
            move.check_history()
        except Interrupted:
            await self._roll_back()
        except HistoryFull:
            await self._continue_as_new()
        except Parked as reason:
            self._park(str(reason))
        except FailureError as failure:
            self._park(_cause(failure))

    async def _ready(self) -> None:
        """Wait while parked or paused; keep going what runs beside the phases."""
        state, steering = self._state, self._move.steering
        if state.parked:
            while not await steering.until(lambda: not state.parked, "an operator: resume or rollback", story.NAP):
                self._move.check_history()
            steering.clear()
            self._move.start_besides()
        await steering.ready()
        self._move.tell()

    def _park(self, problem: str) -> None:
        """Stand still, with what runs beside the phases if it can, until an operator resumes or rolls back."""
        self._state.parked, self._state.problem = True, problem
        self._state.gate, self._state.approvals = None, ()
        self._move.steering.failure = None
        self._move.tell(waiting_for="an operator: resume or rollback")

    async def _roll_back(self) -> None:
        rollback = self._state.rollback
        self._move.steering.clear()
        if rollback is None:
            return
        try:
            await roll_back(self._move, rollback)
        except HistoryFull:
            await self._continue_as_new()
        except Parked as reason:
            self._park(str(reason))
        except FailureError as failure:
            # Half undone: `resume` goes on undoing, never forward.
            self._park(f"The rollback to {rollback.to} did not finish: {_cause(failure)}. `resume` goes on with it.")

    async def _continue_as_new(self) -> None:
        await self._move.halt_besides()
        await workflow.wait_condition(workflow.all_handlers_finished)
        self._state.runs += 1
        workflow.continue_as_new(self._move.request.model_copy(update={"state": self._state}))

    def _report(self) -> DomainReport:
        state = self._state
        return DomainReport(
            domain=state.domain,
            phase=state.phase,
            documents=sum(c.documents for c in state.collections.values()),
            quarantined=sum(c.quarantined for c in state.collections.values()),
            parity=state.parity,
            spans=tuple(state.spans),
            abandoned=state.abandoned,
        )

    # --- what an operator says -------------------------------------------------------------------------------

    def _obey(self, command: Command) -> Answer:
        """Decide, act, remember. Never raises."""
        answer = commands.decide(self._state, command)
        if answer.accepted and answer.message != commands.REPEATED:
            act(self._move, command)
        commands.log(self._state, command, answer, now_text())
        self._move.tell()
        return answer

    def _check(self, command: Command) -> None:
        answer = commands.decide(self._state, command)
        if not answer.accepted:
            raise ApplicationError(answer.message, type=REFUSED, non_retryable=True)

    @workflow.signal(description="Write nothing more until resumed")
    def pause(self, command: Pause) -> None:
        """Pause."""
        self._obey(command)

    @workflow.signal(description="Go on after a pause, a rollback, a rejection or a failure")
    def resume(self, command: Resume) -> None:
        """Resume."""
        self._obey(command)

    @workflow.signal(description="Open a gate; names the evidence that was looked at")
    def approve(self, command: Approve) -> None:
        """Approve."""
        self._obey(command)

    @workflow.signal(description="Keep a gate shut")
    def reject(self, command: Reject) -> None:
        """Reject."""
        self._obey(command)

    @workflow.signal(description="Take back everything since the beginning of a phase")
    def rollback(self, command: Rollback) -> None:
        """Roll back."""
        self._obey(command)

    @workflow.signal(description="Give up a move that stands still in prepare")
    def abandon(self, command: Abandon) -> None:
        """Abandon."""
        self._obey(command)

    @workflow.signal(description="Change rate, batch size or parallelism of the backfill")
    def set_pacing(self, command: SetPacing) -> None:
        """Set pacing."""
        self._obey(command)

    @workflow.update(name="pause_now", description="Pause, with an answer")
    def pause_update(self, command: Pause) -> Answer:
        """Pause, with an answer."""
        return self._obey(command)

    @workflow.update(name="resume_now", description="Resume, with an answer")
    def resume_update(self, command: Resume) -> Answer:
        """Resume, with an answer."""
        return self._obey(command)

    @workflow.update(name="approve_now", description="Approve a gate, with an answer; a refusal stays in the log")
    def approve_update(self, command: Approve) -> Answer:
        """Approve, with an answer. Not validated beforehand, so that a refused approval is remembered too."""
        return self._obey(command)

    @workflow.update(name="reject_now", description="Reject a gate, with an answer")
    def reject_update(self, command: Reject) -> Answer:
        """Reject, with an answer."""
        return self._obey(command)

    @workflow.update(name="rollback_now", description="Roll back, with an answer")
    def rollback_update(self, command: Rollback) -> Answer:
        """Roll back, with an answer."""
        return self._obey(command)

    @workflow.update(name="abandon_now", description="Abandon, with an answer")
    def abandon_update(self, command: Abandon) -> Answer:
        """Abandon, with an answer."""
        return self._obey(command)

    @workflow.update(name="set_pacing_now", description="Set pacing, with an answer")
    def set_pacing_update(self, command: SetPacing) -> Answer:
        """Set pacing, with an answer."""
        return self._obey(command)

    @pause_update.validator
    def _validate_pause(self, command: Pause) -> None:
        self._check(command)

    @resume_update.validator
    def _validate_resume(self, command: Resume) -> None:
        self._check(command)

    @reject_update.validator
    def _validate_reject(self, command: Reject) -> None:
        self._check(command)

    @rollback_update.validator
    def _validate_rollback(self, command: Rollback) -> None:
        self._check(command)

    @abandon_update.validator
    def _validate_abandon(self, command: Abandon) -> None:
        self._check(command)

    # --- what an operator reads ------------------------------------------------------------------------------

    @workflow.query(description="Everything about the move")
    def status(self) -> DomainStatus:
        """The state and what the plan demands."""
        plan = self._move.plan
        return DomainStatus(state=self._state, owner=plan.owner, approvals=plan.approvals, ramp_steps=plan.ramp.steps)

    @workflow.query(description="The gate the move stands before, with its evidence")
    def gates(self) -> GateView | None:
        """The gate, or nothing."""
        return self._state.gate


def _cause(failure: FailureError) -> str:
    """The innermost message: that is where what happened, where, and what to do are said."""
    cause: BaseException = failure
    while isinstance(cause, FailureError) and cause.cause is not None:
        cause = cause.cause
    return str(cause)
