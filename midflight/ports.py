"""Ports: every I/O Midflight does, on one page. Adapters implement them, activities use them, drivers stay behind them.

Documents cross as BSON bytes, keys as canonical bytes (`midflight.core.keys`), rows as tuples
(`midflight.core.tables`). All raise `midflight.errors` only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from midflight.core.gates import Evidence
from midflight.core.outcome import Applied, Batch, FeedPosition, Row, Ticket
from midflight.core.phase import Stage
from midflight.core.plan import CollectionMap, Plan
from midflight.core.routing import Route
from midflight.records import (
    Archived,
    AuthorityRow,
    Beat,
    Changed,
    DirtyKey,
    FenceView,
    Finding,
    InstanceView,
    KeyRange,
    LateWrite,
    NotWritten,
    ParityProgress,
    Partition,
    Position,
    QuarantineEntry,
    ReadMismatch,
    ReadReport,
    Suspect,
    WriteBack,
)

# --- the source ---------------------------------------------------------------------------------------------------


class SourceReader(Protocol):
    """Reads documents; majority read concern."""

    async def inspect(self, collections: Sequence[str]) -> list[Finding]:
        """Reachable, replica set, collections exist, privileges, feed window: all findings, good and bad."""

    async def count(self, collection: str) -> int:
        """About how many documents the collection holds (from metadata)."""

    async def size(self, collection: str) -> int:
        """About how many bytes the collection's documents take, uncompressed."""

    async def partitions(self, collection: str, parts: int) -> list[KeyRange]:
        """At most `parts` ranges that cover every key of every BSON type, without overlap, in order."""

    def read_range(
        self, collection: str, keys: KeyRange, *, above: bytes | None, batch_size: int
    ) -> AsyncIterator[bytes]:
        """Blocks of concatenated BSON documents in key order, from one cursor (one draw serves it).

        Starts strictly after `above` where given. At most `batch_size` documents a block.
        """

    async def read_keys(self, collection: str, keys: Sequence[bytes], *, after: bytes | None = None) -> bytes:
        """The current documents of these keys, concatenated BSON, any order; absent keys are simply not there.

        `after` is `Changed.after`: the read is causally after that operation.
        """

    async def present(self, collection: str, keys: Sequence[bytes]) -> set[bytes]:
        """Which of these keys exist."""

    async def feed_window_seconds(self) -> float:
        """How far back the change feed still reaches."""


class ChangeFeed(Protocol):
    """The source's change feed, by keys, resumable; at-least-once."""

    async def pin(self, collections: Sequence[str]) -> bytes:
        """A position no newer than any document that a later read will see (a resume token as BSON bytes)."""

    async def mark(self, domain: str) -> int:
        """Write our own mark to the source, `w: majority`; the feed delivers it after everything written before it."""

    def follow(
        self, domain: str, collections: Sequence[str], token: bytes, *, at_most: int, wait_seconds: float
    ) -> AbstractAsyncContextManager[AsyncIterator[Changed]]:
        """Everything after the position. Yields at least every `wait_seconds`, with no keys when nothing happened."""

    async def forget(self, domain: str) -> None:
        """Remove our mark of this domain; leave nothing of ours in the source."""


class SourceFence(Protocol):
    """Makes the source store refuse everyone's writes but the reverse writer's.

    `users` are the application's users of this database: where the server knows them, they also lose their right to
    write, which is what stops deletes.
    """

    async def current(self, collections: Sequence[str]) -> dict[str, str]:
        """What decides over writes now, by collection, as JSON text; fenced collections are left out."""

    async def raise_fence(self, collections: Sequence[str], users: Sequence[str] = ()) -> None:
        """Refuse inserts and updates, and the users' deletes; the fence itself remembers what it replaced.

        Repeating is safe.
        """

    async def lower_fence(self, collections: Sequence[str], users: Sequence[str] = ()) -> None:
        """Put back what each fence remembers; a collection or user without a fence of ours is left alone."""

    async def fenced(self, collections: Sequence[str]) -> set[str]:
        """Which of the collections refuse writes now."""

    async def status(self, collections: Sequence[str], users: Sequence[str] = ()) -> list[FenceView]:
        """By collection: what is refused, what passes, and why (validator, roles, who may bypass)."""


class ReverseWriter(Protocol):
    """Writes documents back to the source while the target is the authority. Protocol section 5.

    Each key has a guard document in the source (`midflight_guards`): its `seq`, a tombstone after a delete, and the
    digest of what was written.
    """

    async def write_back(self, collection: str, changes: Sequence[WriteBack]) -> list[NotWritten]:
        """Each change and its guard in one transaction, only where the guard's `seq` is smaller; passes the fence.

        What the source refuses (unique index, size) is returned; everything else is in, or was newer already.
        """

    async def late_writes(self, collection: str, keys: Sequence[bytes]) -> list[LateWrite]:
        """Those of the keys whose document is not what their guard says: somebody else wrote it after the flip.

        Document and guard are read in one transaction. A key without a guard is late.
        """

    async def forget_guards(self, collections: Sequence[str]) -> None:
        """Remove the guards of these collections. Only after the last reverse writer is gone for good."""


class SourceArchive(Protocol):
    """The end of the source: an archive that was read back, then drop."""

    async def archive(self, collection: str, folder: str) -> Archived:
        """Write every document to `<folder>/<collection>.bson.gz` and read it back. SourceError if they differ."""

    async def verify(self, archived: Archived, folder: str) -> bool:
        """Whether the archive on disk and the source still both hold exactly this."""

    async def drop(self, collections: Sequence[str]) -> None:
        """Drop the collections. Repeating is safe."""


@dataclass(frozen=True, slots=True)
class Source:
    """One open connection to the source database, seen through its ports."""

    reader: SourceReader
    feed: ChangeFeed
    fence: SourceFence
    reverse: ReverseWriter
    archive: SourceArchive


# --- the target ---------------------------------------------------------------------------------------------------


class Door(Protocol):
    """The one way into the target: draw, (read,) apply. Protocol section 2."""

    async def draw(self, domain: str) -> Ticket:
        """A new token and the epoch, in one round trip. Raises AuthorityMoved unless the source is the authority."""

    async def apply(self, plan: Plan, ticket: Ticket, batch: Batch) -> Applied:
        """Apply what is newer than its guard row, with the checkpoint, in one transaction.

        Raises AuthorityMoved (authority or epoch changed) or Superseded (the checkpoint moved); then nothing was
        written. Outcomes that violate a constraint of the target are quarantined, the others go on.
        """


class Schema(Protocol):
    """Target tables, indexes and constraints from the plan."""

    async def inspect(self, plan: Plan, expected_bytes: int) -> list[Finding]:
        """Reachable, privileges, disk (as far as visible), tables absent or ours and of the right shape."""

    async def install_ledger(self) -> None:
        """Create or upgrade the `midflight` schema. Repeating is safe."""

    async def create_tables(self, plan: Plan) -> None:
        """Create what is missing, check what is there (TargetNotOurs). Repeating is safe."""

    async def create_indexes(self, plan: Plan) -> None:
        """The plan's indexes, concurrently; invalid leftovers are rebuilt. Repeating is safe."""

    async def create_foreign_keys(self, plan: Plan) -> list[str]:
        """Add foreign keys NOT VALID; returns the names of those not validated yet. Repeating is safe."""

    async def orphans(self, plan: Plan, constraint: str, at_most: int) -> dict[str, list[Any]]:
        """Root key values (by collection) of documents whose rows violate the named foreign key."""

    async def validate_foreign_key(self, plan: Plan, constraint: str) -> None:
        """Validate one; repeating is safe."""

    async def pending(self, plan: Plan) -> int:
        """How many indexes and foreign keys of the plan are missing or not valid."""


class Ledger(Protocol):
    """Everything Midflight remembers in the target, except guard rows (the door's)."""

    async def register(self, plan: Plan) -> None:
        """Record the plan and its authority row. LedgerConflict if another fingerprint of a live domain is recorded."""

    async def plan(self, domain: str) -> Plan:
        """The recorded plan. DomainUnknown."""

    async def authority(self, domain: str) -> AuthorityRow: ...

    async def set_stage(self, domain: str, stage: Stage, reads_bp: int, dark_reads_bp: int) -> AuthorityRow:
        """Move the stage while the source is the authority; AuthorityMoved otherwise (unless it is already so)."""

    async def set_back(self, domain: str, revision: int, dark_reads_bp: int, breaches: Sequence[str]) -> bool:
        """From `ramp` with this revision to `dark_read`, and the reason into the audit trail (`READS_BREACHED`).

        False, and nothing done, where the row has moved meanwhile: then the breach is not one of what holds now.
        """

    async def flip(self, domain: str, epoch: int, revision: int | None = None) -> int:
        """authority = target, epoch + 1, accepting, stage = target.

        Only while the row has that revision, if one is given: it is that of the caller's own hold.
        Returns the new epoch. Repeating with the old epoch is safe.
        """

    async def close(self, domain: str) -> AuthorityRow:
        """The target stays the authority, but accepts nothing: stage = hold. Waits for its transactions in flight.

        Repeating is safe. AuthorityMoved while the source is the authority.
        """

    async def reopen(self, domain: str) -> AuthorityRow:
        """Take `close` back: accepting, stage = target. Repeating is safe. AuthorityMoved under the source."""

    async def flip_back(self, domain: str, epoch: int) -> AuthorityRow:
        """authority = source, epoch + 1, stage stays `hold`. Only when closed, and with nothing pending: NotDrained.

        Repeating with the old epoch is safe.
        """

    async def retire(self, domain: str) -> None:
        """stage = target_only. Repeating is safe."""

    async def reset(self, plan: Plan) -> None:
        """Forget the copy.

        Epoch + 1 (older tokens of zombies die), target tables emptied, guards, partitions, position gone.
        """

    async def pin(self, domain: str, token: bytes) -> None:
        """Record the starting position; an existing one stays."""

    async def position(self, domain: str) -> Position | None: ...

    async def report_lag(self, domain: str, lag_seconds: float) -> None: ...

    async def put_partitions(self, domain: str, collection: str, ranges: Sequence[KeyRange]) -> None:
        """Record the partitions; existing ones stay (a repeated call changes nothing)."""

    async def partitions(self, domain: str, collection: str) -> list[Partition]: ...

    async def reset_partitions(self, domain: str) -> None:
        """Forget all partitions, so that a new backfill starts from the beginning."""

    async def quarantined(
        self, domain: str, *, collection: str | None = None, only_open: bool = True, at_most: int = 1_000
    ) -> list[QuarantineEntry]: ...

    async def waive(self, domain: str, number: int, person: str, reason: str) -> QuarantineEntry: ...

    async def record(self, domain: str, kind: str, person: str, details: dict[str, Any]) -> None:
        """Append to the audit trail (phase changes, gates with evidence, approvals, repairs)."""

    async def audit(self, domain: str, at_most: int = 1_000) -> list[dict[str, Any]]:
        """The audit trail, oldest first: at, kind, person, details."""

    async def evidence(self, domain: str) -> Evidence:
        """Everything the gates ask for except what the source knows (the feed window) and the schema (pending)."""

    async def counts(self, plan: Plan) -> dict[str, dict[str, int]]:
        """By collection: documents (live guard rows), tombstones, quarantined, rows (of all its tables)."""


class ReverseStore(Protocol):
    """Dirty marks: which keys the application changed at the target. Protocol section 5."""

    async def dirty(self, plan: Plan, collection: str, at_most: int) -> list[DirtyKey]:
        """Pending keys that were not refused, oldest first, marks and rows in one snapshot."""

    async def written_back(self, domain: str, collection: str, keys: Sequence[tuple[object, int]]) -> None:
        """Each key (row key, seq) is written back up to that seq: a newer mark stays pending."""

    async def refuse(self, domain: str, collection: str, row_key: object, seq: int, reason: str) -> None:
        """The source refuses this image of the key; a newer mark makes it pending again."""

    async def pending(self, domain: str) -> tuple[int, int]:
        """How many keys are pending, and how many of them the source refuses."""

    async def retry_refused(self, domain: str) -> int:
        """Make the refused ones pending again; returns how many."""

    async def late(self, plan: Plan, position: FeedPosition, writes: dict[str, list[LateWrite]]) -> None:
        """In one transaction: the tail's position moves (Superseded), each late write goes to quarantine with its

        image (path `tripwire`), and its key becomes dirty, so that the reverse tail puts the source right again.
        """


class Registry(Protocol):
    """What instances of the application's library and the ledger say to one another."""

    async def poll(self, beats: dict[str, Beat]) -> dict[str, Route]:
        """For each domain: renew the lease and acknowledge, then the route. One round trip. Unknown domains are left
        out."""

    async def woken(self, seconds: float) -> bool:
        """Wait until some route has changed (True) or the time is over (False)."""

    async def leave(self, domain: str, instance: str) -> None:
        """The instance ends: nobody needs to wait for it."""

    async def instances(self, domain: str) -> list[InstanceView]:
        """Instances whose lease has not run out."""

    async def publish(
        self, domain: str, instance: str, reports: Sequence[ReadReport], mismatches: Sequence[ReadMismatch]
    ) -> None:
        """Append what reads showed; old entries are pruned."""

    async def mismatches(self, domain: str, at_most: int) -> list[dict[str, Any]]:
        """The newest differences: at, instance, operation, entity, fields, cause, sides."""


class TargetFence(Protocol):
    """Triggers on the target tables: they refuse whom the authority row does not allow, and mark dirty keys."""

    async def install(self, plan: Plan) -> None:
        """Fence and dirty marks on every table of the plan. Repeating is safe."""

    async def remove(self, plan: Plan) -> None:
        """Take ours off again. Repeating is safe."""

    async def status(self, plan: Plan) -> list[FenceView]:
        """By table: what is refused and from whom."""


class ParityStore(Protocol):
    """Where parity keeps its progress and its suspects, in the ledger."""

    async def begin(self, domain: str, run: str, collection: str, ranges: Sequence[KeyRange]) -> list[ParityProgress]:
        """Record a run's ranges; an existing run is returned as it stands."""

    async def advance(
        self, domain: str, run: str, collection: str, progress: ParityProgress, suspects: Sequence[Suspect]
    ) -> None:
        """Commit a range's new place (`batches` is the count before) together with its suspects. Superseded."""

    async def suspects(self, domain: str, run: str, at_most: int) -> list[Suspect]: ...

    async def clear(self, domain: str, run: str, keys: Sequence[Suspect]) -> None:
        """These are equal now, or quarantined."""

    async def finish(self, domain: str, run: str) -> None:
        """The run is complete: its counts are the evidence. What is still suspect is a settled mismatch."""


class TargetRows(Protocol):
    """Reads rows back, one consistent snapshot a call."""

    async def rows_of(
        self, schema: str, collection: CollectionMap, row_keys: Sequence[Any]
    ) -> dict[Any, tuple[list[Row], ...]]:
        """By root key value.

        The rows of every table of the collection, in the order of `tables()`, children by position.
        """

    async def scan_roots(self, schema: str, collection: CollectionMap, after: Any | None, at_most: int) -> list[Row]:
        """Root rows in order of the key column, strictly after `after`."""

    async def keys_changed_since(self, domain: str, collection: str, token: int, at_most: int) -> list[bytes]:
        """Keys whose guard row has a larger token."""

    async def quarantined_keys(self, domain: str, collection: str, keys: Sequence[bytes]) -> set[bytes]: ...

    async def last_token(self, domain: str) -> int:
        """A token no smaller than that of any guard row committed before this call."""


@dataclass(frozen=True, slots=True)
class Target:
    """One open connection to the target, seen through its ports."""

    door: Door
    schema: Schema
    ledger: Ledger
    parity: ParityStore
    rows: TargetRows
    reverse: ReverseStore
    registry: Registry
    fence: TargetFence


class Stores(Protocol):
    """Opens stores by the names a plan uses; addresses and secrets stay behind it."""

    def source(self, store: str, database: str) -> AbstractAsyncContextManager[Source]: ...

    def target(self, store: str) -> AbstractAsyncContextManager[Target]: ...
