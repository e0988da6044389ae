"""CheckParity by itself, with activities that touch nothing: rounds of settling and repair, and how it ends."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from midflight.contracts.backfill import Steer
from midflight.contracts.base import DomainRef
from midflight.contracts.parity import ParityReport, ParityRequest
from midflight.core.plan import Pacing
from tests.workflow.conftest import Stage, make_plan
from workflows.parity import CheckParity


async def started(stage: Stage, **request: Any) -> WorkflowHandle[CheckParity, ParityReport]:
    plan = make_plan()
    return await stage.client.start_workflow(
        CheckParity.run,
        ParityRequest(ref=DomainRef.of(plan, ""), pacing=Pacing(parallel=1), **request),
        id=f"parity-{uuid.uuid4().hex[:8]}",
        task_queue=stage.task_queue,
    )


async def test_what_a_repair_mends_is_looked_at_once_more(stage: Stage) -> None:
    stage.world.mismatches = stage.world.repairable = 3
    report = await (await started(stage, run="r")).result()
    assert (report.run, report.verdict, report.mismatches) == ("r", "pass", 0)
    asked = [call for call in stage.world.calls if call in ("settle_suspects", "repair_settled", "finish_parity")]
    assert asked == ["settle_suspects", "repair_settled", "settle_suspects", "finish_parity"]


async def test_what_no_repair_mends_is_left_after_one_try(stage: Stage) -> None:
    """Red without: a mapping bug would be repaired in vain, round after round."""
    stage.world.mismatches = 3
    report = await (await started(stage, run="r")).result()
    assert (report.verdict, report.mismatches, report.refused, report.token) == ("fail", 3, 3, 7)
    assert stage.world.called("repair_settled") == 1


async def test_a_run_of_its_own_names_itself_and_only_looks(stage: Stage) -> None:
    stage.world.mismatches = stage.world.repairable = 3
    report = await (await started(stage, repair=False)).result()
    assert report.run.startswith("nightly-2")
    assert report.verdict == "fail"
    assert stage.world.called("repair_settled") == 0


async def test_a_run_that_must_pass_ends_as_failed_and_says_which_level(stage: Stage) -> None:
    stage.world.mismatches = 3
    handle = await started(stage, repair=False, demand_pass=True)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "ParityNotPassed"
    assert "full: fail (3 keys differ for good)" in failed.value.cause.message


async def test_a_paused_run_stands_still_until_it_is_resumed(stage: Stage) -> None:
    handle = await started(stage, run="r", paused=True)
    assert (await handle.query(CheckParity.progress)).compared == 0
    assert stage.world.called("compare_range") == 0
    await handle.signal(CheckParity.steer, Steer(paused=False, pacing=Pacing()))
    assert (await handle.result()).verdict == "pass"
    assert stage.world.called("compare_range") == 2
