"""The report as JSON, format `parity-report/1`: for programs. Fields are only ever added."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from midflight.parity.records import Cause, EntityCounts, FieldCensus, LevelOutcome, State
from midflight.parity.report.advice import ADVICE
from midflight.parity.report.groups import OPEN, Group, Sample, by_cause
from midflight.parity.report.model import FORMAT, Age, Past, Report
from midflight.parity.report.values import Shown


def render(report: Report) -> str:
    """The whole report as one JSON document, in ASCII."""
    return json.dumps(document(report), indent=2, allow_nan=False) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The same as plain values."""
    record = report.record
    return {
        "format": FORMAT,
        "domain": record.domain,
        "run": record.run,
        "mode": record.mode,
        "verdict": record.verdict.value,
        "headline": report.headline,
        "next_steps": [{"about": one.about, "what": one.what} for one in report.next_steps],
        "started_at": instant(record.started_at),
        "finished_at": record.finished_at and instant(record.finished_at),
        "made_at": instant(report.made_at),
        "seconds": report.seconds,
        "plan_fingerprint": record.plan_fingerprint,
        "shown_fields": list(report.shown_fields),
        "levels": [_level(one, report.details) for one in record.levels],
        "entities": [_entity(one) for one in record.entities],
        "walked": dict(report.walked),
        "keys": states(report.states),
        "causes": [_cause(cause, groups, report) for cause, groups in by_cause(report.groups)],
        "ages": [_age(one) for one in report.ages],
        "census": [_census(one) for one in report.census],
        "verified_by_same_code": list(report.same_code),
        "overlooked": [asdict(one) for one in report.overlooked],
        "history": [_past(one) for one in report.history],
    }


def instant(at: datetime) -> str:
    """ISO 8601, in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def states(counts: Mapping[State, int]) -> dict[str, int]:
    """Every state by name; none is left out."""
    return {state.value: counts.get(state, 0) for state in State}


def side(shown: Shown) -> dict[str, str | None]:
    """One side of a difference. `value` is null where it is redacted, or where there is none."""
    return {"is": shown.what, "value": shown.value}


def _level(outcome: LevelOutcome, details: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "level": outcome.level,
        "verdict": outcome.verdict.value,
        "reason": outcome.reason,
        "details": details[outcome.level],
    }


def _entity(counts: EntityCounts) -> dict[str, Any]:
    numbers = ("source", "target", "compared", "equal", "settled", "suspects", "hot", "cleared", "repaired")
    more = ("quarantined", "skipped")
    return {
        "entity": counts.entity,
        **{name: getattr(counts, name) for name in (*numbers, *more)},
        "by_rule": dict(counts.by_rule),
    }


def _cause(cause: Cause, groups: tuple[Group, ...], report: Report) -> dict[str, Any]:
    return {
        "cause": cause.value,
        "keys": report.causes[cause],
        "advice": ADVICE[cause],
        "groups": [_group(one) for one in groups],
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "entity": group.entity,
        "field": group.field,
        "kind": group.kind.value,
        "keys": group.keys,
        "differences": group.differences,
        "states": states(group.states),
        "patterns": {cause.value: count for cause, count in group.patterns.items()},
        "samples": [_sample(one) for one in group.samples],
    }


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "key": sample.key,
        "key_bytes": sample.key_bytes.hex(),
        "path": sample.path,
        "source": side(sample.source),
        "target": side(sample.target),
        "state": sample.state.value,
        "first_seen": instant(sample.first_seen),
        "last_seen": instant(sample.last_seen),
        "rounds": sample.rounds,
    }


def _age(age: Age) -> dict[str, Any]:
    return {"from_seconds": age.from_seconds, "to_seconds": age.to_seconds, **_open(age.states)}


def _open(counts: Mapping[State, int]) -> dict[str, int]:
    return {state.value: counts.get(state, 0) for state in OPEN}


def _census(census: FieldCensus) -> dict[str, Any]:
    return {
        "entity": census.entity,
        "field": census.path,
        "source": {
            "present": census.source_present,
            "null": census.source_null,
            "types": dict(census.source_types),
        },
        "target": {
            "present": census.target_present,
            "null": census.target_null,
            "types": dict(census.target_types),
        },
    }


def _past(past: Past) -> dict[str, Any]:
    return {
        "run": past.run,
        "started_at": instant(past.started_at),
        "seconds": past.seconds,
        "verdict": past.verdict.value,
        "compared": past.compared,
        "differing": past.differing,
        "undecided": past.undecided,
    }
