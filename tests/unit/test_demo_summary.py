"""The demonstration's summary: the file says what the table says, and one doubt is enough for a failure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from demo.check.verdict import Verdict
from demo.summary import Summary, seconds_by_phase
from demo.traffic import TrafficReport
from examples.loyalty.figures import Figures
from midflight.contracts.domain import DomainReport, PhaseSpan
from midflight.core.phase import Phase


def _span(phase: Phase, entered: str, left: str = "") -> PhaseSpan:
    return PhaseSpan(
        phase=phase, entered=f"2026-01-01T00:00:{entered}+00:00", left=left and f"2026-01-01T00:00:{left}+00:00"
    )


SPANS = (
    _span(Phase.BACKFILL, "00.000", "02.500"),
    _span(Phase.RAMP, "02.500", "03.500"),
    _span(Phase.BACKFILL, "03.500", "04.000"),
    _span(Phase.DONE, "04.000"),
)
REPORT = DomainReport(domain="members", phase=Phase.DONE, spans=SPANS)


def _summary(*doubts: str, lost: int = 0, different: int = 0) -> Summary:
    verdict = Verdict("members", 10, lost, different, documents=5, rows=7, quarantined=1)
    return Summary(seconds=12.34, verdicts=[verdict], reports=[REPORT], temporal_ui="http://ui", doubts=list(doubts))


def test_a_phase_entered_twice_counts_both_times_and_an_open_one_not_yet() -> None:
    assert seconds_by_phase(SPANS) == {"backfill": 3.0, "ramp": 1.0}


def test_the_file_holds_what_is_promised(tmp_path: Path) -> None:
    _summary().write(tmp_path / "new" / "demo.json")
    told = json.loads((tmp_path / "new" / "demo.json").read_text())
    assert told["ok"] is True
    assert {name: told[name] for name in ("acknowledged_writes", "lost_writes", "mismatches", "quarantined")} == {
        "acknowledged_writes": 10,
        "lost_writes": 0,
        "mismatches": 0,
        "quarantined": 1,
    }
    assert (told["seconds"], told["temporal_ui"]) == (12.3, "http://ui")
    assert told["domains"]["members"] == {
        "documents": 5,
        "rows": 7,
        "quarantined": 1,
        "phases": {"backfill": 3.0, "ramp": 1.0},
    }


def test_any_doubt_is_a_failure() -> None:
    assert _summary().ok
    assert not _summary("the writer died").ok
    assert not _summary(lost=1).ok
    assert not _summary(different=1).ok
    doubtful = _summary()
    doubtful.verdicts[0].doubt("something")
    assert not doubtful.ok


def _traffic(**changes: Any) -> TrafficReport:
    told = TrafficReport(Figures(requests=2_000, failed=1, holds=3, hold_ms_p99=180.0, hold_ms_max=240.4), 700)
    return replace(told, **changes)


def test_the_traffic_is_told_beside_the_domains_and_its_losses_count_too() -> None:
    summary = _summary()
    summary.traffic = _traffic()
    told = summary.as_json()
    assert told["ok"]
    assert {
        name: told[name]
        for name in ("requests", "failed_requests", "availability", "stale_reads", "hold_ms_p99", "hold_ms_max")
    } == {
        "requests": 2_000,
        "failed_requests": 1,
        "availability": 0.9995,
        "stale_reads": 0,
        "hold_ms_p99": 180.0,
        "hold_ms_max": 240.4,
    }
    assert (told["acknowledged_writes"], told["lost_writes"]) == (710, 0)
    summary.traffic = _traffic(lost=2)
    assert summary.as_json()["lost_writes"] == 2
    assert not summary.ok
    summary.traffic = _traffic(doubts=["stale: a read"])
    assert not summary.ok


def test_no_verdict_is_a_failure() -> None:
    assert not Summary(seconds=1, verdicts=[], reports=[]).ok
