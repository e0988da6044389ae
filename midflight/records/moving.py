"""What crosses the ports while a domain moves: ranges, positions, entries, suspects, guards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

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
    """Root rows by the value of their key column: from `lower` on, after `after`, up to `upto`, below `upper`.

    None is open.
    """

    lower: object = None
    after: object = None
    upto: object = None
    upper: object = None


@dataclass(frozen=True, slots=True)
class Held:
    """What was applied to the keys in a span: checksums of documents in order of keys, the newest token, how many
    root rows there are, and the values of their key column in order, with a blank between."""

    checksums: bytes
    token: int
    roots: int
    row_keys: str


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


@dataclass(frozen=True, slots=True)
class LastChange:
    """What the door did last with a key: `path` brought it. Later writes of others leave no trace here."""

    at: datetime
    path: str
    token: int
    deleted: bool
    refused: bool
