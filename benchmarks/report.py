"""What was measured, for people and for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Column, Table

from benchmarks.cases import BACKFILL, COPY_BYTES, COPY_ROWS, DECODE
from benchmarks.stopwatch import Measured

LEAST_PER_SECOND = 10_000
MOST_MEMORY_MB = 250
WHAT = {
    DECODE: "read all, bson.decode_all",
    BACKFILL: "the activity: read, map, stage, guards, merge",
    COPY_ROWS: "same rows as tuples, psycopg binary COPY",
    COPY_BYTES: "same rows as COPY's bytes, one transaction",
}


@dataclass(frozen=True, slots=True)
class Line:
    """The medians of one case. CPU in microseconds a document; `of_copy` is the share of each COPY's speed."""

    case: str
    per_second: int
    slowest: int
    fastest: int
    peak_mb: int
    client_us: float
    target_us: float
    of_copy: dict[str, float]


def summary(measured: Sequence[Measured]) -> list[Line]:
    """One line a case, in the order of WHAT."""
    speeds = {case: median(_speeds(measured, case)) for case in WHAT}
    return [_line(case, measured, speeds) for case in WHAT]


def targets(lines: Sequence[Line]) -> dict[str, bool]:
    """Whether the backfill reaches what is demanded of one worker process."""
    line = next(one for one in lines if one.case == BACKFILL)
    return {
        f"at least {LEAST_PER_SECOND:,} documents/s": line.per_second >= LEAST_PER_SECOND,
        f"less than {MOST_MEMORY_MB} MB of memory": line.peak_mb < MOST_MEMORY_MB,
    }


def show(console: Console, lines: Sequence[Line], title: str) -> None:
    """The table, then the targets."""
    console.print(f"\n{title}", style="bold")
    table = Table(Column("case", no_wrap=True), box=box.SIMPLE_HEAD, padding=0)
    for heading in ("docs/s", "range (k)", "of rows", "of bytes", "MB", "client", "target"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(*_cells(line), style="bold" if line.case == BACKFILL else "")
    console.print(table)
    for case, what in WHAT.items():
        console.print(f"[dim]{case:15}{what}[/]")
    console.print("[dim]of rows, of bytes: share of that COPY's speed; client, target: CPU, µs/doc[/]\n")
    for target, holds in targets(lines).items():
        console.print(f"{'[green]holds ' if holds else '[red]MISSED'}[/]  {target}")


def write(path: Path, lines: Sequence[Line], measured: Sequence[Measured], facts: dict[str, Any]) -> None:
    """All figures, with what they were measured on."""
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        **facts,
        "targets": targets(lines),
        "medians": [asdict(line) for line in lines],
        "runs": [{**asdict(one), "documents_per_second": round(one.documents_per_second)} for one in measured],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _line(case: str, measured: Sequence[Measured], speeds: dict[str, float]) -> Line:
    runs = [one for one in measured if one.case == case]
    rounded = [round(one.documents_per_second) for one in runs]
    return Line(
        case=case,
        per_second=round(speeds[case]),
        slowest=min(rounded),
        fastest=max(rounded),
        peak_mb=round(max(one.peak_mb for one in runs)),
        client_us=_microseconds(runs, "client"),
        target_us=_microseconds(runs, "target"),
        of_copy={copy: round(speeds[case] / speeds[copy], 2) for copy in (COPY_ROWS, COPY_BYTES)},
    )


def _speeds(measured: Sequence[Measured], case: str) -> list[float]:
    return [one.documents_per_second for one in measured if one.case == case]


def _microseconds(runs: Sequence[Measured], process: str) -> float:
    return round(median(one.cpu[process] / one.documents for one in runs) * 1e6, 1)


def _cells(line: Line) -> tuple[str, ...]:
    shares = [f"{share:.2f}" for share in line.of_copy.values()]
    speeds = (f"{line.per_second:,}", f"{line.slowest / 1000:.1f} – {line.fastest / 1000:.1f}")
    return (line.case, *speeds, *shares, str(line.peak_mb), str(line.client_us), str(line.target_us))


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
