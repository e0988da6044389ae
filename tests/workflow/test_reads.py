"""Reads under watch, and gates that are not asked for twice."""

from __future__ import annotations

from midflight.contracts.domain import Pause
from midflight.core.phase import Phase
from midflight.core.plan import DarkReads, Ramp
from tests.workflow.conftest import Stage, make_plan
from workflows.domain import MigrateDomain

WAIT_LONG = 3_600.0
SLOW_RAMP = Ramp(steps=(10, 100), soak_seconds=WAIT_LONG)
BREACH = ("the target's p99 is 900 ms",)


async def test_a_breach_in_the_ramp_sets_reads_back_and_waits_for_a_person(stage: Stage) -> None:
    handle = await stage.start(make_plan(ramp=SLOW_RAMP))
    await stage.until(handle, lambda s: s.state.reads_percent == 10 and stage.world.watching == 1)
    stage.world.breaches = BREACH
    problem = await stage.parked(handle)
    assert "Reads were set back to the source: the target's p99 is 900 ms" in problem
    state = (await handle.query(MigrateDomain.status)).state
    assert (state.stage, state.reads_percent, state.phase) == ("dark_read", 0, Phase.RAMP)


async def test_after_a_breach_the_ramp_begins_again_at_its_gate(stage: Stage) -> None:
    """Red if the passed gate is still remembered: reads would go to the target again without a person."""
    handle = await stage.start(make_plan(ramp=SLOW_RAMP, approvals=("ramp",)))
    await stage.approve(handle, "ramp")
    await stage.until(handle, lambda s: stage.world.watching == 1)
    stage.world.breaches = BREACH
    await stage.parked(handle)
    await stage.resume(handle)
    await stage.until(handle, lambda s: s.state.state == "waiting" and s.state.phase is Phase.RAMP)
    assert stage.world.stages[-1] == "set_back"
    await stage.approve(handle, "ramp")
    await stage.until(handle, lambda s: stage.world.stages[-1] == "ramp:1000")


async def test_a_breach_before_the_gate_of_the_cutover_leads_back_to_the_ramp(stage: Stage) -> None:
    """Red if nobody watches the reads while the cutover waits for its approval."""
    handle = await stage.start(make_plan(approvals=("cutover",)))
    await stage.until(handle, lambda s: s.state.state == "waiting" and stage.world.watching == 1)
    stage.world.breaches = BREACH
    await stage.parked(handle)
    state = (await handle.query(MigrateDomain.status)).state
    assert (state.phase, state.reads_percent, state.ramp_step) == (Phase.RAMP, 0, 0)
    await stage.resume(handle)
    await stage.until(handle, lambda s: s.state.state == "waiting" and s.state.phase is Phase.CUTOVER)
    assert stage.world.stages[-3:] == ["set_back", "ramp:1000", "ramp:10000"]


async def test_reads_are_watched_during_a_pause(stage: Stage) -> None:
    handle = await stage.start(make_plan(ramp=SLOW_RAMP))
    await stage.until(handle, lambda s: stage.world.watching == 1)
    await handle.execute_update(MigrateDomain.pause_update, Pause(person="ann"))
    await stage.until(handle, lambda s: stage.world.following == 0)
    stage.world.breaches = BREACH
    await stage.until(handle, lambda s: s.state.reads_percent == 0 and "set_back" in stage.world.stages)


async def test_nobody_watches_reads_while_the_stage_moves(stage: Stage) -> None:
    """Red if the watch is not halted before a step: it could set back what the step has just set."""
    handle = await stage.start(make_plan(ramp=Ramp(steps=(10, 100), soak_seconds=0.5)))
    await handle.result()
    assert stage.world.called("watch_reads") >= 2
    assert stage.world.watched_when_staged == 0


async def test_a_park_in_the_soak_does_not_ask_for_the_same_approval_again(stage: Stage) -> None:
    handle = await stage.start(make_plan(ramp=SLOW_RAMP, approvals=("ramp",)))
    await stage.approve(handle, "ramp")
    await stage.until(handle, lambda s: stage.world.watching == 1)
    stage.world.follow_fails = "the position is gone"
    stage.world.let_follow.clear()
    await stage.parked(handle)
    stage.world.follow_fails = None
    stage.world.let_follow.set()
    await stage.resume(handle)
    status = await stage.until(handle, lambda s: "soak at 10 %" in s.state.waiting_for)
    assert status.state.state == "running"
    assert stage.world.stages.count("ramp:1000") == 1


async def test_a_full_history_in_a_soak_does_not_ask_for_the_same_approval_again(stage: Stage) -> None:
    """Red if a gate that was passed is forgotten by continue-as-new."""
    plan = make_plan(dark_reads=DarkReads(soak_seconds=WAIT_LONG), approvals=("dark_read",))
    handle = await stage.start(plan, history_limit=40)
    await stage.approve(handle, "dark_read")
    await stage.until(handle, lambda s: "dark reads" in s.state.waiting_for)
    status = await handle.query(MigrateDomain.status)
    for _ in range(8):  # each answer is kept in the history, and each slice of the tail
        await handle.execute_update(MigrateDomain.pause_update, Pause(person="ann"))
        await stage.resume(handle)
    await stage.until(handle, lambda s: s.state.runs > status.state.runs and "dark reads" in s.state.waiting_for)
    assert len([r for r in stage.world.records if r.kind == "gate_passed" and r.details["gate"] == "dark_read"]) == 1
    assert stage.world.stages.count("dark_read") == 1
