"""The scenarios whose histories are kept: one for every command and every way a phase can end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from midflight.contracts.domain import Approve, Pause, Reject, Resume, Rollback, SetPacing
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
    stage.world.drain_fails = True
    handle = await stage.start(make_plan())
    await stage.until(handle, lambda s: s.state.state == "attention")
    stage.world.drain_fails = False
    await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
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
    rejected_then_approved,
    rolled_back,
    cutover_undone,
    continued_as_new,
)
