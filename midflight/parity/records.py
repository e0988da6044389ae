"""What parity works with: entries of two sides, what differs between them, and what a run came to. Plain values.

A *normal* value is what is compared, by `==`: see `midflight.parity.forms.normal`. Keys are canonical key bytes
(`midflight.core.keys`) where the entity is a collection; any bytes that sort like the side's keys otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from midflight.records import KeyRange

Level = Literal["structure", "census", "sample", "full", "invariants"]
Normal = Any

DELETED = "deleted"
"""`Entry.unreadable` of a key that the side knows to be deleted."""
QUARANTINED = "quarantined"
"""`Entry.unreadable` of a key that the target cannot hold: it is accounted for by its own gate."""


class Verdict(StrEnum):
    """What a level, or a whole run, came to. Incomplete is not pass."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCOMPLETE = "incomplete"
    UNDECIDED = "undecided"


class Kind(StrEnum):
    """How a key or a field differs."""

    MISSING = "missing"
    """The source has it, the target has not."""
    EXTRA = "extra"
    """The target has it, the source has not."""
    VALUE = "value"
    NULL = "null"
    """One side has null, the other a value, or nothing."""
    TYPE = "type"
    """The same number or text, as another kind of value."""
    ORDER = "order"
    UNREADABLE = "unreadable"
    """One side cannot be read as what the plan says."""


class Cause(StrEnum):
    """Why, as far as it can be told from the two entries and the guard."""

    STALE = "stale"
    LOST_UPDATE = "lost update"
    LOST_DELETE = "lost delete"
    ROGUE_WRITE = "rogue write"
    TRUNCATION = "truncation"
    PRECISION = "precision"
    ENCODING = "encoding"
    TIME_ZONE_SHIFT = "time-zone shift"
    DEFAULT_FILLED = "default filled"
    MAPPING_BUG = "mapping bug"
    UNKNOWN = "unknown"


class State(StrEnum):
    """What is known of a mismatch."""

    SUSPECT = "suspect"
    """It differed; the target may only be late."""
    SETTLED = "settled"
    """It differs, and nothing that is on its way can change that."""
    HOT = "hot"
    """It changes so often that it was never seen at rest."""
    CLEARED = "cleared"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as one side holds it at one moment.

    `fields` maps a field's path to its normal value; a path that is not there is missing. `version` names the image
    where the side knows one: the digest of the source's bytes, the digest of what was last applied to the target.
    `token` is the guard's, where there is one: it grows with every apply. `faithful` is whether the rows still give the
    image of that version, None where nobody looked. `unreadable` says why `fields` could not be read; two words of it
    have a meaning of their own: DELETED and QUARANTINED.
    """

    key: bytes
    fields: Mapping[str, Normal]
    version: bytes | None = None
    token: int | None = None
    faithful: bool | None = None
    unreadable: str = ""
    image: bytes | None = None
    """What `version` would be of the document that the rows give now; None where nobody looked, or they give none."""


@dataclass(frozen=True, slots=True)
class Span:
    """Keys of a range that come after one key and not after another; None is open, as in the range itself."""

    keys: KeyRange
    after: bytes | None = None
    upto: bytes | None = None


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field that differs. `source` and `target` are normal values, MISSING where there is none."""

    path: str
    kind: Kind
    source: Normal
    target: Normal
    cause: Cause = Cause.UNKNOWN

    @property
    def field(self) -> str:
        """The path without positions of elements: by this differences are grouped (`lines.3.sku` -> `lines.*.sku`)."""
        return ".".join("*" if part.isdigit() else part for part in self.path.split("."))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A key at which the sides differ.

    `rounds` counts looks since `first_seen`; a change on either side begins both anew, which `resets` counts.
    `source_version`, `target_version` and `token` are those of the last look.
    """

    entity: str
    key: bytes
    kind: Kind
    fields: tuple[FieldDifference, ...]
    cause: Cause
    state: State
    first_seen: datetime
    last_seen: datetime
    rounds: int = 0
    source_version: bytes | None = None
    target_version: bytes | None = None
    token: int | None = None
    resets: int = 0


@dataclass(frozen=True, slots=True)
class FieldCensus:
    """One field on both sides: how many keys have it, have null in it, and which types, by name of type and count."""

    entity: str
    path: str
    source_present: int = 0
    target_present: int = 0
    source_null: int = 0
    target_null: int = 0
    source_types: Mapping[str, int] = field(default_factory=dict)
    target_types: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EntityCounts:
    """What was looked at in one entity."""

    entity: str
    source: int = 0
    target: int = 0
    compared: int = 0
    equal: int = 0
    suspects: int = 0
    settled: int = 0
    hot: int = 0
    cleared: int = 0
    repaired: int = 0
    quarantined: int = 0
    """Documents that the target cannot hold, accounted for by their own gate."""
    skipped: int = 0
    """Not compared again, because both sides still say what they said when they were equal (watch runs only)."""
    unproven: int = 0
    """Equal field by field, but not seen to give the source's very bytes: nobody asked, or nobody can tell."""
    by_rule: Mapping[str, int] = field(default_factory=dict)
    """Equal only by a declared rule (ignored field, tolerance): how often each rule was needed."""


@dataclass(frozen=True, slots=True)
class LevelOutcome:
    """What one level came to. `details` is small and JSON-ready, its shape is the level's own."""

    level: Level
    verdict: Verdict
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A whole run, as it is kept. `mode`: a gate run trusts nothing; a watch run skips what it saw equal before.

    `levels` of a run that has not ended are those it was begun with, all incomplete.
    """

    domain: str
    run: str
    mode: Literal["gate", "watch"]
    started_at: datetime
    finished_at: datetime | None
    plan_fingerprint: str
    levels: tuple[LevelOutcome, ...] = ()
    entities: tuple[EntityCounts, ...] = ()
    census: tuple[FieldCensus, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of the levels; incomplete without a level or an end."""
        if self.finished_at is None or not self.levels:
            return Verdict.INCOMPLETE
        found = {outcome.verdict for outcome in self.levels}
        worst = (Verdict.FAIL, Verdict.UNDECIDED, Verdict.INCOMPLETE, Verdict.PASS)
        return next(verdict for verdict in worst if verdict in found)
