"""Verify: run CheckParity as a child, and remember what it found."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from midflight.contracts.parity import ParityReport, ParityRequest
    from workflows.move import Move
    from workflows.parity import CheckParity


async def check_parity(move: Move) -> ParityReport:
    """One full run; its counts are the newest evidence."""
    move.state.parity_runs += 1
    run = f"{workflow.info().first_execution_run_id[:8]}-{move.state.parity_runs}"
    move.tell(waiting_for="parity of every document")
    request = ParityRequest(
        ref=move.ref,
        run=run,
        pacing=move.state.pacing,
        paused=move.steering.paused,
    )
    report: ParityReport = await move.child(
        CheckParity.run, request, f"parity/{move.state.parity_runs}", f"parity of {move.plan.domain}"
    )
    move.state.parity = report
    await move.record("parity_checked", **report.model_dump())
    move.tell(waiting_for="")
    return report
