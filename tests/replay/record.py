"""Record the histories of this release: `python -m tests.replay.record`, in a checkout of the release's tag.

A history recorded from the branch under test would only compare new code with itself.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

import embedded
import midflight
from tests.replay.scenarios import SCENARIOS, Scenario
from tests.workflow.conftest import Handle, Stage
from tests.workflow.fakes import World
from workflows.registry import WORKFLOWS, runner

HISTORIES = Path(__file__).parent / "histories" / midflight.__version__
IDENTITY = "recorder"


async def record(address: str) -> None:
    """Play every scenario and keep the histories of the move and of its children."""
    client = await Client.connect(address, identity=IDENTITY, data_converter=pydantic_data_converter)
    HISTORIES.mkdir(parents=True, exist_ok=True)
    for scenario in SCENARIOS:
        await _play(client, scenario)


async def _play(client: Client, scenario: Scenario) -> None:
    world, queue = World(), f"record-{scenario.__name__}"
    throttle = timedelta(seconds=0.1)
    async with Worker(
        client,
        identity=IDENTITY,
        task_queue=queue,
        workflows=WORKFLOWS,
        activities=world.activities(),
        workflow_runner=runner(),
        max_heartbeat_throttle_interval=throttle,
        default_heartbeat_throttle_interval=throttle,
    ):
        handle = await scenario(Stage(client, world, queue, []))
    await _keep(client, scenario.__name__, handle)


async def _keep(client: Client, name: str, handle: Handle) -> None:
    number = 0
    async for execution in client.list_workflows(f'WorkflowId STARTS_WITH "{handle.id}"'):
        number += 1
        history = await client.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()
        kept = {"workflow_id": execution.id, "history": _without_traces(history.to_json_dict())}
        path = HISTORIES / f"{name}-{number}-{execution.workflow_type}.json"
        path.write_text(json.dumps(kept, indent=1))


def _without_traces(value: Any) -> Any:
    """Stack traces name the machine they were recorded on, and no replay reads them."""
    if isinstance(value, dict):
        return {name: _without_traces(item) for name, item in value.items() if name != "stackTrace"}
    return [_without_traces(item) for item in value] if isinstance(value, list) else value


def main() -> None:
    """Start servers, record, stop."""
    with tempfile.TemporaryDirectory() as state, embedded.stack(Path(state), ephemeral=True) as servers:
        asyncio.run(record(servers.temporal_address))


if __name__ == "__main__":
    main()
