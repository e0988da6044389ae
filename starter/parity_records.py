"""Runs of parity as the commands show them: for machines, and as cells of a table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from midflight.parity.records import RunRecord
from midflight.parity.report.wording import duration, moment, number


class Cells(NamedTuple):
    """One run as text. The names are the headings of its columns."""

    run: str
    mode: str
    began: str
    took: str
    verdict: str
    compared: str
    settled: str
    undecided: str
    levels: str


def cells_of(record: RunRecord) -> Cells:
    """A run that has not ended says so where others say how long they took."""
    ended, entities = record.finished_at, record.entities
    return Cells(
        run=record.run,
        mode=record.mode,
        began=moment(record.started_at),
        took="has not ended" if ended is None else duration((ended - record.started_at).total_seconds()),
        verdict=record.verdict.value,
        compared=number(sum(one.compared + one.skipped for one in entities)),
        settled=number(sum(one.settled for one in entities)),
        undecided=number(sum(one.hot + one.suspects for one in entities)),
        levels=", ".join(f"{one.level} {one.verdict}" for one in record.levels),
    )


def data_of(record: RunRecord) -> dict[str, Any]:
    """JSON-ready."""
    return {
        "run": record.run,
        "mode": record.mode,
        "verdict": record.verdict.value,
        "started_at": record.started_at.isoformat(),
        "finished_at": record.finished_at.isoformat() if record.finished_at is not None else None,
        "plan_fingerprint": record.plan_fingerprint,
        "levels": {one.level: one.verdict.value for one in record.levels},
        "entities": [asdict(one) for one in record.entities],
    }
