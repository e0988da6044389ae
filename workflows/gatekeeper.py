"""Gates: gather evidence until it suffices, ask for an approval where the plan wants one, record both."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.cutover import CutoverActivities
    from midflight.contracts.domain import GateView
    from midflight.core.gates import Evidence, Verdict, judge
    from midflight.core.plan import GateName
    from workflows import options
    from workflows.move import Move, Parked
    from workflows.verify import check_parity


async def pass_gate(move: Move, gate: GateName) -> None:
    """Return when the gate is open: evidence good and, where asked for, approved by a person who saw that evidence."""
    wait, checked = options.GATE_LOOKS_FIRST, False
    while True:
        move.check_history()
        evidence, verdict = await _look(move, gate)
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


async def _look(move: Move, gate: GateName) -> tuple[Evidence, Verdict]:
    """Gather the evidence and show it."""
    # While it is gathered nothing can be approved: an approval of the evidence before would be lost.
    move.state.gate = move.state.approval = None
    evidence: Evidence = await move.call(
        CutoverActivities.gather_evidence, move.ref, f"evidence for gate {gate}", options.SHORT
    )
    verdict = judge(gate, evidence, move.plan.limits)
    move.state.evidence = evidence
    move.state.gate = GateView(
        gate=gate,
        evidence=evidence,
        evidence_hash=evidence.hash,
        reasons=verdict.reasons,
        needs_approval=verdict.go and gate in move.plan.approvals,
    )
    move.tell(waiting_for=_waiting_for(move, gate, verdict))
    return evidence, verdict


def _waiting_for(move: Move, gate: GateName, verdict: Verdict) -> str:
    if verdict.go:
        return f"approval of {gate}" if gate in move.plan.approvals else ""
    return f"gate {gate}: {verdict.reasons[0]}"


async def _approved(move: Move, gate: GateName) -> bool:
    """Wait for a person. False when the evidence has become too old to approve, or went bad while it was looked at."""
    state = move.state
    answered = await move.steering.until(
        lambda: state.approval is not None or state.parked,
        f"approval of {gate}",
        timeout=options.EVIDENCE_KEEPS,
    )
    if state.parked:
        raise Parked(state.problem)
    if not answered or state.approval is None:
        return False
    approval = state.approval
    await move.steering.ready()
    # The evidence was good when it was shown; it must still be good now, or the approval is void.
    fresh: Evidence = await move.call(
        CutoverActivities.gather_evidence, move.ref, f"is gate {gate} still good?", options.SHORT
    )
    if state.parked:
        raise Parked(state.problem)
    verdict = judge(gate, fresh, move.plan.limits)
    if not verdict.go:
        await move.record("approval_void", approval.person, gate=gate, reasons=list(verdict.reasons))
    return verdict.go and state.approval is approval


async def _record(move: Move, gate: GateName, evidence: Evidence) -> None:
    approval = move.state.approval
    await move.record(
        "gate_passed",
        approval.person if approval else "midflight",
        gate=gate,
        reason=approval.reason if approval else "",
        evidence=evidence.model_dump(),
        evidence_hash=evidence.hash,
    )
    move.state.gate = move.state.approval = None
    move.tell(waiting_for="")
