"""The end of the source: retention, archive, two approvals, and no way back; and a move that is given up."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowUpdateFailedError

from midflight.contracts.domain import Abandon, Reject
from midflight.contracts.prepare import FindingView
from midflight.core.phase import Phase
from tests.workflow.conftest import Stage, make_plan
from workflows.domain import MigrateDomain

WAIT_LONG = 3_600.0


async def test_the_source_is_kept_for_the_retention_time_with_the_way_back_open(stage: Stage) -> None:
    handle = await stage.start(make_plan(retention_seconds=WAIT_LONG))
    await stage.until(handle, lambda s: "retention" in s.state.waiting_for)
    await stage.until(handle, lambda s: (stage.world.following, stage.world.following_back) == (1, 0))
    assert stage.world.called("archive") == 0
    await stage.roll_back(handle, Phase.RAMP)
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert stage.world.authority == "source"
    assert stage.world.at_work_when_handed == (0, 1, 1)  # what was marked meanwhile was written back first


async def test_a_withdrawn_way_back_from_retire_ends_with_the_target_alone_again(stage: Stage) -> None:
    """Red if the stage is remembered wrongly: an undone way back leaves it at `target`."""
    handle = await stage.start(make_plan(retention_seconds=WAIT_LONG))
    await stage.until(handle, lambda s: "retention" in s.state.waiting_for)
    stage.world.refusal = "late"
    await stage.roll_back(handle, Phase.RAMP)
    await stage.parked(handle)
    await stage.resume(handle, withdraw=True)
    await stage.until(handle, lambda s: "retention" in s.state.waiting_for and stage.world.following_back == 0)
    assert stage.world.stages[-2:] == ["target_only", "target_only"]


async def test_the_drop_needs_two_different_persons_who_are_told_that_nothing_leads_back(stage: Stage) -> None:
    """Red if one person counts twice."""
    handle = await stage.start(make_plan(approvals=("decommission",)))
    assert (await stage.approve(handle, "decommission", "ann")).accepted
    again = await stage.approve(handle, "decommission", "ann")
    assert not again.accepted
    assert "it takes a different person" in again.message
    status = await handle.query(MigrateDomain.status)
    assert "by 2 different persons (given by ann): after it there is no way back" in status.state.waiting_for
    assert stage.world.called("drop") == 0
    assert (await stage.approve(handle, "decommission", "bob")).accepted
    assert (await handle.result()).phase is Phase.DONE
    passed = next(r for r in stage.world.records if r.kind == "gate_passed" and r.details["gate"] == "decommission")
    assert passed.person == "ann, bob"
    assert stage.world.at_work_when_dropped == 0
    kept = next(record for record in stage.world.records if record.kind == "decommissioned")
    assert kept.details["archive"]["folder"] == "members-1"


async def test_the_archive_is_made_before_anybody_is_asked_and_kept_after_a_rejection(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("decommission",)))
    status = await stage.until(handle, lambda s: s.state.state == "waiting")
    assert status.state.archive is not None
    assert status.state.archive.collections[0].documents == 30
    await handle.execute_update(MigrateDomain.reject_update, Reject(person="ann", gate="decommission", reason="no"))
    await stage.parked(handle)
    await stage.resume(handle)
    await stage.until(handle, lambda s: s.state.state == "waiting")
    assert stage.world.called("archive") == 1


async def test_a_rejection_voids_the_first_of_two_approvals(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("decommission",)))
    await stage.approve(handle, "decommission", "ann")
    await handle.execute_update(MigrateDomain.reject_update, Reject(person="bob", gate="decommission", reason="no"))
    await stage.parked(handle)
    await stage.resume(handle)
    await stage.approve(handle, "decommission", "bob")
    status = await handle.query(MigrateDomain.status)
    assert status.state.gate is not None
    assert status.state.gate.approved_by == ("bob",)
    assert stage.world.called("drop") == 0


async def test_a_rollback_ends_the_archive_and_before_the_drop_there_is_a_way_back(stage: Stage) -> None:
    stage.world.let_archive.clear()
    handle = await stage.start(make_plan())
    await stage.until(handle, lambda s: stage.world.called("archive") == 1)
    await stage.roll_back(handle, Phase.RAMP)
    status = await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert status.state.archive is None
    assert stage.world.called("drop") == 0


async def test_once_the_drop_was_asked_for_a_rollback_is_refused_and_resume_goes_on_dropping(stage: Stage) -> None:
    """Red if a drop that failed may be followed by a way back to a source that is half gone."""
    stage.world.drop_fails = True
    handle = await stage.start(make_plan())
    assert "the archive does not read back" in await stage.parked(handle)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await stage.roll_back(handle, Phase.RAMP)
    assert "the point of no return is behind" in str(refused.value.cause)
    stage.world.drop_fails = False
    await stage.resume(handle)
    assert (await handle.result()).phase is Phase.DONE
    assert stage.world.called("archive") == 1


async def test_an_archive_that_is_stale_at_the_drop_is_made_anew_and_until_then_there_is_a_way_back(
    stage: Stage,
) -> None:
    stage.world.stale_archive = "members-1"
    handle = await stage.start(make_plan())
    assert "`resume` archives again" in await stage.parked(handle)
    await stage.until(handle, lambda s: stage.world.following == 1)
    assert not (await handle.query(MigrateDomain.status)).state.dropping
    await stage.resume(handle)
    assert (await handle.result()).phase is Phase.DONE
    assert stage.world.called("archive") == 2


async def test_a_move_that_stands_still_in_prepare_can_be_given_up(stage: Stage) -> None:
    stage.world.findings = (FindingView(check="source: replica set", ok=False, detail="it is standalone"),)
    handle = await stage.start(make_plan())
    await stage.parked(handle)
    await handle.execute_update(MigrateDomain.abandon_update, Abandon(person="ann", reason="wrong plan"))
    report = await handle.result()
    assert (report.abandoned, report.phase) == (True, Phase.PREPARE)
    assert stage.world.called("install") == 0


async def test_a_move_that_has_begun_cannot_be_given_up(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("ramp",)))
    await stage.until(handle, lambda s: s.state.state == "waiting")
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(MigrateDomain.abandon_update, Abandon(person="ann"))
    assert "`rollback --to prepare` leads there" in str(refused.value.cause)
