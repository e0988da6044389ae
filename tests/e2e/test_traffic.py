"""The loyalty application under its clients' requests: its domain goes to the target, back, and there again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from rich.console import Console

import embedded
from demo.moves import Voice
from demo.plans import shop_plan
from demo.shopping import Shopping, Traffic
from demo.summary import Summary
from demo.writer import SOURCE, TARGET
from embedded import Workers
from midflight.core.phase import Phase

SMALL = Traffic(members=300, per_second=40.0, sessions=10)
STAGES = {"off", "shadow", "dark_read", "ramp 1 %", "ramp 100 %", "hold", "target", "target_only"}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_whole_journey_under_traffic_fails_no_request_and_loses_nothing(tmp_path: Path) -> None:
    workers = Workers(count=1, sources=(SOURCE,), targets=(TARGET,))
    with embedded.stack(tmp_path, ephemeral=True, workers=workers) as servers:
        shopping = Shopping(Voice(Console()), tmp_path / "shop", servers, shop_plan(soak_seconds=1.0), SMALL)
        with shopping.open():
            told = asyncio.run(shopping.move())
            shopping.audit("at the end")
    summary = Summary(seconds=0, verdicts=[], reports=[], traffic=shopping.report())
    summary.add(told)
    summary.write(tmp_path / "demo.json")
    found = json.loads((tmp_path / "demo.json").read_text())
    assert found["doubts"] == []
    assert found["ok"]
    assert (found["failed_requests"], found["lost_writes"], found["stale_reads"]) == (0, 0, 0)
    assert found["availability"] == 1.0
    assert found["requests"] > 1_000
    assert found["acknowledged_writes"] > 300
    # To the target, back to the source, and to the target again.
    assert [mark.stage for mark in shopping.watch.marks].count("hold") == found["holds"] == 3
    assert 0 < found["hold_ms_p99"] <= found["hold_ms_max"]
    assert found["latency_ms"].keys() >= STAGES
    assert {span.phase for span in summary.reports[0].spans} == set(Phase)
