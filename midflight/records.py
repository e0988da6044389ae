"""What crosses the ports beside documents and rows: ranges, positions, findings, entries. Plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from midflight.core import histogram
from midflight.core.outcome import Row
from midflight.core.phase import Stage


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys from `lower` (inclusive) to `upper` (exclusive) in BSON order, across types.

    None is open. Canonical key bytes.
    """

    lower: bytes | None = None
    upper: bytes | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of `prepare`: what was looked at, whether it is good, and what to do if it is not."""

    check: str
    ok: bool
    detail: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    """What the feed delivered in one go: keys by collection in order of arrival, the position after them.

    `after` is opaque (the operation time to read causally after), None when nothing was delivered.
    `mark` is the highest of our own marks among the events, or None. `events` counts everything delivered.
    """

    keys: dict[str, list[bytes]]
    token: bytes
    after: bytes | None
    mark: int | None
    events: int


@dataclass(frozen=True, slots=True)
class AuthorityRow:
    """Who is in charge of a domain; protocol section 1. Percentages are basis points."""

    authority: str
    epoch: int
    accepting: bool
    stage: Stage
    reads_bp: int
    dark_reads_bp: int
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Partition:
    """A key range of the backfill, and how far it got."""

    number: int
    keys: KeyRange
    cursor: bytes | None
    batches: int
    documents: int
    done: bool


@dataclass(frozen=True, slots=True)
class Position:
    """Where the tail is.

    `lag_seconds` and `reported_at` are what it last said of itself (None before the first report).
    """

    token: bytes
    commits: int
    mark: int
    lag_seconds: float | None = None
    events: int = 0


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One document that could not be represented."""

    number: int
    collection: str
    key: bytes
    field: str
    value_type: str
    column: str
    reason: str
    token: int
    path: str
    first_seen: datetime
    last_seen: datetime
    waived_by: str | None = None
    waived_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A key that parity found different. `kind`: missing, extra or different; `fields` names the first few fields."""

    collection: str
    key: bytes
    kind: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParityProgress:
    """How far one range of a parity run got; `batches` guards against two attempts moving it.

    `tally` is what else was counted in it until now, small and JSON-ready; its shape is the run's own.
    """

    number: int
    keys: KeyRange
    cursor: bytes | None
    batches: int
    compared: int
    equal: int
    done: bool
    tally: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guard:
    """What the ledger knows of a key.

    `token` is that of the last apply; where the application has written the key since, at the target, it is that of
    its write (`written_here`): both come from one clock. `checksum` is that of the image that was applied, None where
    there is none.
    """

    token: int
    checksum: bytes | None
    deleted: bool = False
    quarantined: bool = False
    written_here: bool = False


@dataclass(frozen=True, slots=True)
class RowsAndGuards:
    """Rows by root key value (as `TargetRows.rows_of` gives them) and guards by key, of one moment."""

    rows: dict[object, tuple[list[Row], ...]]
    guards: dict[bytes, Guard]


@dataclass(frozen=True, slots=True)
class RowSpan:
    """Root rows by the value of their key column: from `lower` on, after `after`, below `upper`; None is open."""

    lower: object = None
    after: object = None
    upper: object = None


@dataclass(frozen=True, slots=True)
class FieldCount:
    """One field on one side, counted over all keys (over all elements where the path has a `*`).

    `null` counts those that have null in it; `types` all others by the name of their type.
    """

    path: str
    null: int = 0
    types: Mapping[str, int] = field(default_factory=dict)

    @property
    def present(self) -> int:
        """How many have the field, null included."""
        return self.null + sum(self.types.values())


# --- the application's library ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Beat:
    """What an instance says with each poll: the revision it obeys, and the oldest revision a write in flight obeys.

    `oldest_revision` and `oldest_seconds` (the age of that write) are None when no write is in flight.
    """

    instance: str
    seen_revision: int
    lease_seconds: float
    oldest_revision: int | None = None
    oldest_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance of the application as the ledger knows it; ages and the rest of its lease in seconds."""

    instance: str
    seen_revision: int
    oldest_revision: int | None
    oldest_seconds: float | None
    lease_left: float
    silent_seconds: float

    def acknowledges(self, revision: int) -> bool:
        """Whether it obeys this revision, with no older write in flight."""
        oldest = self.oldest_revision
        return self.seen_revision >= revision and (oldest is None or oldest >= revision)


@dataclass(slots=True)
class ReadReport:
    """What the reads of one operation showed since the last report. Histograms over `midflight.core.histogram.BOUNDS`.

    `compared` counts every comparison; what is not `equal`, `ignored` or `unclear` of it is a mismatch.
    `unclear` counts comparisons that ended in an error of the comparator or of a hook, `dropped` dark reads that were
    not made (limit, breaker, deadline), `fallbacks` reads that went to the source because the target failed,
    `shadow_skipped` shadow writes that were not done in time. `causes` counts differences by field and cause.
    """

    operation: str
    revision: int
    compared: int = 0
    equal: int = 0
    ignored: int = 0
    unclear: int = 0
    dropped: int = 0
    fallbacks: int = 0
    shadow_skipped: int = 0
    source_errors: int = 0
    target_errors: int = 0
    source_latency: list[int] = field(default_factory=list)
    target_latency: list[int] = field(default_factory=list)
    causes: dict[str, int] = field(default_factory=dict)

    def add(self, other: ReadReport) -> None:
        """Count what the other one counted as well."""
        for name in _READ_COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.source_latency = histogram.add(self.source_latency, other.source_latency)
        self.target_latency = histogram.add(self.target_latency, other.target_latency)
        for cause, count in other.causes.items():
            self.causes[cause] = self.causes.get(cause, 0) + count


_READ_COUNTS = tuple(part.name for part in fields(ReadReport) if part.type == "int" and part.name != "revision")


READS_BREACHED = "reads_breached"
"""The kind of the audit entry that `Ledger.set_back` writes; its details: `revision` (after it), `breaches`."""


@dataclass(frozen=True, slots=True)
class ReadMismatch:
    """One difference that a dark read found. `sides` (cleaned values by side) only where a team asked for it."""

    operation: str
    entity: str
    fields: tuple[str, ...]
    cause: str
    sides: dict[str, object] | None = None


# --- the way back -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DirtyKey:
    """A key that the application changed at the target, as one snapshot shows it: the mark and the rows.

    `rows` is None where the root row is gone; `root` then has what is left of it: the key column's value first, the
    rest column last (None for everything else).
    """

    row_key: object
    seq: int
    rows: tuple[list[Row], ...] | None
    root: Row


@dataclass(frozen=True, slots=True)
class WriteBack:
    """A document on its way back to the source: BSON bytes, or None where it is deleted."""

    key: bytes
    seq: int
    document: bytes | None


@dataclass(frozen=True, slots=True)
class NotWritten:
    """A document that the source refuses, and why (for people; no values)."""

    key: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class LateWrite:
    """A change of the source after the flip that is not the reverse tail's. `image`: BSON bytes, None for a delete."""

    key: bytes
    image: bytes | None


@dataclass(frozen=True, slots=True)
class FenceView:
    """Who refuses what in one place: a collection of the source, a table of the target."""

    place: str
    refuses: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Archived:
    """One collection in the archive: what was written, and that reading it back gave the same."""

    collection: str
    documents: int
    size: int
    digest: str
