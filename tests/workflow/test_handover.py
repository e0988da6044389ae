"""Who is in charge: the cutover, what runs beside it, the way back, and what an operator may say meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError

from midflight.contracts.domain import Pause, Resume, Rollback
from midflight.core.gates import Evidence
from midflight.core.phase import Phase
from tests.workflow.conftest import Handle, Stage, make_plan
from workflows.domain import MigrateDomain

WAIT_LONG = 3_600.0


async def in_charge(stage: Stage, **plan: object) -> Handle:
    """A move whose target is in charge and soaks."""
    handle = await stage.start(make_plan(soak_seconds=WAIT_LONG, **plan))
    await stage.until(handle, lambda s: s.state.phase is Phase.SOAK and stage.world.following_back == 1)
    return handle


async def refusal(stage: Stage, handle: Handle, to: Phase) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await stage.roll_back(handle, to)
    return str(refused.value.cause)


# --- the cutover ------------------------------------------------------------------------------------------------------


async def test_the_forecast_is_shown_before_the_approval_is_asked_for(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("cutover",)))
    status = await stage.until(handle, lambda s: s.state.state == "waiting")
    assert status.state.gate is not None
    assert status.state.gate.evidence.hold_forecast_seconds == 0.25
    assert stage.world.called("hand_over") == 0
    assert (await stage.approve(handle, "cutover")).accepted
    await handle.result()
    passed = next(r for r in stage.world.records if r.kind == "gate_passed" and r.details["gate"] == "cutover")
    assert Evidence.model_validate(passed.details["evidence"]).hold_forecast_seconds == 0.25


async def test_nothing_is_rehearsed_while_the_evidence_is_bad(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("ramp",)))
    await stage.until(handle, lambda s: s.state.state == "waiting")
    stage.world.evidence = stage.world.evidence.model_copy(update={"instances_late": ("a",)})
    await stage.approve(handle, "ramp")
    status = await stage.until(handle, lambda s: s.state.gate is not None and s.state.gate.gate == "cutover")
    assert status.state.gate is not None
    assert "instances do not obey" in status.state.gate.reasons[0]
    assert stage.world.called("rehearse") == 0


async def test_an_undone_cutover_says_why_and_who_was_late_and_resume_tries_again(stage: Stage) -> None:
    stage.world.refusal = "the tail was not through in time"
    handle = await stage.start(make_plan())
    stage.world.late = ()
    problem = await stage.parked(handle)
    assert "The cutover was undone, nothing is lost, reads are at 100 % of ramp" in problem
    assert "the tail was not through in time" in problem
    undone = next(record for record in stage.world.records if record.kind == "cutover_undone")
    assert undone.details["held_seconds"] == 0.2
    await stage.until(handle, lambda s: stage.world.watching == 1)  # reads are at the target, and watched again
    assert stage.world.following_back == 0
    stage.world.refusal = ""
    await stage.resume(handle)
    assert (await handle.result()).phase is Phase.DONE
    flipped = next(record for record in stage.world.records if record.kind == "flipped")
    assert (flipped.details["epoch"], flipped.details["steps"]) == (2, {"drain": 0.1})


async def test_an_undone_cutover_asks_for_the_approval_again(stage: Stage) -> None:
    stage.world.refusal = "late"
    handle = await stage.start(make_plan(approvals=("cutover",)))
    await stage.approve(handle, "cutover")
    await stage.parked(handle)
    await stage.resume(handle)
    await stage.until(handle, lambda s: s.state.state == "waiting")
    assert stage.world.called("hand_over") == 1


async def test_a_handover_without_an_answer_is_asked_for_again_and_nothing_else_is_done(stage: Stage) -> None:
    """Red if `handing` is forgotten when the activity fails: the gate would be asked while users may be held."""
    stage.world.handover_fails = True
    handle = await stage.start(make_plan())
    assert "the ledger refuses" in await stage.parked(handle)
    asked = stage.world.called("hand_over")
    looks = stage.world.called("gather_evidence")
    await stage.resume(handle)
    assert "the ledger refuses" in await stage.parked(handle)
    assert (stage.world.called("hand_over"), stage.world.called("gather_evidence")) == (asked + 1, looks)
    stage.world.handover_fails = False
    await stage.resume(handle)
    assert (await handle.result()).phase is Phase.DONE


async def test_only_the_tail_runs_beside_the_handover(stage: Stage) -> None:
    """Red if the watch is not halted: it would set reads back, and the stage with them, in the middle of the hold."""
    handle = await in_charge(stage)
    assert stage.world.at_work_when_handed == (0, 1, 0)
    assert (stage.world.watching, stage.world.following, stage.world.following_back) == (0, 1, 1)
    await handle.terminate()


async def test_a_pause_during_the_handover_is_obeyed_when_it_has_ended(stage: Stage) -> None:
    """Red if the pause stops the tail: the handover waits for the tail while users wait for the handover."""
    stage.world.let_hand.clear()
    handle = await stage.start(make_plan(soak_seconds=WAIT_LONG))
    await stage.until(handle, lambda s: stage.world.called("hand_over") == 1)
    await handle.execute_update(MigrateDomain.pause_update, Pause(person="ann"))
    await asyncio.sleep(0.3)
    assert stage.world.following == 1
    stage.world.let_hand.set()
    status = await stage.until(handle, lambda s: s.state.flipped and stage.world.following == 0)
    assert status.state.state == "paused"
    assert stage.world.called("hand_over") == 1
    await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
    await stage.until(handle, lambda s: stage.world.following == 1 and stage.world.following_back == 1)


async def test_a_rollback_said_during_the_handover_leads_back_from_the_target(stage: Stage) -> None:
    stage.world.let_hand.clear()
    handle = await stage.start(make_plan())
    await stage.until(handle, lambda s: stage.world.called("hand_over") == 1)
    await stage.roll_back(handle, Phase.RAMP)
    stage.world.let_hand.set()
    status = await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert stage.world.called("hand_back") == 1
    assert (stage.world.authority, status.state.flipped) == ("source", False)


async def test_a_rollback_of_an_unanswered_handover_undoes_it_first(stage: Stage) -> None:
    stage.world.handover_fails = True
    handle = await stage.start(make_plan())
    await stage.parked(handle)
    await stage.roll_back(handle, Phase.VERIFY)
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert stage.world.called("undo_handover") == 1
    assert stage.world.called("hand_back") == 0
    assert stage.world.stages[-1] == "shadow"


async def test_a_rollback_of_an_unanswered_handover_that_has_happened_leads_back_from_the_target(stage: Stage) -> None:
    """Red if the workflow believes that a handover without an answer has not happened."""
    stage.world.handover_fails = True
    handle = await stage.start(make_plan())
    await stage.parked(handle)
    stage.world.authority, stage.world.epoch, stage.world.handover_fails = "target", 2, False
    await stage.roll_back(handle, Phase.RAMP)
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert (stage.world.authority, stage.world.called("hand_back")) == ("source", 1)


# --- the way back -----------------------------------------------------------------------------------------------------


async def test_a_rollback_from_the_target_drains_hands_back_and_goes_forward_again(stage: Stage) -> None:
    handle = await in_charge(stage)
    stage.world.pending = 2_500
    await stage.roll_back(handle, Phase.RAMP)
    status = await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert status.state.phase is Phase.RAMP
    assert stage.world.called("drain_back") == 4
    assert stage.world.at_work_when_handed == (0, 1, 1)
    assert stage.world.stages[-2:] == ["ramp:10000", "ramp:0"]
    await stage.until(handle, lambda s: stage.world.following_back == 0 and stage.world.following == 1)
    assert {"flipped_back", "rolled_back"} <= {record.kind for record in stage.world.records}
    await stage.resume(handle)
    await stage.until(handle, lambda s: s.state.phase is Phase.SOAK)
    assert (stage.world.authority, stage.world.epoch) == ("target", 4)


async def test_after_the_way_back_parity_is_checked_anew_before_the_next_gate(stage: Stage) -> None:
    """Red if the evidence from before the flip still counts."""
    handle = await in_charge(stage)
    await stage.roll_back(handle, Phase.RAMP)
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    runs = stage.world.called("finish_parity")
    await stage.resume(handle)
    await stage.until(handle, lambda s: s.state.phase is Phase.SOAK)
    assert stage.world.called("finish_parity") == runs + 1
    assert stage.world.calls.index("hand_back") < _last(stage.world.calls, "finish_parity")


async def test_an_undone_way_back_stays_with_the_target_until_resume_tries_again(stage: Stage) -> None:
    handle = await in_charge(stage)
    stage.world.refusal = "instances are late"
    await stage.roll_back(handle, Phase.RAMP)
    problem = await stage.parked(handle)
    assert "The way back was undone, the target is in charge as before, nothing is lost" in problem
    assert "instances are late" in problem
    await stage.until(handle, lambda s: stage.world.following_back == 1)
    assert (await handle.query(MigrateDomain.status)).state.flipped
    stage.world.refusal = ""
    await stage.resume(handle)
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert stage.world.authority == "source"


async def test_a_tail_that_failed_for_good_runs_again_on_the_way_back(stage: Stage) -> None:
    """Red if nobody starts it: no mark would ever be passed, and every handover back would end in vain."""
    handle = await in_charge(stage)
    stage.world.follow_fails = "no privilege"
    stage.world.let_follow.clear()
    await stage.parked(handle)
    stage.world.follow_fails = None
    stage.world.let_follow.set()
    await stage.roll_back(handle, Phase.RAMP)
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert stage.world.at_work_when_handed == (0, 1, 1)


async def test_a_way_back_that_stands_still_can_be_withdrawn(stage: Stage) -> None:
    handle = await in_charge(stage)
    stage.world.refusal = "the source refuses 3 documents"
    await stage.roll_back(handle, Phase.RAMP)
    await stage.parked(handle)
    await stage.resume(handle, withdraw=True)
    status = await stage.until(handle, lambda s: s.state.state == "running")
    assert (status.state.phase, status.state.rollback) == (Phase.SOAK, None)
    assert stage.world.authority == "target"


async def test_a_rollback_before_the_flip_cannot_be_withdrawn(stage: Stage) -> None:
    stage.world.forget_fails = True
    handle = await stage.start(make_plan(approvals=("ramp",)))
    await stage.until(handle, lambda s: s.state.state == "waiting")
    await stage.roll_back(handle, Phase.PREPARE)
    await stage.parked(handle)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await stage.resume(handle, withdraw=True)
    assert "has undone something already" in str(refused.value.cause)


async def test_a_pause_during_the_drain_is_obeyed_and_resume_goes_on_with_it(stage: Stage) -> None:
    """Red if `resume` after a pause starts the rollback that is under way once more."""
    handle = await in_charge(stage)
    stage.world.pending = 10**9
    await stage.roll_back(handle, Phase.RAMP)
    await stage.until(handle, lambda s: "keys to be written back" in s.state.waiting_for)
    await handle.execute_update(MigrateDomain.pause_update, Pause(person="ann"))
    await stage.until(handle, lambda s: stage.world.following_back == 0)
    stage.world.pending = 0
    await stage.resume(handle)
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert stage.world.called("hand_back") == 1


async def test_a_long_drain_continues_as_new_and_keeps_its_place(stage: Stage) -> None:
    handle = await stage.start(make_plan(soak_seconds=WAIT_LONG), history_limit=200)
    await stage.until(handle, lambda s: s.state.phase is Phase.SOAK and stage.world.following_back == 1)
    stage.world.pending = 60_000
    await stage.roll_back(handle, Phase.RAMP)
    status = await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert status.state.runs > 1
    assert stage.world.called("hand_back") == 1


async def test_a_rollback_from_the_target_may_lead_to_the_very_beginning(stage: Stage) -> None:
    handle = await in_charge(stage)
    await stage.roll_back(handle, Phase.PREPARE)
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    assert stage.world.calls.index("hand_back") < stage.world.calls.index("undo:copy")
    assert (stage.world.following, stage.world.following_back) == (0, 0)


async def test_a_rollback_to_a_phase_after_the_flip_is_refused_with_the_phases_there_are(stage: Stage) -> None:
    handle = await in_charge(stage)
    assert "a rollback leads to one of prepare, capture" in await refusal(stage, handle, Phase.SOAK)


# --- late instances ---------------------------------------------------------------------------------------------------


async def test_no_step_is_taken_before_every_instance_obeys_the_one_before(stage: Stage) -> None:
    """Red if `set_stage` does not wait: three stages would be live at once."""
    stage.world.late = ("web-1", "web-2")
    handle = await stage.start(make_plan())
    status = await stage.until(handle, lambda s: "web-1, web-2" in s.state.waiting_for)
    assert (status.state.phase, stage.world.stages) == (Phase.PREPARE, ["off"])
    await stage.until(handle, lambda s: stage.world.called("acknowledged") == 1)
    stage.world.late = ()
    assert (await handle.result()).phase is Phase.DONE


async def test_a_rollback_ends_the_wait_for_late_instances(stage: Stage) -> None:
    handle = await stage.start(make_plan(approvals=("ramp",)))
    await stage.until(handle, lambda s: s.state.state == "waiting")
    stage.world.late = ("web-1",)
    await stage.approve(handle, "ramp")
    await stage.until(handle, lambda s: "web-1" in s.state.waiting_for)
    await stage.roll_back(handle, Phase.VERIFY)
    await stage.until(handle, lambda s: stage.world.stages[-1] == "shadow")
    stage.world.late = ()
    await stage.until(handle, lambda s: s.state.state == "rolled_back")


def _last(calls: list[str], name: str) -> int:
    return len(calls) - 1 - calls[::-1].index(name)


async def test_a_rollback_that_is_under_way_is_not_asked_for_twice(stage: Stage) -> None:
    handle = await in_charge(stage)
    stage.world.pending = 10**9
    await stage.roll_back(handle, Phase.RAMP)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(MigrateDomain.rollback_update, Rollback(person="bob", to=Phase.PREPARE))
    assert "a rollback to ramp is under way" in str(refused.value.cause)
