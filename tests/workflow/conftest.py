"""A worker with fake activities, and a move started on it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from midflight.contracts.domain import (
    Answer,
    Approve,
    DomainReport,
    DomainStatus,
    MigrateRequest,
    Resume,
    Rollback,
)
from midflight.core.phase import Phase
from midflight.core.plan import CollectionMap, DarkReads, GateName, Pacing, Plan, Ramp, SourcePlace, TargetPlace
from tests.workflow.fakes import World
from workflows.client import connect
from workflows.domain import MigrateDomain
from workflows.registry import WORKFLOWS, runner

Handle = WorkflowHandle[MigrateDomain, DomainReport]


def make_plan(**changes: object) -> Plan:
    """A small plan without soaks and approvals."""
    plan = Plan(
        domain="members",
        source=SourcePlace(store="mongo-main", database="loyalty"),
        target=TargetPlace(store="pg-main", schema_="loyalty"),
        collections=(CollectionMap(collection="members", table="members"),),
        pacing=Pacing(parallel=2),
        dark_reads=DarkReads(soak_seconds=0),
        ramp=Ramp(steps=(10, 100), soak_seconds=0),
        soak_seconds=0,
        retention_seconds=0,
        approvals=(),
    )
    return plan.model_copy(update=changes)


@dataclass
class Stage:
    """Where a test plays: the client, the fake world, and the moves it started."""

    client: Client
    world: World
    task_queue: str
    started: list[Handle]

    async def start(self, plan: Plan, **request: object) -> Handle:
        """Start a move under an id of its own."""
        handle = await self.client.start_workflow(
            MigrateDomain.run,
            MigrateRequest(plan=plan, started_by="tester", **request),
            id=f"midflight/{plan.domain}-{uuid.uuid4().hex[:8]}",
            task_queue=self.task_queue,
        )
        self.started.append(handle)
        return handle

    async def approve(self, handle: Handle, gate: GateName, person: str = "ann") -> Answer:
        """Approve the evidence that the gate shows, once it waits for that."""
        status = await self.until(handle, lambda s: s.state.gate is not None and s.state.gate.needs_approval)
        assert status.state.gate is not None
        command = Approve(person=person, reason="seen", gate=gate, evidence=status.state.gate.evidence_hash)
        return await handle.execute_update(MigrateDomain.approve_update, command)

    async def parked(self, handle: Handle) -> str:
        """The problem, once the move is parked with one."""
        return (await self.until(handle, lambda s: s.state.state == "attention")).state.problem

    async def resume(self, handle: Handle, **more: object) -> None:
        """Say it, and be obeyed."""
        await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann", **more))

    async def roll_back(self, handle: Handle, to: Phase) -> None:
        """Say it, and be accepted."""
        await handle.execute_update(MigrateDomain.rollback_update, Rollback(person="ann", to=to, reason="a drill"))

    async def until(self, handle: Handle, condition: Callable[[DomainStatus], bool]) -> DomainStatus:
        """Ask until the status is as wanted; the test's own time limit ends a wait in vain."""
        while not condition(status := await handle.query(MigrateDomain.status)):
            await asyncio.sleep(0.02)
        return status


@pytest.fixture
async def stage(temporal_address: str, task_queue: str) -> AsyncIterator[Stage]:
    """A worker on a queue of its own; moves still running at the end are terminated."""
    client = await connect(temporal_address, "default")
    world = World()
    worker = Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=world.activities(),
        workflow_runner=runner(),
        max_heartbeat_throttle_interval=timedelta(seconds=0.1),
        default_heartbeat_throttle_interval=timedelta(seconds=0.1),
    )
    async with worker:
        yield (stage := Stage(client, world, task_queue, []))
        for handle in stage.started:
            if (await handle.describe()).status is not None and (await handle.describe()).close_time is None:
                await handle.terminate()
