"""Every recorded history replays on today's code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from tests.replay.scenarios import SCENARIOS
from workflows.registry import WORKFLOWS, runner

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*/*.json"))


def recorded(path: Path, *, renamed: tuple[str, str] = ("", "")) -> WorkflowHistory:
    """A kept history: under another workflow id the ids of its children would not match."""
    text = path.read_text()
    kept = json.loads(text.replace(*renamed) if all(renamed) else text)
    return WorkflowHistory.from_json(kept["workflow_id"], kept["history"])


def replayer() -> Replayer:
    """With the same converter and sandbox as a worker."""
    return Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter, workflow_runner=runner())


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_a_recorded_history_replays(path: Path) -> None:
    await replayer().replay_workflow(recorded(path))


def test_every_scenario_and_every_workflow_has_histories() -> None:
    names = {path.stem.split("-")[0] for path in HISTORIES}
    assert names == {scenario.__name__ for scenario in SCENARIOS}
    assert {path.stem.split("-")[2] for path in HISTORIES} == {workflow.__name__ for workflow in WORKFLOWS}


async def test_a_history_of_other_steps_is_refused() -> None:
    """The check can fail: a history whose first activity has another name."""
    path = next(path for path in HISTORIES if path.stem.startswith("straight") and "MigrateDomain" in path.stem)
    changed = recorded(path, renamed=('"name": "check"', '"name": "glance"'))
    assert changed.to_json() != recorded(path).to_json()
    with pytest.raises(Exception, match="TMPRL1100"):
        await replayer().replay_workflow(changed)
