"""The runbook, steered: order of phases, pause, rollback, gates, approvals, failures, continue-as-new."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from temporalio.client import WorkflowUpdateFailedError

from midflight.contracts.domain import Approve, Pause, Reject, Resume, Rollback, SetPacing
from midflight.contracts.prepare import FindingView
from midflight.core.phase import ORDER, Phase
from midflight.core.plan import DailyWindow, Pacing
from tests.workflow.conftest import Stage, make_plan
from workflows.domain import MigrateDomain

WAIT_LONG = 3_600.0


async def test_a_move_passes_every_phase_in_order(stage: Stage) -> None:
    report = await (await stage.start(make_plan())).result()
    assert [span.phase for span in report.spans] == list(ORDER)
    assert all(span.left for span in report.spans[:-1])
    assert stage.world.stages == ["off", "shadow", "dark_read", "ramp:1000", "ramp:10000", "target", "target_only"]
    assert report.documents == 30


async def test_nothing_is_touched_when_a_check_fails_and_resume_checks_again(stage: Stage) -> None:
    stage.world.findings = (FindingView(check="source: replica set", ok=False, detail="it is standalone"),)
    handle = await stage.start(make_plan())
    status = await stage.until(handle, lambda s: s.state.state == "attention")
    assert "it is standalone" in status.state.problem
    assert stage.world.called("install") == 0
    stage.world.findings = ()
    await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
    assert (await handle.result()).phase is Phase.DONE


async def test_a_pause_stops_copy_and_tail_and_resume_goes_on(stage: Stage) -> None:
    stage.world.let_copy.clear()
    handle = await stage.start(make_plan())
    await stage.world.copying.wait()
    await stage.until(handle, lambda s: stage.world.following == 1 and stage.world.called("copy_partition") == 2)
    await handle.execute_update(MigrateDomain.pause_update, Pause(person="ann", reason="peak hour"))
    await stage.until(handle, lambda s: stage.world.following == 0 and stage.world.copies == 0)
    assert (await handle.query(MigrateDomain.status)).state.state == "paused"
    stage.world.let_copy.set()
    await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
    report = await handle.result()
    assert stage.world.called("copy_partition") == 5  # two slices were cut short and begun again
    assert report.documents == 30


async def test_work_that_fails_while_it_is_stopped_is_begun_again_by_resume(stage: Stage) -> None:
    """Red if its failure parks the move: Temporal does not try again what was asked to end."""
    stage.world.let_copy.clear()
    stage.world.fails_to_stop = "the target went away"
    handle = await stage.start(make_plan())
    await stage.until(handle, lambda s: stage.world.called("copy_partition") == 2)
    await handle.execute_update(MigrateDomain.pause_update, Pause(person="ann", reason="peak hour"))
    await stage.until(handle, lambda s: stage.world.copies == 0)
    stage.world.let_copy.set()
    await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
    assert (await handle.result()).documents == 30


async def test_a_second_pause_is_refused_with_the_way_on(stage: Stage) -> None:
    stage.world.let_copy.clear()
    handle = await stage.start(make_plan())
    await handle.execute_update(MigrateDomain.pause_update, Pause(person="ann"))
    with pytest.raises(WorkflowUpdateFailedError) as refusal:
        await handle.execute_update(MigrateDomain.pause_update, Pause(person="bob"))
    assert "already paused by ann; `resume` goes on" in str(refusal.value.cause)


async def test_resuming_what_runs_is_refused(stage: Stage) -> None:
    stage.world.let_copy.clear()
    handle = await stage.start(make_plan())
    await stage.until(handle, lambda s: s.state.phase is Phase.BACKFILL)
    with pytest.raises(WorkflowUpdateFailedError) as refusal:
        await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
    assert "nothing to resume: the move is running in phase backfill" in str(refusal.value.cause)


async def test_a_repeated_command_is_obeyed_once(stage: Stage) -> None:
    stage.world.let_copy.clear()
    handle = await stage.start(make_plan())
    pause = Pause(person="ann", request_id="one")
    assert (await handle.execute_update(MigrateDomain.pause_update, pause)).message != "already done"
    assert (await handle.execute_update(MigrateDomain.pause_update, pause)).message == "already done"


async def test_a_gate_waits_for_an_approval_of_the_evidence_it_shows(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("ramp",)))
    status = await stage.until(handle, lambda s: s.state.state == "waiting")
    assert status.state.gate is not None
    stale = await handle.execute_update(
        MigrateDomain.approve_update, Approve(person="ann", gate="ramp", evidence="000000000000")
    )
    assert not stale.accepted
    assert "the evidence has changed" in stale.message
    wrong = await handle.execute_update(
        MigrateDomain.approve_update,
        Approve(person="ann", gate="cutover", evidence=status.state.gate.evidence_hash),
    )
    assert wrong.message == "it is gate ramp that waits, not cutover"
    right = Approve(person="ann", reason="looked at it", gate="ramp", evidence=status.state.gate.evidence_hash)
    assert (await handle.execute_update(MigrateDomain.approve_update, right)).accepted
    await handle.result()
    passed = next(r for r in stage.world.records if r.kind == "gate_passed" and r.details["gate"] == "ramp")
    assert (passed.person, passed.details["reason"]) == ("ann", "looked at it")
    assert passed.details["evidence_hash"] == status.state.gate.evidence_hash


async def test_approving_nothing_is_refused_and_remembered(stage: Stage) -> None:
    stage.world.let_copy.clear()
    handle = await stage.start(make_plan())
    await stage.until(handle, lambda s: s.state.phase is Phase.BACKFILL)
    answer = await handle.execute_update(MigrateDomain.approve_update, Approve(person="ann", gate="ramp", evidence="x"))
    assert "nothing waits for an approval" in answer.message
    log = (await handle.query(MigrateDomain.status)).state.log
    assert (log[-1].person, log[-1].what, log[-1].accepted) == ("ann", "approve ramp", False)


async def test_an_approval_is_void_when_the_evidence_has_gone_bad_meanwhile(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("ramp",)))
    status = await stage.until(handle, lambda s: s.state.state == "waiting")
    assert status.state.gate is not None
    stage.world.evidence = stage.world.evidence.model_copy(update={"lag_seconds": 99.0})
    await handle.execute_update(
        MigrateDomain.approve_update,
        Approve(person="ann", gate="ramp", evidence=status.state.gate.evidence_hash),
    )
    status = await stage.until(handle, lambda s: s.state.gate is not None and bool(s.state.gate.reasons))
    assert status.state.phase is Phase.RAMP
    assert status.state.gate is not None
    assert "lags 99.0 s" in status.state.gate.reasons[0]
    assert any(record.kind == "approval_void" for record in stage.world.records)


async def test_a_rejection_parks_the_move_until_it_is_resumed(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("ramp",)))
    await stage.until(handle, lambda s: s.state.state == "waiting")
    await handle.execute_update(MigrateDomain.reject_update, Reject(person="ann", gate="ramp", reason="not today"))
    status = await stage.until(handle, lambda s: s.state.state == "attention")
    assert "gate ramp was rejected by ann: not today" in status.state.problem
    await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
    await stage.until(handle, lambda s: s.state.state == "waiting")


@pytest.mark.parametrize(
    ("to", "undone"),
    [(Phase.PREPARE, "undo:copy"), (Phase.BACKFILL, "undo:partitions"), (Phase.VERIFY, None)],
)
async def test_a_rollback_from_ramp_undoes_and_waits_to_be_resumed(stage: Stage, to: Phase, undone: str | None) -> None:
    handle = await stage.start(make_plan(approvals=("ramp",)))
    await stage.until(handle, lambda s: s.state.state == "waiting")
    await handle.execute_update(MigrateDomain.rollback_update, Rollback(person="ann", to=to, reason="wrong month"))
    status = await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert status.state.phase is to
    assert stage.world.following == (0 if to is Phase.PREPARE else 1)
    assert [c for c in stage.world.calls if c.startswith("undo")] == ([undone] if undone else [])
    await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
    await stage.until(handle, lambda s: s.state.state == "waiting" and s.state.phase is Phase.RAMP)


async def test_a_rollback_during_the_copy_leaves_nothing_running(stage: Stage) -> None:
    """Red if a child ends before the activities that it cancelled have: they would write into the emptied target."""
    stage.world.let_copy.clear()
    stage.world.slow_to_stop = 1.0
    handle = await stage.start(make_plan())
    await stage.until(handle, lambda s: stage.world.copies == 2 and stage.world.following == 1)
    await handle.execute_update(MigrateDomain.rollback_update, Rollback(person="ann", to=Phase.PREPARE))
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert stage.world.at_work_when_undone == 0
    assert stage.world.calls[-2:] == ["forget", "undo:copy"]


async def test_a_rollback_right_after_a_pause_is_obeyed(stage: Stage) -> None:
    """Red if a child whose wait swallows the cancellation goes on waiting to be resumed."""
    stage.world.let_copy.clear()
    stage.world.slow_to_stop = 1.5
    handle = await stage.start(make_plan())
    await stage.until(handle, lambda s: stage.world.copies == 2)
    await handle.execute_update(MigrateDomain.pause_update, Pause(person="ann"))
    await handle.execute_update(MigrateDomain.rollback_update, Rollback(person="ann", to=Phase.PREPARE))
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert stage.world.at_work_when_undone == 0


async def test_a_rollback_that_failed_is_gone_on_with_by_resume_and_never_forward(stage: Stage) -> None:
    stage.world.forget_fails = True
    handle = await stage.start(make_plan(approvals=("ramp",)))
    await stage.until(handle, lambda s: s.state.state == "waiting")
    await handle.execute_update(MigrateDomain.rollback_update, Rollback(person="ann", to=Phase.CAPTURE))
    status = await stage.until(handle, lambda s: s.state.state == "attention")
    assert "The rollback to capture did not finish" in status.state.problem
    assert "no privilege" in status.state.problem
    stage.world.forget_fails = False
    await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
    status = await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert status.state.phase is Phase.CAPTURE
    assert stage.world.called("undo:copy") == 1


async def test_a_rejection_voids_the_approval_before_it(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("ramp",)))
    status = await stage.until(handle, lambda s: s.state.state == "waiting")
    assert status.state.gate is not None
    stage.world.let_gather.clear()
    approve = Approve(person="ann", gate="ramp", evidence=status.state.gate.evidence_hash)
    await handle.execute_update(MigrateDomain.approve_update, approve)
    await handle.execute_update(MigrateDomain.reject_update, Reject(person="bob", gate="ramp", reason="no"))
    stage.world.let_gather.set()
    status = await stage.until(handle, lambda s: s.state.state == "attention")
    assert "rejected by bob" in status.state.problem
    assert not any(stage_now.startswith("ramp") for stage_now in stage.world.stages)


async def test_parity_that_never_counts_parks_the_move(stage: Stage) -> None:
    stage.world.evidence = stage.world.evidence.model_copy(update={"parity_age_seconds": None})
    handle = await stage.start(make_plan())
    status = await stage.until(handle, lambda s: s.state.state == "attention")
    assert "parity was checked just now and still does not count" in status.state.problem


async def test_a_tail_that_has_lost_its_position_parks_the_move(stage: Stage) -> None:
    stage.world.follow_fails = "the position is gone; roll back to capture"
    stage.world.let_follow.clear()
    handle = await stage.start(make_plan(approvals=("ramp",)))
    status = await stage.until(handle, lambda s: s.state.state == "attention")
    assert "the position is gone" in status.state.problem


async def test_settled_mismatches_park_the_move(stage: Stage) -> None:
    stage.world.mismatches = 2
    handle = await stage.start(make_plan())
    status = await stage.until(handle, lambda s: s.state.state == "attention")
    assert "2 documents differ even after a repair" in status.state.problem
    assert status.state.phase is Phase.VERIFY


async def test_new_pacing_reaches_a_running_copy(stage: Stage) -> None:
    stage.world.let_copy.clear()
    handle = await stage.start(make_plan())
    await stage.world.copying.wait()
    before = stage.world.called("copy_partition")
    await handle.execute_update(
        MigrateDomain.set_pacing_update, SetPacing(person="ann", documents_per_second=100, batch_size=10)
    )
    await stage.until(handle, lambda s: stage.world.called("copy_partition") > before)
    assert (await handle.query(MigrateDomain.status)).state.pacing.documents_per_second == 100


async def test_nothing_is_copied_outside_the_daily_window_until_it_is_lifted(stage: Stage) -> None:
    hour = datetime.now(UTC).hour
    window = DailyWindow(start=f"{(hour + 2) % 24:02}:00", end=f"{(hour + 3) % 24:02}:00")
    plan = make_plan(pacing=Pacing(window=window))
    handle = await stage.start(plan)
    child = stage.client.get_workflow_handle(f"{handle.id}/backfill/members")
    await stage.until(handle, lambda s: s.state.phase is Phase.BACKFILL and stage.world.called("plan_partitions") == 1)
    # A query is answered after everything that the workflow could do before it.
    await child.query("progress")
    assert stage.world.called("copy_partition") == 0
    await handle.execute_update(MigrateDomain.set_pacing_update, SetPacing(person="ann", always=True))
    assert (await handle.result()).documents == 30


async def test_a_long_history_continues_as_new_and_keeps_its_place(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("ramp",)), history_limit=40)
    status = await stage.until(handle, lambda s: s.state.state == "waiting")
    assert status.state.runs > 1
    assert status.state.gate is not None
    await stage.until(handle, lambda s: stage.world.following == 1)
    approve = Approve(person="ann", gate="ramp", evidence=status.state.gate.evidence_hash)
    await handle.execute_update(MigrateDomain.approve_update, approve)
    report = await handle.result()
    assert [span.phase for span in report.spans] == list(ORDER)
    assert stage.world.called("pin") == 1


async def test_signals_that_make_no_sense_never_hurt_the_move(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("ramp",)))
    for _ in range(2):
        await handle.signal(MigrateDomain.resume, Resume(person="ann"))
        await handle.signal(MigrateDomain.approve, Approve(person="ann", gate="decommission", evidence=""))
        await handle.signal(MigrateDomain.reject, Reject(person="ann", gate="retire"))
        await handle.signal(MigrateDomain.rollback, Rollback(person="ann", to=Phase.DONE))
    status = await stage.until(handle, lambda s: s.state.state == "waiting")
    assert all(not entry.accepted for entry in status.state.log)
