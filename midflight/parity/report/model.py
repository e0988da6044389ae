"""What a report shows: one value, made once, that every format writes. No format adds or hides anything.

Built in one pass over any number of mismatches, in bounded memory. Values are redacted here, before any format sees
them: see `values`. Keys are shown, since nobody could look a mismatch up without its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from midflight.core.plan import ParityRules
from midflight.parity.records import Cause, EntityCounts, FieldCensus, Mismatch, RunRecord, State, Verdict
from midflight.parity.report.advice import Standing, Step, headline, next_steps
from midflight.parity.report.groups import OPEN, Group, Grouping
from midflight.parity.report.values import Showing
from midflight.records import ParityProgress

FORMAT = "parity-report/1"
AGES = (10.0, 60.0, 600.0, 3_600.0, 86_400.0)
"""Upper bounds of the ages that are counted together, in seconds; the last ones are older than all of these."""
RUNS = 30
"""How many runs the history shows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked to show. `at` is now: the age of mismatches of a run that has not ended is told by it."""

    at: datetime
    rules: ParityRules = field(default_factory=ParityRules)
    values: bool = False


@dataclass(frozen=True, slots=True)
class Age:
    """Keys that differ, by how long they have done so; `to_seconds` None is open."""

    from_seconds: float
    to_seconds: float | None
    states: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class Past:
    """One run of the history. `differing` are settled keys, `undecided` hot ones and suspects."""

    run: str
    started_at: datetime
    seconds: float | None
    verdict: Verdict
    compared: int
    differing: int
    undecided: int


@dataclass(frozen=True, slots=True)
class Overlooked:
    """A declared rule (`ignore legacy`, `nfc name`) and how often it made equal what is not the same."""

    entity: str
    rule: str
    uses: int
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a report says. `history` is oldest first and ends with this run."""

    record: RunRecord
    made_at: datetime
    headline: str
    next_steps: tuple[Step, ...]
    states: Mapping[State, int]
    causes: Mapping[Cause, int]
    groups: tuple[Group, ...]
    ages: tuple[Age, ...]
    overlooked: tuple[Overlooked, ...]
    history: tuple[Past, ...]
    details: Mapping[str, Any]
    """By level, without values."""
    walked: Mapping[str, float] = field(default_factory=dict)
    """The share of each entity's ranges that were walked to their end, of a run that has not ended."""
    shown_fields: tuple[str, ...] = ()

    @property
    def same_code(self) -> tuple[str, ...]:
        """Fields that were read with the plan's own function, as the move does: its mistakes show on neither side."""
        return tuple(self.details.get("full", {}).get("verified_by_same_code", ()))

    @property
    def census(self) -> tuple[FieldCensus, ...]:
        """The fields whose census says different things of the two sides."""
        return tuple(one for one in self.record.census if _differs(one))

    @property
    def seconds(self) -> float:
        """How long the run took, or has taken until now."""
        return ((self.record.finished_at or self.made_at) - self.record.started_at).total_seconds()


class Builder:
    """Takes a run's mismatches page by page, then makes the report."""

    def __init__(self, record: RunRecord, asked: Asked) -> None:
        self._record = record
        self._asked = asked
        self._showing = Showing.of(asked.rules, values=asked.values)
        self._grouping = Grouping(self._showing)
        self._ages: Counter[tuple[int, State]] = Counter()
        self._walked: dict[str, float] = {}
        self._counts: dict[str, EntityCounts] = {}
        self._as_of = record.finished_at or asked.at

    def add(self, mismatches: Iterable[Mismatch]) -> None:
        """Count mismatches of the run, each key once."""
        for mismatch in mismatches:
            self._grouping.add(mismatch)
            age = (self._as_of - mismatch.first_seen).total_seconds()
            self._ages[sum(age >= bound for bound in AGES), mismatch.state] += 1

    def report(self, history: Sequence[RunRecord] = ()) -> Report:
        """The report; `history` in any order, with or without this run."""
        found, record = self._grouping, self._running()
        causes = dict(sorted(found.causes.items(), key=lambda one: (-one[1], one[0])))
        standing = Standing(record, found.states, causes)
        return Report(
            record=record,
            made_at=self._asked.at,
            headline=headline(standing),
            next_steps=next_steps(standing),
            states=dict(found.states),
            causes=causes,
            groups=found.groups(),
            ages=tuple(self._age(place) for place in range(len(AGES) + 1)),
            overlooked=_overlooked(record, self._asked.rules),
            history=_history(record, history),
            details={one.level: self._showing.details(one) for one in record.levels},
            walked=self._walked,
            shown_fields=self._showing.fields,
        )

    def walk(self, entity: str, ranges: Sequence[ParityProgress]) -> None:
        """Take an entity of a run that has not ended, so that nothing but its ranges tells how far it is."""
        self._walked[entity] = sum(one.done for one in ranges) / max(len(ranges), 1)
        self._counts[entity] = _counts(entity, ranges)

    def _running(self) -> RunRecord:
        """The record; while the run has not ended, with the counts of its ranges and its mismatches."""
        if not self._counts:
            return self._record
        states = self._grouping.by_entity
        counts = [
            replace(
                one,
                settled=states[one.entity, State.SETTLED],
                hot=states[one.entity, State.HOT],
                suspects=states[one.entity, State.SUSPECT],
                cleared=states[one.entity, State.CLEARED],
                repaired=states[one.entity, State.REPAIRED],
            )
            for one in self._counts.values()
        ]
        return replace(self._record, entities=tuple(counts))

    def _age(self, place: int) -> Age:
        lower = AGES[place - 1] if place else 0.0
        upper = AGES[place] if place < len(AGES) else None
        return Age(lower, upper, {state: self._ages[place, state] for state in OPEN})


def build(record: RunRecord, mismatches: Iterable[Mismatch], history: Sequence[RunRecord], asked: Asked) -> Report:
    """The report of a run of which everything is at hand."""
    builder = Builder(record, asked)
    builder.add(mismatches)
    return builder.report(history)


def _counts(entity: str, ranges: Sequence[ParityProgress]) -> EntityCounts:
    """What the ranges counted so far; number 0 is the walk over the target's keys."""
    of_source = [one for one in ranges if one.number]
    skipped, quarantined = (sum(one.tally.get(name, 0) for one in of_source) for name in ("skipped", "quarantined"))
    seen = sum(one.compared for one in of_source)
    return EntityCounts(
        entity=entity,
        source=seen,
        target=sum(one.compared for one in ranges if not one.number),
        compared=seen - skipped - quarantined,
        equal=sum(one.equal for one in of_source),
        skipped=skipped,
        quarantined=quarantined,
    )


def _history(record: RunRecord, history: Sequence[RunRecord]) -> tuple[Past, ...]:
    runs = {one.run: one for one in (*history, record)}
    newest = sorted(runs.values(), key=lambda one: (one.started_at, one.run))[-RUNS:]
    return tuple(_past(one) for one in newest)


def _past(record: RunRecord) -> Past:
    ended = record.finished_at
    return Past(
        run=record.run,
        started_at=record.started_at,
        seconds=None if ended is None else (ended - record.started_at).total_seconds(),
        verdict=record.verdict,
        compared=sum(one.compared for one in record.entities),
        differing=sum(one.settled for one in record.entities),
        undecided=sum(one.hot + one.suspects for one in record.entities),
    )


def _overlooked(record: RunRecord, rules: ParityRules) -> tuple[Overlooked, ...]:
    """Every declared rule, also one that was not needed; and what was used though the plan at hand does not know it."""
    reasons = {(one.collection, f"ignore {one.field}"): one.reason for one in rules.ignore}
    reasons |= {(one.collection, f"{one.rule} {one.field}"): one.reason for one in rules.tolerate}
    uses = {(one.entity, rule): count for one in record.entities for rule, count in one.by_rule.items()}
    every = sorted(reasons.keys() | uses.keys(), key=lambda at: (-uses.get(at, 0), at))
    return tuple(Overlooked(*at, uses.get(at, 0), reasons.get(at, "")) for at in every)


def _differs(census: FieldCensus) -> bool:
    source = (census.source_present, census.source_null, dict(census.source_types))
    return source != (census.target_present, census.target_null, dict(census.target_types))
