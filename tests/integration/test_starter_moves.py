"""The command line against a real Temporal: what an operator says and reads. The worker's activities are fakes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from midflight.contracts.prepare import FindingView
from midflight.core.plan import Plan
from starter import moves
from starter.moves import Overview
from tests.fixtures.cli import Cli, Ended, new_domain
from tests.fixtures.rig import make_plan
from tests.workflow.fakes import GOOD, World
from workflows.client import connect
from workflows.registry import WORKFLOWS, runner

DEADLINE = 60.0


@dataclass
class Desk:
    """An operator's desk: the command line, a plan, and a worker that can be started."""

    cli: Cli
    client: Client
    task_queue: str
    world: World
    plan: Plan

    @property
    def domain(self) -> str:
        return self.plan.domain

    def worker(self) -> AbstractAsyncContextManager[Any]:
        """A worker for the length of a `with`."""
        return Worker(
            self.client,
            task_queue=self.task_queue,
            workflows=WORKFLOWS,
            activities=self.world.activities(),
            workflow_runner=runner(),
            max_heartbeat_throttle_interval=timedelta(seconds=0.1),
        )

    async def start(self, *options: str) -> Ended:
        return await self.cli("start", self.cli.write(self.plan), *options)

    async def until(self, phase: str, state: str) -> Overview:
        """What is recorded, once phase and state are as wanted."""
        end = asyncio.get_running_loop().time() + DEADLINE
        while True:
            seen = await moves.overview(self.client, self.domain)
            if (seen.phase, seen.state) == (phase, state):
                return seen
            assert asyncio.get_running_loop().time() < end, seen
            await asyncio.sleep(0.05)

    async def until_listed(self) -> None:
        """A move appears in lists a moment after its start."""
        end = asyncio.get_running_loop().time() + DEADLINE
        while self.domain not in {one.domain for one in await moves.overviews(self.client)}:
            assert asyncio.get_running_loop().time() < end
            await asyncio.sleep(0.05)


@pytest.fixture
async def desk(temporal_address: str, task_queue: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """Without a worker; what is still running at the end is terminated."""
    environment = {
        **os.environ,
        "MIDFLIGHT_TEMPORAL_ADDRESS": temporal_address,
        "MIDFLIGHT_TASK_QUEUE": task_queue,
    }
    client = await connect(temporal_address, "default")
    plan = make_plan("shop", domain=new_domain(), approvals=("ramp", "cutover"))
    desk = Desk(Cli(environment, tmp_path), client, task_queue, World(), plan)
    yield desk
    async for execution in client.list_workflows(f"WorkflowId = 'midflight/{plan.domain}'"):
        if execution.close_time is None:
            await client.get_workflow_handle(execution.id).terminate()


async def test_start_waits_for_prepare_and_shows_how_many_checks_passed(desk: Desk) -> None:
    async with desk.worker():
        ended = await desk.start("--as", "ann")

        assert ended.code == 0
        assert "1 checks passed" in ended.out
        assert f"Started midflight/{desk.domain}." in ended.err
        status = (await desk.cli("status", desk.domain, "--json")).data
        assert status["status"]["state"]["started_by"] == "ann"


async def test_start_ends_with_7_and_the_findings_when_prepare_finds_a_problem(desk: Desk) -> None:
    missing = FindingView(
        check="source: collection orders", ok=False, detail="It does not exist.", next_step="Make it."
    )
    desk.world.findings = (missing,)
    async with desk.worker():
        ended = await desk.start("--json")

        assert ended.code == 7
        assert ended.data["parked"] is True
        assert ended.data["findings"][0]["next_step"] == "Make it."


async def test_start_twice_is_refused_with_what_to_do_instead(desk: Desk) -> None:
    await desk.start("--no-wait")

    again = await desk.start("--no-wait")

    assert again.code == 4
    assert "is under way: phase prepare" in again.err
    assert f"midflight rollback {desk.domain} --to prepare" in again.err


async def test_start_without_a_worker_says_so_and_nothing_is_lost(desk: Desk) -> None:
    ended = await desk.start("--within", "1")

    assert ended.code == 11
    assert "no worker has taken it up" in ended.err
    assert "nothing has to be started again" in ended.err


async def test_an_unknown_domain_is_answered_with_the_known_ones(desk: Desk) -> None:
    await desk.start("--no-wait")
    await desk.until_listed()

    for command in (("status", "nobody"), ("pause", "nobody"), ("watch", "nobody"), ("report", "nobody")):
        ended = await desk.cli(*command)
        assert ended.code == 5
        assert desk.domain in ended.err


async def test_without_a_worker_phase_and_state_are_still_shown(desk: Desk) -> None:
    await desk.start("--no-wait")

    ended = await desk.cli("status", desk.domain)

    assert ended.code == 0
    assert f"{desk.domain}  prepare  running" in ended.out
    assert "No worker answers" in ended.out


async def test_a_pause_said_to_nobody_is_recorded_and_takes_effect_once(desk: Desk) -> None:
    await desk.start("--no-wait")

    said = await desk.cli("pause", desk.domain, "--reason", "upgrade", "--as", "ann")

    assert said.code == 11
    assert "recorded; no worker is running: it takes effect when one starts" in said.out
    async with desk.worker():
        await desk.until("prepare", "paused")
        log = (await desk.cli("status", desk.domain, "--json")).data["status"]["state"]["log"]
        accepted = [entry for entry in log if entry["message"] != "already done"]
        assert [(entry["person"], entry["accepted"]) for entry in accepted] == [("ann", True)]


async def test_pause_and_resume_are_answered_and_doing_it_twice_is_refused(desk: Desk) -> None:
    desk.world.let_copy.clear()
    async with desk.worker():
        await desk.start()

        assert (await desk.cli("pause", desk.domain)).code == 0
        again = await desk.cli("pause", desk.domain)
        assert again.code == 4
        assert "already paused" in again.err
        assert (await desk.cli("resume", desk.domain)).code == 0
        running = await desk.cli("resume", desk.domain)
        assert running.code == 4
        assert "nothing to resume: the move is running" in running.err


async def test_approving_when_nothing_waits_is_refused(desk: Desk) -> None:
    desk.world.let_copy.clear()
    async with desk.worker():
        await desk.start()

        ended = await desk.cli("approve", desk.domain, "cutover", "--reason", "eager")

    assert ended.code == 4
    assert "nothing waits for an approval" in ended.err
    assert f"midflight status {desk.domain}" in ended.err


async def test_an_approval_of_stale_evidence_is_refused_and_names_both(desk: Desk) -> None:
    async with desk.worker():
        await desk.start()
        await desk.until("ramp", "waiting")

        ended = await desk.cli("approve", desk.domain, "ramp", "--evidence", "000000000000", "--reason", "old")

        assert ended.code == 4
        assert "000000000000" in ended.err
        assert GOOD.hash in ended.err


async def test_an_approval_without_evidence_shows_and_approves_what_it_is_now(desk: Desk) -> None:
    async with desk.worker():
        await desk.start()
        await desk.until("ramp", "waiting")

        ended = await desk.cli("approve", desk.domain, "ramp", "--reason", "looks good", "--as", "ann", "--json")

        assert ended.code == 0
        assert ended.data["accepted"] is True
        assert ended.data["evidence"]["evidence_hash"] == GOOD.hash
        await desk.until("cutover", "waiting")
    passed = [record for record in desk.world.records if record.kind == "gate_passed" and record.person == "ann"]
    assert passed[0].details["evidence_hash"] == GOOD.hash


async def test_evidence_that_cannot_be_shown_cannot_be_approved(desk: Desk) -> None:
    await desk.start("--no-wait")

    ended = await desk.cli("approve", desk.domain, "ramp", "--reason", "blind")

    assert ended.code == 11
    assert "--evidence" in ended.err


async def test_a_rejected_gate_and_a_rollback_leave_the_move_waiting_for_resume(desk: Desk) -> None:
    async with desk.worker():
        await desk.start()
        await desk.until("ramp", "waiting")

        assert (await desk.cli("reject", desk.domain, "ramp", "--reason", "not today")).code == 0
        assert "not today" in (await desk.until("ramp", "attention")).problem
        assert (await desk.cli("rollback", desk.domain, "--to", "verify", "--reason", "again")).code == 0
        await desk.until("verify", "rolled_back")


async def test_pacing_is_changed_while_it_runs(desk: Desk) -> None:
    desk.world.let_copy.clear()
    async with desk.worker():
        await desk.start()

        assert (await desk.cli("pacing", desk.domain, "--rate", "50", "--parallel", "1")).code == 0

        pacing = (await desk.cli("status", desk.domain, "--json")).data["status"]["state"]["pacing"]
        assert (pacing["documents_per_second"], pacing["parallel"]) == (50, 1)


async def test_after_the_end_every_command_is_refused_and_a_new_start_is_allowed(desk: Desk) -> None:
    desk.plan = desk.plan.model_copy(update={"approvals": ()})
    async with desk.worker():
        await desk.start()
        await desk.until("done", "done")

        for command in (
            ("rollback", "--to", "verify", "--reason", "x"),
            ("pause",),
            ("approve", "ramp", "--reason", "x"),
        ):
            ended = await desk.cli(command[0], desk.domain, *command[1:])
            assert ended.code == 4
            assert "has ended (completed" in ended.err
            assert "midflight report" in ended.err
        assert (await desk.start("--no-wait")).code == 0
        # To its end: a worker that is shut down in the very moment in which it is handed a new move may never return.
        await desk.until("done", "done")


async def test_watch_prints_one_json_object_a_look_until_the_move_ends(desk: Desk) -> None:
    desk.plan = desk.plan.model_copy(update={"approvals": ()})
    async with desk.worker():
        await desk.start()

        ended = await desk.cli("watch", desk.domain, "--every", "0.1", "--json")

    assert ended.code == 0
    assert '"execution": "completed"' in ended.out.splitlines()[-1]


async def test_watch_shows_a_bar_for_each_collection(desk: Desk) -> None:
    desk.world.let_copy.clear()
    async with desk.worker():
        await desk.start()
        await asyncio.wait_for(desk.world.copying.wait(), DEADLINE)

        ended = await desk.cli("watch", desk.domain, "--once")

    assert "orders" in ended.out
    assert "of about 10" in ended.out


async def test_the_list_shows_domain_phase_and_state_with_no_worker_running(desk: Desk) -> None:
    await desk.start("--no-wait")

    await desk.until_listed()

    found = {one["domain"]: one for one in (await desk.cli("list", "--json")).data}
    mine = found[desk.domain]
    assert (mine["phase"], mine["state"], mine["execution"]) == ("prepare", "running", "running")


async def test_no_temporal_is_said_by_every_command_with_exit_code_6(desk: Desk) -> None:
    plan = desk.cli.write(desk.plan)
    for command in (("list",), ("start", plan), ("pause", "x"), ("report", "x"), ("quarantine", "list", "x")):
        ended = await desk.cli(*command, MIDFLIGHT_TEMPORAL_ADDRESS="127.0.0.1:1")
        assert ended.code == 6
        assert "No Temporal answers at 127.0.0.1:1" in ended.err
