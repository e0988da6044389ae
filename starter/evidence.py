"""Evidence of a gate as people read it. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from midflight.contracts.domain import GateView
from midflight.core.breach import ReadEvidence
from midflight.core.gates import Evidence
from starter.tables import facts
from workflows.commands import BEFORE_NO_RETURN, NO_RETURN

NAMES = ("instances_late", "levels_failed")
SHOWN_APART = {"reads", "hold_forecast_seconds", *NAMES}


def gate(view: GateView) -> list[RenderableType]:
    """A gate with its evidence, what is missing, and who has approved."""
    lines: list[RenderableType] = [Text(f"Gate {view.gate}, evidence {view.evidence_hash}", style="bold")]
    lines += [facts(_plain(view.evidence)), *_reads(view.evidence.reads), *_warnings(view)]
    lines += [Text(f"approved by {person}, one more person is needed", style="cyan") for person in view.approved_by]
    return lines + [Text(f"not yet: {reason}", style="yellow") for reason in view.reasons]


def _plain(evidence: Evidence) -> dict[str, Any]:
    known = {name: value for name, value in evidence.model_dump().items() if name not in SHOWN_APART}
    return known | {name: ", ".join(names) for name in NAMES if (names := getattr(evidence, name))}


def _reads(reads: ReadEvidence | None) -> Iterator[Text]:
    if reads is None:
        return
    compared = f"{reads.compared:,} compared, {reads.mismatched:,} differ, {reads.unclear:,} unclear"
    yield Text(f"  reads of the last {reads.seconds:,.0f} s: {compared}")
    yield Text(
        f"    source: {_side(reads.source_reads, reads.source_errors, reads.source_p95_ms, reads.source_p99_ms)}"
    )
    yield Text(
        f"    target: {_side(reads.target_reads, reads.target_errors, reads.target_p95_ms, reads.target_p99_ms)}"
    )
    for cause, count in sorted(reads.causes.items()):
        yield Text(f"    differs: {cause}: {count:,}", style="yellow")


def _side(reads: int, errors: int, p95: float | None, p99: float | None) -> str:
    return f"{reads:,} reads, {errors:,} errors, p95 {_milliseconds(p95)}, p99 {_milliseconds(p99)}"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _warnings(view: GateView) -> Iterator[Text]:
    seconds = view.evidence.hold_forecast_seconds
    if seconds is not None:
        yield Text(f"Writes would wait about {seconds * 1000:,.0f} ms.", style="bold")
    if view.evidence.late_writes:
        yield Text("Late writes lie in quarantine with path `tripwire`: `midflight quarantine list`.", style="yellow")
    if view.gate in NO_RETURN:
        yield Text(f"Gate {view.gate} takes {view.persons} different persons: {BEFORE_NO_RETURN}.", style="bold red")
