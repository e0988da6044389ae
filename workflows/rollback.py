"""Rollback: take back everything since the beginning of a phase, newest first."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.cutover import CutoverActivities
    from activities.tail import TailActivities
    from midflight.contracts.cutover import Undo
    from midflight.contracts.domain import CollectionProgress, Rollback
    from midflight.contracts.parity import ParityReport
    from midflight.core.phase import STAGE_OF, Phase, Stage, at_least, precedes
    from workflows import handover, options
    from workflows.move import Move


async def roll_back(move: Move, rollback: Rollback) -> None:
    """Undo, then stand at the beginning of `rollback.to`, waiting to be resumed."""
    to = rollback.to
    move.tell(waiting_for=f"rolling back to {to}")
    await move.watch.stop()
    if move.state.handing == "over":
        await handover.settle(move)
    if move.state.flipped:
        await handover.come_back(move)
    came_from = move.state.phase
    if at_least(came_from, Phase.CAPTURE):
        await move.set_stage(
            STAGE_OF[to],
            reads_percent=handover.FULL if to is Phase.CUTOVER else 0.0,
            # The gate of the ramp asks for dark reads made since the stage was set.
            dark_percent=move.plan.dark_reads.percent if STAGE_OF[to] is Stage.RAMP else 0.0,
        )
        await _undo_copy(move, to)
        await move.record("rolled_back", rollback.person, reason=rollback.reason, **{"from": came_from, "to": to})
    _forget(move, to)
    move.enter(to)
    if to is Phase.CUTOVER:
        move.watch.start()
    move.state.parked, move.state.problem, move.state.rollback = True, "", None
    move.tell(waiting_for="resume, after the rollback")


async def _undo_copy(move: Move, to: Phase) -> None:
    if not precedes(Phase.CAPTURE, to):
        await move.tail.stop()
        await move.call(TailActivities.forget, move.ref, "remove our marks from the source", options.SHORT)
        undo = Undo(ref=move.ref, forget_copy=True, epoch=move.state.epoch or None)
        await move.call(CutoverActivities.undo, undo, "empty the target, epoch + 1", options.BUILD)
        move.state.epoch += 1 if move.state.epoch else 0
    elif to is Phase.BACKFILL:
        undo = Undo(ref=move.ref, forget_partitions=True, epoch=move.state.epoch or None)
        await move.call(CutoverActivities.undo, undo, "forget the backfill's progress", options.BUILD)


def _forget(move: Move, to: Phase) -> None:
    state = move.state
    state.ramp_step, state.soak_until, state.archive = 0, None, None
    state.evidence = None
    if not precedes(Phase.BACKFILL, to):
        state.parity, state.compared_token = ParityReport(), 0
        state.collections = {
            name: CollectionProgress(expected=known.expected) for name, known in state.collections.items()
        }
