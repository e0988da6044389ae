"""The ports of the source: reader, change feed, fence, reverse writer, archive.

Documents cross as BSON bytes, keys as canonical bytes (`midflight.core.keys`), rows as tuples (`core.tables`).
All raise `midflight.errors` only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from midflight.core.plan import CollectionMap
from midflight.records import (
    Archived,
    Changed,
    FenceView,
    FieldCount,
    Finding,
    KeyRange,
    LateWrite,
    NotWritten,
    WriteBack,
)


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

    def walk_keys(
        self, collection: str, *, above: bytes | None = None, batch_size: int = 10_000
    ) -> AsyncIterator[list[bytes]]:
        """Blocks of keys alone, of every BSON type, in order, strictly after `above` where given."""

    async def sample_keys(self, collection: str, size: int, seed: int) -> list[bytes]:
        """`size` keys, each with the same chance, the same ones for the same seed; reads every key."""

    async def census(self, collection: CollectionMap, without: Sequence[bytes] = ()) -> dict[str, FieldCount]:
        """By path: how often each field is there, null, of which BSON type, counted by the server without these keys.

        Fields that a transform gives back are left out; fields that the plan does not name are counted where they are
        top-level.
        """

    async def points(self, collection: str, pipeline: Sequence[dict[str, Any]]) -> list[tuple[Any, Any]]:
        """`_id` and `value` of every document that the aggregation gives. PlanError for one that would write."""

    async def now(self) -> bytes:
        """For `read_keys(after=...)`: it then sees every write that the source has acknowledged before this call."""

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

    async def largest_seq(self, collections: Sequence[str]) -> int:
        """The largest `seq` that any guard of these collections holds; 0 without guards."""

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
