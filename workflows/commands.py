"""What an operator may say now, and why not. Pure: state and command in, answer out."""

from __future__ import annotations

from midflight.contracts.domain import (
    LOG_LENGTH,
    Answer,
    Approve,
    Command,
    DomainState,
    LogEntry,
    Pause,
    Reject,
    Resume,
    Rollback,
    SetPacing,
)
from midflight.core.phase import ORDER, UNDOABLE, precedes
from midflight.core.plan import Pacing

REPEATED = "already done"
WAY_BACK = (
    "the target is the authority since the cutover, and the way back after the flip needs the reverse tail, "
    "which this version does not have; look at `report` before anything else"
)


def decide(state: DomainState, command: Command) -> Answer:
    """Accepted or refused, with the reason and what to do instead."""
    if _repeated(state, command):
        return Answer(accepted=True, message=REPEATED)
    refusal = _refusal(state, command)
    return Answer(accepted=refusal is None, message=refusal or _confirmation(command))


def log(state: DomainState, command: Command, answer: Answer, at: str) -> None:
    """Remember the command and its answer, the newest last, bounded."""
    entry = LogEntry(
        at=at,
        person=command.person,
        what=described(command),
        accepted=answer.accepted,
        message=answer.message,
        request_id=command.request_id,
    )
    state.log = [*state.log, entry][-LOG_LENGTH:]


def described(command: Command) -> str:
    """The command in a few words."""
    match command:
        case Approve() | Reject():
            return f"{type(command).__name__.lower()} {command.gate}"
        case Rollback():
            return f"rollback to {command.to}"
        case SetPacing():
            return f"set pacing ({_changes(command)})"
        case _:
            return type(command).__name__.lower()


def new_pacing(pacing: Pacing, command: SetPacing) -> Pacing:
    """The pacing with the command's changes."""
    changes = {
        "documents_per_second": command.documents_per_second,
        "batch_size": command.batch_size,
        "parallel": command.parallel,
        "window": command.window,
    }
    named = {name: value for name, value in changes.items() if value is not None}
    lifted = {"documents_per_second": command.unlimited, "window": command.always}
    return pacing.model_copy(update=named | {name: None for name, lift in lifted.items() if lift})


def _repeated(state: DomainState, command: Command) -> bool:
    return bool(command.request_id) and any(
        entry.request_id == command.request_id and entry.accepted for entry in state.log
    )


def _refusal(state: DomainState, command: Command) -> str | None:
    match command:
        case Pause():
            return _refuse_pause(state)
        case Resume():
            return _refuse_resume(state)
        case Approve():
            return _refuse_decision(state, command) or _refuse_evidence(state, command)
        case Reject():
            return _refuse_decision(state, command)
        case Rollback():
            return _refuse_rollback(state, command)
        case _:
            return None


def _refuse_pause(state: DomainState) -> str | None:
    if state.pause is not None:
        return f"already paused by {state.pause.person}; `resume` goes on"
    return None


def _refuse_resume(state: DomainState) -> str | None:
    if state.pause is None and not state.parked:
        return f"nothing to resume: the move is {state.state} in phase {state.phase}"
    return None


def _refuse_decision(state: DomainState, command: Approve | Reject) -> str | None:
    gate = state.gate
    if gate is None or not gate.needs_approval:
        return f"nothing waits for an approval: the move is {state.state} in phase {state.phase}"
    if gate.gate != command.gate:
        return f"it is gate {gate.gate} that waits, not {command.gate}"
    return None


def _refuse_evidence(state: DomainState, command: Approve) -> str | None:
    gate = state.gate
    if gate is None:
        return None
    if gate.reasons:
        return f"gate {gate.gate} is not ready: {'; '.join(gate.reasons)}"
    if gate.evidence_hash != command.evidence:
        return (
            f"the evidence has changed: the approval names {command.evidence}, it is {gate.evidence_hash} now; "
            "look at it again (`status`), then approve that"
        )
    return None


def _refuse_rollback(state: DomainState, command: Rollback) -> str | None:
    if state.flipped or state.phase not in UNDOABLE:
        return WAY_BACK
    if command.to not in UNDOABLE:
        return f"a rollback leads to one of {', '.join(p for p in ORDER if p in UNDOABLE)}, not to {command.to}"
    if precedes(state.phase, command.to):
        return f"the move is in phase {state.phase}, which comes before {command.to}"
    if state.rollback is not None and not state.parked:
        return f"a rollback to {state.rollback.to} is under way"
    return None


def _changes(command: SetPacing) -> str:
    changes = {
        "documents/s": "unlimited" if command.unlimited else command.documents_per_second,
        "batch": command.batch_size,
        "parallel": command.parallel,
        "window": "always" if command.always else command.window and f"{command.window.start}-{command.window.end}",
    }
    return ", ".join(f"{name} {value}" for name, value in changes.items() if value is not None) or "no change"


def _confirmation(command: Command) -> str:
    return f"{described(command)}: accepted"
