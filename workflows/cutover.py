"""Cutover: hold, fence, drain, verify, flip; every miss before the flip is undone. Protocol section 4."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.cutover import CutoverActivities
    from activities.parity import ParityActivities
    from activities.tail import TailActivities
    from midflight.contracts.cutover import Fence, Flip, Flipped, SetStage
    from midflight.contracts.parity import ChangedChecked, CheckChanged
    from midflight.contracts.tail import Drain, Drained
    from midflight.core.phase import Stage
    from workflows import options
    from workflows.move import Move, Parked
    from workflows.steering import Interrupted

FULL = 100.0


async def cut_over(move: Move) -> None:
    """Hold until nothing stands between the domain and the flip, or undo and say which step was late (Parked)."""
    token = await _compare_changed(move)
    await move.steering.ready()  # a pause is obeyed here, not while users wait
    try:
        await _hold_and_verify(move, token)
    except Interrupted:
        await undo(move)
        raise
    except (ActivityError, _Late) as failure:
        await undo(move)
        cause = failure.cause if isinstance(failure, ActivityError) and failure.cause else failure
        await move.record("cutover_undone", cause=str(cause))
        raise Parked(
            f"The cutover was undone, nothing is lost, reads are at 100 % of ramp: {cause}. `resume` tries again."
        ) from failure


async def undo(move: Move) -> None:
    """Back to ramp(100): unfence the source, release the hold. Safe to repeat, and where nothing was done yet."""
    move.tell(waiting_for="undoing the cutover")
    await move.call(CutoverActivities.lower_fence, _fence(move), "lower the fence", options.FLIP)
    move.state.fenced = False
    await move.set_stage(Stage.RAMP, reads_percent=FULL)


async def flip(move: Move) -> None:
    """Make the target the authority. Repeated until the ledger has answered: it may have happened unheard."""
    request = Flip(ref=move.ref, epoch=move.state.flip_epoch)
    flipped: Flipped = await move.call(
        CutoverActivities.flip, request, "flip: the target is the authority", options.FLIP
    )
    move.state.stage, move.state.reads_percent = Stage.TARGET, FULL
    await move.record("flipped", epoch=flipped.epoch, **move.held)
    move.tell(waiting_for="")


class _Late(Exception):
    """A step of the hold missed its deadline or found a difference."""


async def _compare_changed(move: Move) -> int:
    """Before the hold: compare what changed since the last full run, until little is left for the hold itself."""
    token = move.state.parity.token
    for _ in range(options.CHANGED_PASSES):
        checked: ChangedChecked = await move.call(
            ParityActivities.check_changed,
            CheckChanged(ref=move.ref, token=token),
            "compare what changed since parity",
            options.LOOK_AGAIN,
        )
        # Differences found while writes go on may be writes under way: only a clean pass moves the token on.
        token = checked.token if not checked.mismatches else token
        if checked.compared <= options.FEW_CHANGED:
            break
    return token


async def _hold_and_verify(move: Move, token: int) -> None:
    deadline = workflow.now() + timedelta(seconds=move.plan.limits.cutover_seconds)
    epoch = await _hold(move)
    move.state.fenced = True
    await move.call(CutoverActivities.raise_fence, _fence(move), "fence the source", options.CUTOVER_STEP)
    drain = Drain(ref=move.ref, within_seconds=_left(deadline, "fence"))
    drained: Drained = await move.call(TailActivities.drain, drain, "drain the tail", options.DRAIN)
    checked: ChangedChecked = await move.call(
        ParityActivities.check_changed,
        CheckChanged(ref=move.ref, token=token),
        "compare the last changes",
        options.CUTOVER_STEP,
    )
    if checked.mismatches:
        raise _Late(f"{checked.mismatches} of {checked.compared} documents changed last differ")
    _left(deadline, "verify")
    move.steering.check()
    if move.steering.paused:
        raise _Late("paused during the hold")
    # From here on a rollback is refused: whether the flip has happened is for the ledger to say.
    move.state.flipped, move.state.flip_epoch = True, epoch
    move.held = {"drained_seconds": drained.seconds, "compared": checked.compared}


def _fence(move: Move) -> Fence:
    return Fence(ref=move.ref, collections=tuple(entry.collection for entry in move.plan.collections))


async def _hold(move: Move) -> int:
    """Stage `hold`; returns the epoch that the flip must find unchanged."""
    request = SetStage(ref=move.ref, stage=Stage.HOLD, reads_bp=10_000)
    epoch: int = await move.call(CutoverActivities.set_stage, request, "hold: writes wait", options.CUTOVER_STEP)
    move.state.stage = Stage.HOLD
    move.tell(waiting_for="the cutover")
    return epoch


def _left(deadline: datetime, step: str) -> float:
    left = (deadline - workflow.now()).total_seconds()
    if left <= 0:
        raise _Late(f"step {step} ended after the deadline")
    return left
