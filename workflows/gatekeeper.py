"""Gates: gather evidence until it suffices, ask for approvals where the plan wants them, record both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.cutover import CutoverActivities
    from midflight.contracts.domain import Approval, GateView
    from midflight.core.gates import Evidence, Verdict, judge
    from midflight.core.plan import GateName
    from workflows import commands, options
    from workflows.move import Move
    from workflows.steering import Parked
    from workflows.verify import check_parity

Measure = Callable[[Move, Evidence], Awaitable[Evidence]]
NO_PARITY = "parity was not checked since the target was in charge"


async def pass_gate(move: Move, gate: GateName, measure: Measure | None = None) -> None:
    """Return when the gate is open: evidence good and, where asked for, approved by persons who saw that evidence.

    `measure` adds to evidence that is good so far, before anybody is asked. A gate that was passed in this phase stays
    open: an interruption does not ask again.
    """
    if move.state.passed == gate:
        return
    wait, checked = options.GATE_LOOKS_FIRST, False
    while True:
        move.check_history()
        evidence, verdict = await _look(move, gate, measure)
        if verdict.go and (gate not in move.plan.approvals or await _approved(move, gate)):
            await _record(move, gate, evidence)
            return
        if verdict.wants_parity:
            if checked:
                raise Parked(f"parity was checked just now and still does not count: {'; '.join(verdict.reasons)}")
            await check_parity(move)
            checked = True
            continue
        checked = False
        if not verdict.go:
            await move.steering.until(lambda: False, f"until gate {gate} is looked at again", timeout=wait)
            await move.steering.ready()
            wait = min(wait * 2, options.GATE_LOOKS_AT_MOST)


async def _look(move: Move, gate: GateName, measure: Measure | None) -> tuple[Evidence, Verdict]:
    """Gather the evidence and show it."""
    # While it is gathered nothing can be approved: an approval of the evidence before would be lost.
    move.state.gate, move.state.approvals = None, ()
    evidence: Evidence = await move.call(
        CutoverActivities.gather_evidence, move.ref, f"evidence for gate {gate}", options.SHORT
    )
    verdict = _judge(move, gate, evidence)
    if verdict.go and measure is not None:
        evidence = await measure(move, evidence)
        verdict = _judge(move, gate, evidence)
    move.state.evidence = evidence
    move.state.gate = GateView(
        gate=gate,
        evidence=evidence,
        evidence_hash=evidence.hash,
        reasons=verdict.reasons,
        needs_approval=verdict.go and gate in move.plan.approvals,
        persons=commands.persons(gate),
    )
    move.tell(waiting_for=_waiting_for(move.state.gate))
    return evidence, verdict


def _judge(move: Move, gate: GateName, evidence: Evidence) -> Verdict:
    verdict = judge(gate, evidence, move.plan.limits)
    if move.state.flipped or move.state.parity.run:
        return verdict
    return verdict.model_copy(update={"reasons": (*verdict.reasons, NO_PARITY), "wants_parity": True})


def _waiting_for(view: GateView) -> str:
    if view.reasons:
        return f"gate {view.gate}: {view.reasons[0]}"
    return commands.approval_wanted(view) if view.needs_approval else ""


async def _approved(move: Move, gate: GateName) -> bool:
    """Wait for people. False when the evidence has become too old to approve, or went bad while it was looked at."""
    state, wanted = move.state, commands.persons(gate)
    answered = await move.steering.until(
        lambda: len(state.approvals) >= wanted or state.parked,
        f"approval of {gate}",
        timeout=options.EVIDENCE_KEEPS if wanted == 1 else options.BOTH_WITHIN,
    )
    if state.parked:
        raise Parked(state.problem)
    if not answered:
        return False
    given = state.approvals
    await move.steering.ready()
    good = await _still_good(move, gate, given)
    if state.parked:
        raise Parked(state.problem)
    return good and state.approvals[: len(given)] == given


async def _still_good(move: Move, gate: GateName, given: tuple[Approval, ...]) -> bool:
    """The evidence was good when it was shown; it must still be good now, or the approvals are void."""
    fresh: Evidence = await move.call(
        CutoverActivities.gather_evidence, move.ref, f"is gate {gate} still good?", options.SHORT
    )
    shown = move.state.evidence
    known = {"hold_forecast_seconds": shown.hold_forecast_seconds if shown else None}
    verdict = _judge(move, gate, fresh.model_copy(update=known))
    if not verdict.go:
        await move.record("approval_void", _persons(given), gate=gate, reasons=list(verdict.reasons))
    return verdict.go


async def _record(move: Move, gate: GateName, evidence: Evidence) -> None:
    given = move.state.approvals
    await move.record(
        "gate_passed",
        _persons(given) or "midflight",
        gate=gate,
        reason="; ".join(approval.reason for approval in given),
        evidence=evidence.model_dump(),
        evidence_hash=evidence.hash,
    )
    move.state.gate, move.state.approvals, move.state.passed = None, (), gate
    move.tell(waiting_for="")


def _persons(given: tuple[Approval, ...]) -> str:
    return ", ".join(approval.person for approval in given)
