"""The scenarios whose histories are kept: one for every command and every way a phase can end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from midflight.contracts.domain import Abandon, Approve, Pause, Reject, Resume, Rollback, SetPacing
from midflight.contracts.prepare import FindingView
from midflight.core.phase import Phase
from tests.workflow.conftest import Handle, Stage, make_plan
from workflows.domain import MigrateDomain

Scenario = Callable[[Stage], Awaitable[Handle]]


async def straight(stage: Stage) -> Handle:
    """Every phase, nothing in the way."""
    handle = await stage.start(make_plan())
    await handle.result()
    return handle


async def paused_and_paced(stage: Stage) -> Handle:
    """Paused in the backfill, paced anew, resumed."""
    stage.world.let_copy.clear()
    handle = await stage.start(make_plan())
    await stage.world.copying.wait()
    await handle.execute_update(MigrateDomain.pause_update, Pause(person="ann", reason="peak"))
    await handle.execute_update(MigrateDomain.set_pacing_update, SetPacing(person="ann", batch_size=10))
    stage.world.let_copy.set()
    await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
    await handle.result()
    return handle


async def repaired(stage: Stage) -> Handle:
    """Parity finds documents that differ for good; some are repaired, the others left alone."""
    stage.world.mismatches, stage.world.repairable = 5, 3
    handle = await stage.start(make_plan())
    await handle.result()
    return handle


async def rejected_then_approved(stage: Stage) -> Handle:
    """A gate rejected, resumed, approved; one approval of stale evidence refused."""
    handle = await stage.start(make_plan(approvals=("ramp",)))
    await stage.until(handle, lambda s: s.state.state == "waiting")
    await handle.execute_update(MigrateDomain.approve_update, Approve(person="ann", gate="ramp", evidence="old"))
    await handle.execute_update(MigrateDomain.reject_update, Reject(person="ann", gate="ramp", reason="no"))
    await stage.until(handle, lambda s: s.state.state == "attention")
    await handle.signal(MigrateDomain.resume, Resume(person="ann"))
    status = await stage.until(handle, lambda s: s.state.state == "waiting")
    assert status.state.gate is not None
    evidence = status.state.gate.evidence_hash
    await handle.signal(MigrateDomain.approve, Approve(person="ann", gate="ramp", evidence=evidence))
    await handle.result()
    return handle


async def rolled_back(stage: Stage) -> Handle:
    """Rolled back from ramp to the beginning, resumed."""
    handle = await stage.start(make_plan(approvals=("ramp",)))
    await stage.until(handle, lambda s: s.state.state == "waiting")
    await handle.execute_update(MigrateDomain.rollback_update, Rollback(person="ann", to=Phase.PREPARE))
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
    await stage.until(handle, lambda s: s.state.state == "waiting")
    await handle.terminate()
    return handle


async def cutover_undone(stage: Stage) -> Handle:
    """The drain was late, the cutover undone, tried again."""
    stage.world.refusal = "the tail was not through in time"
    handle = await stage.start(make_plan())
    await stage.parked(handle)
    stage.world.refusal = ""
    await stage.resume(handle)
    await handle.result()
    return handle


async def back_and_forth(stage: Stage) -> Handle:
    """Back from the target with one way back undone, then forward again; paused in the drain."""
    handle = await stage.start(make_plan(soak_seconds=3_600.0))
    await stage.until(handle, lambda s: s.state.phase is Phase.SOAK and stage.world.following_back == 1)
    stage.world.refusal, stage.world.pending = "instances are late", 2_000
    await stage.roll_back(handle, Phase.RAMP)
    await stage.parked(handle)
    stage.world.refusal = ""
    await stage.resume(handle)
    await stage.until(handle, lambda s: s.state.state == "rolled_back")
    await stage.resume(handle)
    await stage.until(handle, lambda s: s.state.phase is Phase.SOAK and stage.world.following_back == 1)
    await handle.terminate()
    return handle


async def reads_set_back(stage: Stage) -> Handle:
    """A breach at the gate of the cutover; then on, with an instance that is late for a while."""
    handle = await stage.start(make_plan(approvals=("cutover",)))
    await stage.until(handle, lambda s: s.state.state == "waiting" and stage.world.watching == 1)
    stage.world.breaches = ("the target's p99 is 900 ms",)
    await stage.parked(handle)
    stage.world.late = ("web-1",)
    await stage.resume(handle)
    await stage.until(handle, lambda s: stage.world.called("acknowledged") == 1)
    stage.world.late = ()
    await stage.approve(handle, "cutover")
    await handle.result()
    return handle


async def two_approvals(stage: Stage) -> Handle:
    """The end of the source: the same person twice, then another."""
    handle = await stage.start(make_plan(approvals=("decommission",)))
    for person in ("ann", "ann", "bob"):
        await stage.approve(handle, "decommission", person)
    await handle.result()
    return handle


async def given_up(stage: Stage) -> Handle:
    """Parked in prepare, abandoned."""
    stage.world.findings = (FindingView(check="source: replica set", ok=False, detail="it is standalone"),)
    handle = await stage.start(make_plan())
    await stage.parked(handle)
    await handle.execute_update(MigrateDomain.abandon_update, Abandon(person="ann", reason="wrong plan"))
    await handle.result()
    return handle


async def continued_as_new(stage: Stage) -> Handle:
    """A history limit so low that the move continues as new."""
    handle = await stage.start(make_plan(), history_limit=40)
    await handle.result()
    return handle


SCENARIOS: tuple[Scenario, ...] = (
    straight,
    paused_and_paced,
    repaired,
    rejected_then_approved,
    rolled_back,
    cutover_undone,
    back_and_forth,
    reads_set_back,
    two_approvals,
    given_up,
    continued_as_new,
)
