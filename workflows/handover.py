"""Handovers of authority, each one activity: the cutover, and the way back from the target. Protocol sections 4 and 5.

Whether a handover has happened is for the ledger to say: one that ended without an answer is asked for again, and
nothing else is done before it has answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.cutover import CutoverActivities
    from activities.reverse import ReverseActivities
    from midflight.contracts.cutover import HandBack, HandedOver, HandOver, Rehearse, Rehearsed
    from midflight.contracts.domain import Handover
    from midflight.contracts.parity import ParityReport
    from midflight.contracts.reverse import FEW_DIRTY, DrainBack, DrainedBack
    from midflight.core.gates import Evidence
    from midflight.core.phase import Stage
    from workflows import options
    from workflows.move import Move
    from workflows.steering import Parked

FULL = 100.0
MOVED = "AuthorityMoved"
"""The type of the failure that says: the target is the authority already."""


async def forecast(move: Move, evidence: Evidence) -> Evidence:
    """Rehearse what does no harm, so that whoever approves sees how long writes would wait."""
    state = move.state
    request = Rehearse(
        ref=move.ref,
        token=max(state.parity.token, state.compared_token),
        acknowledge_seconds=state.acknowledge_seconds,
    )

    def start() -> workflow.ActivityHandle[Rehearsed]:
        return workflow.start_activity_method(
            CutoverActivities.rehearse, request, summary="rehearse the cutover", **options.LOOK_AGAIN
        )

    rehearsed = await move.steering.answer(start)
    state.compared_token = rehearsed.token
    return evidence.model_copy(update={"hold_forecast_seconds": rehearsed.forecast_seconds})


async def hand_over(move: Move) -> None:
    """Make the target the authority, or say why that was undone (Parked)."""
    if not move.state.handing:
        await move.steering.ready()  # a pause is obeyed here, not while users wait
        await move.watch.halt()  # the handover alone moves the stage now
        move.steering.check()
        move.watch.want(False)
    seconds = move.plan.limits.cutover_seconds
    request = HandOver(ref=move.ref, epoch=move.state.epoch, token=move.state.compared_token, seconds=seconds)
    handed = await _ask(move, "over", CutoverActivities.hand_over, request, "hand over to the target")
    if not handed.done:
        await _not_handed_over(move, handed)
    await _in_charge(move, handed)


async def settle(move: Move) -> None:
    """Before a rollback: a handover that never answered is undone, unless it has happened."""
    try:
        await move.undisturbed(
            CutoverActivities.undo_handover, move.ref, "undo the cutover, unless it has happened", options.SHORT
        )
    except ActivityError as failure:
        if not (isinstance(failure.cause, ApplicationError) and failure.cause.type == MOVED):
            raise
        move.state.handing = ""
        await _in_charge(move, HandedOver(done=True, epoch=move.state.epoch + 1))
    else:
        move.state.handing = ""
        _at_the_source(move)


async def come_back(move: Move) -> None:
    """Write back what the target has and the source has not; then make the source the authority, or say why not."""
    if not move.state.handing:
        move.tail.start()  # it may have failed for good, which parked the move: without it no mark is ever passed
        move.reverse.start()
        await _drain(move)
        await move.steering.ready()
    seconds = move.plan.limits.cutover_seconds
    request = HandBack(ref=move.ref, epoch=move.state.epoch, seconds=seconds)
    handed = await _ask(move, "back", CutoverActivities.hand_back, request, "hand back to the source")
    if not handed.done:
        # A way back that is undone in its hold ends in stage `target`, wherever it began: writes go on at once.
        move.state.stage = Stage.TARGET
        await move.record("way_back_undone", reason=handed.reason, late=list(handed.late), steps=handed.steps)
        raise Parked(
            f"The way back was undone, the target is in charge as before, nothing is lost: {_why(handed)}. "
            "`resume` tries again, `resume --withdraw` stays with the target."
        )
    move.state.flipped, move.state.epoch = False, handed.epoch
    # What was compared before the target was in charge proves nothing about what was written since.
    move.state.parity, move.state.compared_token = ParityReport(), 0
    _at_the_source(move)
    await move.reverse.stop()
    await move.record("flipped_back", epoch=handed.epoch, held_seconds=handed.seconds, steps=handed.steps)


async def _ask(move: Move, way: Handover, method: Callable[[Any, Any], Any], request: Any, summary: str) -> HandedOver:
    """Ask until it is answered; what the operator says meanwhile is obeyed afterwards."""
    move.state.handing = way
    move.steer_besides()
    move.tell(waiting_for=f"the handover ({summary}); commands are obeyed when it has ended")
    handed: HandedOver = await move.undisturbed(
        method, request, summary, options.handover(move.plan.limits.cutover_seconds)
    )
    move.state.handing = ""
    move.steer_besides()
    move.tell(waiting_for="")
    return handed


async def _in_charge(move: Move, handed: HandedOver) -> None:
    state = move.state
    state.flipped, state.epoch = True, handed.epoch
    state.stage, state.reads_percent = Stage.TARGET, FULL
    move.reverse.start()
    move.tell()
    await move.record(
        "flipped", epoch=handed.epoch, held_seconds=handed.seconds, steps=handed.steps, compared=handed.compared
    )


async def _not_handed_over(move: Move, handed: HandedOver) -> None:
    _at_the_source(move)
    move.state.passed = None  # it is for a person to say again that users may wait
    move.watch.start()
    await move.record(
        "cutover_undone", reason=handed.reason, late=list(handed.late), held_seconds=handed.seconds, steps=handed.steps
    )
    raise Parked(
        f"The cutover was undone, nothing is lost, reads are at 100 % of ramp: {_why(handed)}. `resume` tries again."
    )


def _at_the_source(move: Move) -> None:
    """A handover leaves the stage at ramp(100) where the source is in charge."""
    move.state.stage, move.state.reads_percent = Stage.RAMP, FULL
    move.tell()


def _why(handed: HandedOver) -> str:
    late = f" (late: {', '.join(handed.late)})" if handed.late else ""
    return f"{handed.reason.rstrip('.')}{late}"


async def _drain(move: Move) -> None:
    """Until so little is left that writes need not wait long for the rest; what is refused is tried again after it."""
    request = DrainBack(
        ref=move.ref,
        within_seconds=options.DRAIN_BACK_WITHIN.total_seconds(),
        at_most=FEW_DIRTY,
    )

    def start() -> workflow.ActivityHandle[DrainedBack]:
        return workflow.start_activity_method(
            ReverseActivities.drain_back, request, summary="drain what is to be written back", **options.SLICE
        )

    while (drained := await move.steering.answer(start)).pending - drained.refused > FEW_DIRTY:
        move.tell(waiting_for=f"{drained.pending:,} keys to be written back to the source")
        move.check_history()
