"""The end of the demonstration: a table for people, and the same as a file for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.check.verdict import Verdict
from demo.moves import Told
from demo.traffic import TrafficReport
from demo.traveller import Approved
from midflight.contracts.domain import DomainReport, PhaseSpan
from midflight.core.phase import Phase


@dataclass(slots=True)
class Summary:
    """Everything that is told at the end. `doubts` are those that belong to no domain."""

    seconds: float
    verdicts: Sequence[Verdict]
    reports: list[DomainReport]
    approved: list[Approved] = field(default_factory=list)
    temporal_ui: str | None = None
    doubts: list[str] = field(default_factory=list)
    traffic: TrafficReport | None = None

    def add(self, told: Told) -> None:
        """What came home from some journeys."""
        self.reports += told.reports
        self.approved += told.approved
        self.doubts += told.doubts

    @property
    def ok(self) -> bool:
        """Whether nothing is left to doubt."""
        judged = bool(self.verdicts or self.traffic) and all(verdict.ok for verdict in self.verdicts)
        return judged and not self.doubts and not (self.traffic and (self.traffic.doubts or self.traffic.lost))

    @property
    def acknowledged_writes(self) -> int:
        """Of the writer, and of the application's clients."""
        return sum(v.acknowledged_writes for v in self.verdicts) + (self.traffic.acknowledged if self.traffic else 0)

    @property
    def lost_writes(self) -> int:
        """Of the writer, and of the application's clients."""
        return sum(v.lost_writes for v in self.verdicts) + (self.traffic.lost if self.traffic else 0)

    def as_json(self) -> dict[str, Any]:
        """As it lies in the file."""
        phases = {report.domain: seconds_by_phase(report.spans) for report in self.reports}
        return {
            "ok": self.ok,
            "acknowledged_writes": self.acknowledged_writes,
            "lost_writes": self.lost_writes,
            "mismatches": sum(v.mismatches for v in self.verdicts),
            "quarantined": sum(v.quarantined for v in self.verdicts),
            "seconds": round(self.seconds, 1),
            "domains": {
                v.domain: {
                    "documents": v.documents,
                    "rows": v.rows,
                    "quarantined": v.quarantined,
                    "phases": phases.get(v.domain, {}),
                }
                for v in self.verdicts
            },
            "approvals": [
                {"domain": a.domain, "gate": a.gate, "person": a.person, "evidence": a.evidence_hash}
                for a in self.approved
            ],
            "temporal_ui": self.temporal_ui,
            "doubts": self._all_doubts(),
            **(self.traffic.as_json() if self.traffic else {}),
        }

    def write(self, path: Path) -> None:
        """Put it into a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")

    def show(self, console: Console) -> None:
        """Print it."""
        if self.verdicts:
            console.print(_counts(self))
        console.print(_phases(self))
        if self.traffic is not None:
            console.print(self.traffic.table(), self.traffic.line(), sep="\n", highlight=False)
        for doubt in self._all_doubts():
            console.print(f"[red]doubt:[/red] {doubt}", highlight=False)
        told = self.as_json()
        colour = "green" if self.ok else "red"
        console.print(
            f"[bold {colour}]{told['acknowledged_writes']:,} acknowledged writes, {told['lost_writes']} lost, "
            f"{told['mismatches']} mismatches, {told['quarantined']} in quarantine (each waived by name); "
            f"{self.seconds:.0f} seconds[/bold {colour}]"
        )
        if self.temporal_ui:
            console.print(f"Temporal Web: {self.temporal_ui}")

    def _all_doubts(self) -> list[str]:
        of_domains = (f"{v.domain}: {doubt}" for v in self.verdicts for doubt in v.doubts)
        return [*self.doubts, *(self.traffic.doubts if self.traffic else ()), *of_domains]


def seconds_by_phase(spans: Sequence[PhaseSpan]) -> dict[str, float]:
    """How long each phase took; one that was entered twice counts both times."""
    seconds: dict[str, float] = {}
    for span in spans:
        if span.left:
            length = datetime.fromisoformat(span.left) - datetime.fromisoformat(span.entered)
            seconds[span.phase.value] = round(seconds.get(span.phase.value, 0.0) + length.total_seconds(), 2)
    return seconds


def _counts(summary: Summary) -> Table:
    table = Table(title="What moved", title_justify="left")
    table.add_column("domain")
    for name in ("documents", "rows", "quarantined", "writes", "lost", "mismatches"):
        table.add_column(name, justify="right", no_wrap=True)
    for v in summary.verdicts:
        counts = (v.documents, v.rows, v.quarantined, v.acknowledged_writes, v.lost_writes, v.mismatches)
        table.add_row(v.domain, *(f"{count:,}" for count in counts))
    return table


def _phases(summary: Summary) -> Table:
    """A column a domain: ten phases would not fit beside one another."""
    table = Table(title="Seconds by phase", title_justify="left")
    table.add_column("phase")
    spent = {report.domain: seconds_by_phase(report.spans) for report in summary.reports}
    for domain in spent:
        table.add_column(domain, justify="right")
    for phase in Phase:
        if phase is not Phase.DONE:
            table.add_row(phase.value, *(f"{of_one.get(phase.value, 0):.1f}" for of_one in spent.values()))
    return table
