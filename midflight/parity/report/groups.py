"""Mismatches gathered into groups: by cause, then entity, field and kind, with counts and a few samples each.

One pass over any number of mismatches, in bounded memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from midflight.parity.records import Cause, FieldDifference, Kind, Mismatch, State
from midflight.parity.report.values import Showing, Shown, whole
from midflight.parity.report.wording import counted, key_shown, printable

SAMPLES = 3
OPEN = (State.SETTLED, State.HOT, State.SUSPECT)
"""The states in which a key still differs, the worst first."""
OTHER_FIELDS = "(other fields)"
_MOST_GROUPS = 500
_PATTERNS = frozenset(
    {
        Cause.TRUNCATION,
        Cause.PRECISION,
        Cause.ENCODING,
        Cause.TIME_ZONE_SHIFT,
        Cause.DEFAULT_FILLED,
        Cause.UNKNOWN,
    }
)
"""Causes that are told from a field's values; all others from the key's versions, or from many keys."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One difference of one key. `path` has positions (`lines.3.sku`); it is empty where the key differs as a whole."""

    key: str
    key_bytes: bytes
    path: str
    source: Shown
    target: Shown
    state: State
    first_seen: datetime
    last_seen: datetime
    rounds: int


@dataclass(frozen=True, slots=True)
class Group:
    """What differs alike. `keys` counts keys, `differences` every element of an array too; `states` counts keys.

    `patterns` counts what the values look like, where that is not the cause: the shape of a mapping bug.
    """

    cause: Cause
    entity: str
    field: str
    kind: Kind
    keys: int
    differences: int
    states: Mapping[State, int]
    patterns: Mapping[Cause, int]
    samples: tuple[Sample, ...]

    @property
    def looks(self) -> str:
        """The patterns in words: truncation (12 keys), encoding (1 key)."""
        return ", ".join(f"{pattern} ({counted(keys, 'key')})" for pattern, keys in self.patterns.items())


Place = tuple[Cause, str, str, Kind]


@dataclass(slots=True)
class _Tally:
    keys: int = 0
    differences: int = 0
    states: Counter[State] = field(default_factory=Counter)
    patterns: Counter[Cause] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)


class Grouping:
    """Takes mismatches one by one; those that were cleared or repaired are only counted by state."""

    def __init__(self, showing: Showing) -> None:
        self.states: Counter[State] = Counter()
        self.by_entity: Counter[tuple[str, State]] = Counter()
        self.causes: Counter[Cause] = Counter()
        """Keys by cause; a key that differs by two causes counts for both."""
        self._showing = showing
        self._tallies: dict[Place, _Tally] = {}

    def add(self, mismatch: Mismatch) -> None:
        """Count one mismatch."""
        self.states[mismatch.state] += 1
        self.by_entity[mismatch.entity, mismatch.state] += 1
        if mismatch.state not in OPEN:
            return
        places = _places(mismatch)
        self.causes.update({place[0] for place in places})
        for place, differences in places.items():
            self._add(place, mismatch, differences)

    def groups(self) -> tuple[Group, ...]:
        """The groups of the most frequent cause first, and in it the largest group first."""
        return tuple(_group(place, self._tallies[place]) for place in sorted(self._tallies, key=self._rank))

    def _rank(self, place: Place) -> tuple[int, Cause, int, str, str, Kind]:
        cause, entity, name, kind = place
        return (-self.causes[cause], cause, -self._tallies[place].keys, entity, name, kind)

    def _add(self, place: Place, mismatch: Mismatch, differences: list[FieldDifference]) -> None:
        tally = self._tally(place)
        tally.keys += 1
        tally.differences += max(len(differences), 1)
        tally.states[mismatch.state] += 1
        tally.patterns.update({one.cause for one in differences} - {place[0], Cause.UNKNOWN})
        if len(tally.samples) < SAMPLES:
            tally.samples.append(sample(mismatch, differences[0] if differences else None, self._showing))

    def _tally(self, place: Place) -> _Tally:
        if place not in self._tallies and len(self._tallies) >= _MOST_GROUPS:
            cause, entity, _, kind = place
            place = (cause, entity, OTHER_FIELDS, kind)
        return self._tallies.setdefault(place, _Tally())


def sample(mismatch: Mismatch, difference: FieldDifference | None, showing: Showing) -> Sample:
    """One difference as it is shown; None for the key as a whole."""
    source, target = whole(mismatch) if difference is None else showing.sides(difference)
    return Sample(
        key=key_shown(mismatch.key),
        key_bytes=mismatch.key,
        path=printable(difference.path) if difference else "",
        source=source,
        target=target,
        state=mismatch.state,
        first_seen=mismatch.first_seen,
        last_seen=mismatch.last_seen,
        rounds=mismatch.rounds,
    )


def cause_of(mismatch: Mismatch, difference: FieldDifference) -> Cause:
    """The key's cause; where that is only what values look like, what this field's values look like."""
    by_pattern = mismatch.cause in _PATTERNS and difference.cause is not Cause.UNKNOWN
    return difference.cause if by_pattern else mismatch.cause


def _places(mismatch: Mismatch) -> dict[Place, list[FieldDifference]]:
    found: dict[Place, list[FieldDifference]] = {}
    if not mismatch.fields or mismatch.kind in (Kind.MISSING, Kind.EXTRA):
        return {(mismatch.cause, mismatch.entity, "", mismatch.kind): []}
    for one in mismatch.fields:
        place = (cause_of(mismatch, one), mismatch.entity, one.field, one.kind)
        found.setdefault(place, []).append(one)
    return found


def by_cause(groups: tuple[Group, ...]) -> Iterator[tuple[Cause, tuple[Group, ...]]]:
    """The groups of each cause, in the order in which they come."""
    for cause in dict.fromkeys(group.cause for group in groups):
        yield cause, tuple(group for group in groups if group.cause is cause)


def _group(place: Place, tally: _Tally) -> Group:
    cause, entity, name, kind = place
    return Group(
        cause=cause,
        entity=entity,
        field=name,
        kind=kind,
        keys=tally.keys,
        differences=tally.differences,
        states=dict(tally.states),
        patterns=dict(tally.patterns.most_common()),
        samples=tuple(tally.samples),
    )
