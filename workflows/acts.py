"""What an accepted command does to a move, at once and without waiting: the phases notice through the steering."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from midflight.contracts.domain import (
        Abandon,
        Approval,
        Approve,
        Command,
        Pause,
        Reject,
        Resume,
        Rollback,
        SetPacing,
    )
    from workflows import commands
    from workflows.move import Move, now_text


def act(move: Move, command: Command) -> None:
    """Obey. Never raises: an error in a signal would end the whole move."""
    match command:
        case Pause() | Resume() | SetPacing():
            _steer(move, command)
        case Approve():
            _approve(move, command)
        case Reject():
            move.state.approvals, move.state.parked = (), True
            move.state.problem = f"gate {command.gate} was rejected by {command.person}: {command.reason}"
        case Rollback():
            _go_on(move)
            move.state.rollback = command
            move.steering.stop()
        case Abandon():
            _go_on(move)
            move.state.abandoned = True
            move.steering.stop()


def _steer(move: Move, command: Pause | Resume | SetPacing) -> None:
    match command:
        case Pause():
            move.state.pause = command
            move.steering.pause()
            move.steer_besides()
        case Resume():
            _resume(move, command)
        case SetPacing():
            move.state.pacing = commands.new_pacing(move.state.pacing, command)
            move.steering.renew()


def _resume(move: Move, command: Resume) -> None:
    parked = _go_on(move)
    if command.withdraw:
        move.state.rollback = None
    if move.state.rollback is not None and parked:
        move.steering.stop()  # a rollback that did not finish goes on


def _go_on(move: Move) -> bool:
    """Neither paused nor parked any more; returns whether it was parked."""
    state = move.state
    parked = state.parked
    state.pause, state.parked, state.problem = None, False, ""
    move.steering.resume()
    move.steer_besides()
    return parked


def _approve(move: Move, command: Approve) -> None:
    state = move.state
    approval = Approval(
        gate=command.gate,
        person=command.person,
        reason=command.reason,
        evidence_hash=command.evidence,
        at=now_text(),
    )
    state.approvals = (*state.approvals, approval)
    if state.gate is not None:
        given = tuple(one.person for one in state.approvals)
        state.gate = state.gate.model_copy(update={"approved_by": given})
        state.waiting_for = commands.approval_wanted(state.gate)
