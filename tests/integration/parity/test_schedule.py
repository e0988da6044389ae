"""Parity by a schedule that Temporal keeps: set, run, seen in the ledger and in Temporal, taken off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from midflight.core.keys import key_bytes
from midflight.sync import sync_keys
from starter.parity_schedule import schedule_id
from tests.fixtures.cli import Cli, new_domain
from tests.fixtures.rig import Rig, order
from workflows.client import connect
from workflows.parity import CheckParity

DOCUMENTS = 20
RUNS = "select run, mode, finished_at is not null from midflight.parity_reports order by number"


@pytest.fixture
async def copied(rig: Rig, tmp_path: Path) -> AsyncIterator[tuple[Rig, Cli]]:
    """A domain whose target has everything, and a worker; its schedule is gone afterwards."""
    rig.plan = rig.plan.model_copy(update={"domain": new_domain()})
    with rig.source() as shop:
        shop.orders.insert_many([order(n) for n in range(DOCUMENTS)])
    async with rig.bridge() as bridge:
        await bridge.target.schema.install_ledger()
        await bridge.target.ledger.register(rig.plan)
        await bridge.target.schema.create_tables(rig.plan)
        await sync_keys(bridge, {"orders": [key_bytes(n) for n in range(DOCUMENTS)]}, "tail")
        await bridge.target.schema.create_indexes(rig.plan)
        for constraint in await bridge.target.schema.create_foreign_keys(rig.plan):
            await bridge.target.schema.validate_foreign_key(rig.plan, constraint)
    rig.start_worker()
    cli = Cli(rig.environment, tmp_path)
    yield rig, cli
    await cli("parity", "schedule", rig.plan.domain, "--off")


async def ended(client: Client, domain: str, number: int) -> WorkflowExecution:
    """The newest run of the schedule, once so many have ended."""
    wanted = f"WorkflowType = 'CheckParity' and MidflightDomain = '{domain}'"
    while True:
        found = [one async for one in client.list_workflows(wanted) if one.close_time is not None]
        if len(found) == number:
            return max(found, key=lambda one: one.start_time)
        await asyncio.sleep(0.1)


async def test_a_run_by_schedule_is_in_the_ledger_and_in_temporal(copied: tuple[Rig, Cli]) -> None:
    rig, cli = copied
    domain = rig.plan.domain
    made = await cli("parity", "schedule", domain, "--target", "pg-main", "--as", "ann", "--json")
    assert made.code == 0, made.err
    assert made.data["schedule"] == schedule_id(domain)
    assert "T03:00" in made.data["next"]
    client = await connect(rig.temporal_address, "default")
    handle = client.get_schedule_handle(schedule_id(domain))
    assert "set by ann" in ((await handle.describe()).schedule.state.note or "")

    await handle.trigger()

    execution = await ended(client, domain, 1)
    assert execution.status is WorkflowExecutionStatus.COMPLETED
    assert execution.id.startswith(schedule_id(domain))
    report = await client.get_workflow_handle_for(CheckParity.run, execution.id, run_id=execution.run_id).result()
    assert (report.verdict, report.compared, report.equal) == ("pass", DOCUMENTS, DOCUMENTS)
    assert rig.query(RUNS) == [(report.run, "gate", True)]
    assert report.run.startswith("nightly-")


async def test_a_run_by_schedule_only_looks_and_fails_loudly(copied: tuple[Rig, Cli]) -> None:
    """Red if it repairs: while the target is in charge there is nothing to repair from."""
    rig, cli = copied
    domain = rig.plan.domain
    with psycopg.connect(rig.postgres_dsn) as connection:
        connection.execute("select set_config('midflight.applier', %s, true)", [domain])
        connection.execute("update shop.orders set customer = 'somebody else' where id = '7'")
    assert (await cli("parity", "schedule", domain, "--target", "pg-main", "--cron", "30 2 * * 1")).code == 0
    client = await connect(rig.temporal_address, "default")

    await client.get_schedule_handle(schedule_id(domain)).trigger()

    execution = await ended(client, domain, 1)
    assert execution.status is WorkflowExecutionStatus.FAILED
    assert rig.query("select state, cause from midflight.parity_mismatches") == [("settled", "rogue write")]
    assert rig.one("select customer from shop.orders where id = '7'") == "somebody else"


async def test_a_schedule_is_changed_by_setting_it_again_and_taken_off_once(copied: tuple[Rig, Cli]) -> None:
    rig, cli = copied
    domain = rig.plan.domain
    for cron in ("0 3 * * *", "15 4 * * *"):
        said = await cli("parity", "schedule", domain, "--target", "pg-main", "--cron", cron, "--json")
        assert said.code == 0, said.err
    assert "T04:15" in said.data["next"]
    assert (await cli("parity", "schedule", domain, "--off")).code == 0
    again = await cli("parity", "schedule", domain, "--off")
    assert (again.code, "There is no schedule" in again.err) == (4, True)
    garbage = await cli("parity", "schedule", domain, "--target", "pg-main", "--cron", "every full moon")
    assert (garbage.code, "does not take the schedule" in garbage.err) == (4, True)
