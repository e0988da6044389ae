"""The demonstration, small: the same journeys with a fiftieth of the documents, on servers of its own.

First the loyalty application under its clients' requests: its domain goes to the target, back, and there again.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

import embedded
from demo.play import Size, play
from demo.shopping import Traffic
from demo.traveller import PERSONS
from demo.writer import SOURCE, TARGET
from demo.writing import Pace
from embedded import Workers
from midflight.core.phase import Phase

STAGES = {"off", "shadow", "dark_read", "ramp 1 %", "ramp 100 %", "hold", "target", "target_only"}


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_small_demonstration_leaves_nothing_to_doubt(tmp_path: Path) -> None:
    workers = Workers(count=1, sources=(SOURCE,), targets=(TARGET,))
    size = Size(Pace(share=0.02, writes_per_second=60), Traffic(members=300, per_second=40, sessions=10))
    with embedded.stack(tmp_path, ephemeral=True, workers=workers) as servers:
        summary = play(Console(), tmp_path, servers, size)
    summary.write(tmp_path / "demo.json")
    told = json.loads((tmp_path / "demo.json").read_text())
    assert told["doubts"] == []
    assert told["ok"]
    assert (told["lost_writes"], told["mismatches"]) == (0, 0)
    assert told["acknowledged_writes"] > 100
    assert set(told["domains"]) == {"members", "transactions", "merchants", "campaigns"}
    for domain in told["domains"].values():
        assert domain["documents"] > 0
        assert {"backfill", "ramp", "cutover", "decommission"} <= domain["phases"].keys()
    gates = [(a["domain"], a["gate"]) for a in told["approvals"]]
    assert gates.count(("merchants", "ramp")) == 2, "merchants was rolled back from the ramp and came again"
    assert gates.count(("loyalty", "cutover")) == 2, "loyalty went back from the target and came again"
    assert {a["person"] for a in told["approvals"] if a["gate"] == "decommission"} == set(PERSONS)
    assert all(a["evidence"] for a in told["approvals"])
    assert (told["failed_requests"], told["stale_reads"]) == (0, 0)
    assert told["availability"] == 1.0
    assert told["requests"] > 1_000
    assert summary.traffic is not None
    assert summary.traffic.acknowledged > 300
    assert told["holds"] == 3, "over, back and over again"
    assert told["held_writes"] > 0
    assert 0 < told["hold_ms_p99"] <= told["hold_ms_max"]
    assert told["latency_ms"].keys() >= STAGES
    assert summary.reports[0].domain == "loyalty"
    assert {span.phase for span in summary.reports[0].spans} == set(Phase)
