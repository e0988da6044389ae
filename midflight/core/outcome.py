"""What became of one document on its way to the target: rows, absent, or refused with the reason.

Slotted dataclasses, not Pydantic: they are made once a document in the hot loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Path = Literal["backfill", "tail", "shadow", "repair", "tripwire"]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """The rows of one document, one list a table in the order of `tables()`; `rows[0]` has exactly one row.

    Values are what psycopg dumps for the column's type; jsonb values are JSON text (str).
    `checksum` is the digest of the document's BSON bytes (16 bytes).
    """

    key: bytes
    rows: tuple[Sequence[Row], ...]
    checksum: bytes = b""


@dataclass(frozen=True, slots=True)
class Absent:
    """The source holds no document with this key. `row_key` is its value in the root table's key column."""

    key: bytes
    row_key: Any


@dataclass(frozen=True, slots=True)
class Refused:
    """The document cannot be represented: it goes to quarantine. Names, types and reason; never the value itself.

    `row_key` is None where the key itself does not fit its column: then the target holds no row to remove.
    """

    key: bytes
    row_key: Any
    field: str
    value_type: str
    column: str
    reason: str
    checksum: bytes = b""


Outcome = Mapped | Absent | Refused


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a draw returns: a clock value larger than every earlier one, and the epoch it belongs to."""

    token: int
    epoch: int


@dataclass(frozen=True, slots=True)
class PartitionCursor:
    """The committed place inside a partition.

    `batches` is the count before this batch: the commit demands it unchanged.
    """

    collection: str
    partition: int
    batches: int
    cursor: bytes | None
    documents: int
    done: bool = False


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """The tail's position. `commits` is the count before this batch: the commit demands it unchanged.

    `token` is the feed's resume token as BSON bytes; `mark` the highest of our own marks that the feed has delivered.
    """

    token: bytes
    commits: int
    mark: int
    events: int = 0


Checkpoint = PartitionCursor | FeedPosition | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one apply brings.

    Outcomes by collection, the path they came by, and the checkpoint that commits with them.
    """

    path: Path
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    checkpoint: Checkpoint = None


@dataclass(frozen=True, slots=True)
class Applied:
    """Counts of one apply.

    Documents written, deleted, stale (the guard held a newer token) and quarantined, and rows written.
    """

    written: int = 0
    deleted: int = 0
    stale: int = 0
    quarantined: int = 0
    rows: int = 0

    def __add__(self, other: Applied) -> Applied:
        return Applied(
            self.written + other.written,
            self.deleted + other.deleted,
            self.stale + other.stale,
            self.quarantined + other.quarantined,
            self.rows + other.rows,
        )
