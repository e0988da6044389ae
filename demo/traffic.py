"""What the loyalty application's traffic came to: figures, invariants, audits; for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table

from demo.auditor import Auditor
from examples.loyalty.figures import ALL_READS, ALL_WRITES, Figures, Latency, Mark, Window, figures
from examples.loyalty.records import requests, violations

LEAST_AVAILABILITY = 0.999
HOLD_LIMIT_MS = 500.0
VIOLATIONS_SHOWN = 5


@dataclass(slots=True)
class TrafficReport:
    """Everything about the traffic. `doubts` is empty only where nothing was lost and every invariant held."""

    figures: Figures
    acknowledged: int = 0
    lost: int = 0
    stale_reads: int = 0
    audits: int = 0
    added_up: int = 0
    doubts: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The part of the summary's file that is about traffic; milliseconds, shares, counts."""
        f = self.figures
        return {
            "requests": f.requests,
            "requests_per_second": round(f.per_second, 1),
            "failed_requests": f.failed,
            "retried_requests": f.retried,
            "availability": round(f.availability, 6),
            "stale_reads": self.stale_reads,
            "holds": f.holds,
            "held_writes": f.held_writes,
            "hold_ms_p99": round(f.hold_ms_p99, 1),
            "hold_ms_max": round(f.hold_ms_max, 1),
            "audits": self.audits,
            "latency_ms": {
                label: {kind: _rounded(latency) for kind, latency in kinds.items()}
                for label, kinds in f.latency.items()
            },
        }

    def line(self) -> str:
        """The figures that matter, in a line."""
        f = self.figures
        return (
            f"{f.requests:,} requests ({f.per_second:.0f} a second), {f.failed} failed, {f.retried} answered by "
            f"another process, availability {f.availability:.3%}; {self.lost} lost writes, {self.stale_reads} stale "
            f"reads; writes waited {f.hold_ms_p99:.0f} ms (p99) and {f.hold_ms_max:.0f} ms (most) in {f.holds} holds"
        )

    def table(self) -> Table:
        """Latency by stage."""
        table = Table(title="The application's latency by stage, in ms", title_justify="left")
        table.add_column("stage")
        for what in ("reads", "p50", "p95", "p99", "writes", "p50", "p95", "p99", "most"):
            table.add_column(what, justify="right", no_wrap=True)
        for label, kinds in self.figures.latency.items():
            reads, writes = kinds.get(ALL_READS, _NONE), kinds.get(ALL_WRITES, _NONE)
            table.add_row(label, *_cells(reads), *_cells(writes), f"{writes.most:.0f}")
        return table


def report(auditor: Auditor, marks: Sequence[Mark], frozen: Sequence[Window] = ()) -> TrafficReport:
    """Sum up what was recorded; call it when the load generator has ended."""
    seen = violations(auditor.shop.records)
    kinds = Counter(violation.kind for violation in seen)
    summed = figures(requests(auditor.shop.records), marks, frozen)
    shown = [f"{violation.kind}: {violation.what}" for violation in seen[:VIOLATIONS_SHOWN]]
    told = TrafficReport(
        summed,
        acknowledged=max((audit.acknowledged for audit in auditor.audits), default=0),
        lost=len({what for audit in auditor.audits for what in audit.lost}),
        stale_reads=kinds["stale"],
        audits=len(auditor.audits),
        added_up=auditor.added_up,
        doubts=[*auditor.doubts, *auditor.shop.doubts, *shown],
    )
    if not auditor.audits:
        told.doubts.append("nobody audited the stores")
    if summed.availability < LEAST_AVAILABILITY:
        told.doubts.append(f"availability was {summed.availability:.3%}, the limit is {LEAST_AVAILABILITY:.1%}")
    return told


_NONE = Latency(0, 0.0, 0.0, 0.0, 0.0)


def _rounded(latency: Latency) -> dict[str, float]:
    return {name: round(value, 1) for name, value in asdict(latency).items()}


def _cells(latency: Latency) -> tuple[str, ...]:
    return f"{latency.count:,}", *(f"{value:.0f}" for value in (latency.p50, latency.p95, latency.p99))
