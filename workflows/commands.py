"""What an operator may say now, and why not. Pure: state and command in, answer out."""

from __future__ import annotations

from midflight.contracts.domain import (
    LOG_LENGTH,
    Abandon,
    Answer,
    Approve,
    Command,
    DomainState,
    GateView,
    LogEntry,
    Pause,
    Reject,
    Resume,
    Rollback,
    SetPacing,
)
from midflight.core.phase import ORDER, UNDOABLE, Phase, precedes
from midflight.core.plan import GateName, Pacing

REPEATED = "already done"
NO_WAY_BACK = "the point of no return is behind: the source is archived and dropped, the target stays in charge"
BEFORE_NO_RETURN = "after it there is no way back, the source is dropped"
NO_RETURN: frozenset[GateName] = frozenset({"decommission"})


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
        case Resume(withdraw=True):
            return "withdraw the rollback"
        case SetPacing():
            return f"set pacing ({_changes(command)})"
        case _:
            return type(command).__name__.lower()


def persons(gate: GateName) -> int:
    """How many different persons must approve a gate."""
    return 2 if gate in NO_RETURN else 1


def approval_wanted(view: GateView) -> str:
    """What the gate waits for, in words, with the warning where nothing leads back."""
    if view.persons == 1:
        return f"approval of {view.gate}"
    given = f" (given by {', '.join(view.approved_by)})" if view.approved_by else ""
    return f"approval of {view.gate} by {view.persons} different persons{given}: {BEFORE_NO_RETURN}"


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
            return _refuse_resume(state, command)
        case Approve() | Reject():
            return _refuse_decision(state, command)
        case Rollback():
            return _refuse_rollback(state, command)
        case Abandon():
            return _refuse_abandon(state)
        case _:
            return None


def _refuse_pause(state: DomainState) -> str | None:
    if state.pause is not None:
        return f"already paused by {state.pause.person}; `resume` goes on"
    return None


def _refuse_resume(state: DomainState, command: Resume) -> str | None:
    if command.withdraw:
        return _refuse_withdrawal(state)
    if state.pause is None and not state.parked:
        return f"nothing to resume: the move is {state.state} in phase {state.phase}"
    return None


def _refuse_decision(state: DomainState, command: Approve | Reject) -> str | None:
    gate = state.gate
    if gate is None or not gate.needs_approval:
        return f"nothing waits for an approval: the move is {state.state} in phase {state.phase}"
    if gate.gate != command.gate:
        return f"it is gate {gate.gate} that waits, not {command.gate}"
    if isinstance(command, Approve):
        return _refuse_evidence(gate, command) or _refuse_same(gate, command)
    return None


def _refuse_evidence(gate: GateView, command: Approve) -> str | None:
    if gate.reasons:
        return f"gate {gate.gate} is not ready: {'; '.join(gate.reasons)}"
    if gate.evidence_hash != command.evidence:
        return (
            f"the evidence has changed: the approval names {command.evidence}, it is {gate.evidence_hash} now; "
            "look at it again (`status`), then approve that"
        )
    return None


def _refuse_same(gate: GateView, command: Approve) -> str | None:
    if command.person in gate.approved_by:
        return f"{command.person} has approved {gate.gate} already; it takes a different person now"
    return None


def _refuse_withdrawal(state: DomainState) -> str | None:
    if state.rollback is None or not state.parked:
        return f"no way back stands still that could be given up: the move is {state.state} in phase {state.phase}"
    if not state.flipped or state.handing:
        return f"the rollback to {state.rollback.to} has undone something already: it only goes on, with `resume`"
    return None


def _refuse_rollback(state: DomainState, command: Rollback) -> str | None:
    if state.dropping or state.phase is Phase.DONE:
        return NO_WAY_BACK
    if command.to not in UNDOABLE:
        return f"a rollback leads to one of {', '.join(p for p in ORDER if p in UNDOABLE)}, not to {command.to}"
    if precedes(state.phase, command.to):
        return f"the move is in phase {state.phase}, which comes before {command.to}"
    if state.rollback is not None and not state.parked:
        return f"a rollback to {state.rollback.to} is under way"
    return None


def _refuse_abandon(state: DomainState) -> str | None:
    if state.phase is not Phase.PREPARE or not state.parked:
        return (
            f"only a move that stands still in prepare can be given up, this one is {state.state} in phase "
            f"{state.phase}; `rollback --to prepare` leads there"
        )
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
