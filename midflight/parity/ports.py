"""What parity needs of two stores, and of the place where a run is kept. Implement `Side` to compare your own stores.

A run leads with the source: it reads the source's entries range by range and fetches the same keys from the target,
then walks the target's keys and asks the source for those. So the two sides need not sort alike.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from midflight.core.plan import Invariant
from midflight.parity.records import Entry, Mismatch, Normal, RunRecord, Span
from midflight.ports import Stores
from midflight.records import FieldCount, Finding, KeyRange, ParityProgress


class Side(Protocol):
    """One store. All methods may be called again with the same arguments; none writes."""

    async def count(self, entity: str) -> int:
        """About how many keys the entity holds."""

    async def ranges(self, entity: str, parts: int) -> list[KeyRange]:
        """At most `parts` ranges that cover every key, without overlap, in this side's order."""

    def read(self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int) -> AsyncIterator[list[Entry]]:
        """Blocks of at most `at_most` entries in this side's order, strictly after `above` where given."""

    def keys(self, entity: str, *, above: bytes | None, at_most: int) -> AsyncIterator[list[bytes]]:
        """Blocks of keys alone, in this side's order, strictly after `above` where given."""

    async def fetch(self, entity: str, keys: Sequence[bytes], *, deep: bool = False) -> Mapping[bytes, Entry]:
        """The entries of these keys, all of one moment; absent keys are not there.

        A key of which the side knows that it is deleted, or in quarantine, may be there with no fields and
        `unreadable` DELETED or QUARANTINED. `deep` asks for `faithful` too, where the side can tell.
        """

    async def sample(self, entity: str, size: int, seed: int) -> list[bytes]:
        """About `size` keys, each with the same chance; the same seed gives the same keys while nothing changes."""


# What a side may offer beside: a level, or a short cut, that needs what is not there says so and does without.


@runtime_checkable
class StructureSide(Protocol):
    """Knows what its tables, columns, indexes and constraints should be."""

    async def structure(self) -> list[Finding]:
        """Every check, good and bad."""


@runtime_checkable
class InvariantSide(Protocol):
    """Answers its half of an invariant."""

    async def points(self, invariant: Invariant) -> list[tuple[str, Normal]]:
        """The rows of this side's query: label and normal value. Nothing where the invariant has no query for it."""


@runtime_checkable
class PresenceSide(Protocol):
    """Tells cheaply which keys exist."""

    async def present(self, entity: str, keys: Sequence[bytes]) -> set[bytes]:
        """Which of these keys exist."""


@runtime_checkable
class VersionSide(Protocol):
    """Tells versions (and tokens, where it has them) without the fields: what a watch run skips by."""

    def read_versions(
        self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int
    ) -> AsyncIterator[list[Entry]]:
        """As `read`, entries without fields."""

    async def fetch_versions(self, entity: str, keys: Sequence[bytes]) -> Mapping[bytes, Entry]:
        """As `fetch`, entries without fields."""


@runtime_checkable
class ImageSide(Protocol):
    """Gives its documents as images: bytes that nobody else has for other fields. What a run looks at first."""

    def read_images(
        self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int
    ) -> AsyncIterator[dict[bytes, bytes]]:
        """As `read`: images by key, in this side's order; no block is empty."""


@runtime_checkable
class ImagingSide(Protocol):
    """Makes the images that an ImageSide would have of the same documents."""

    def has_images(self, entity: str) -> bool:
        """Whether images can be made of this entity at all."""

    async def images(self, entity: str, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """By key; keys that are absent here, or of which no image can be made, are not there."""


@runtime_checkable
class AlikeSide(ImagingSide, Protocol):
    """Sorts some entities as the other side does: then both are walked together, and each key is met once."""

    def sorts_alike(self, entity: str) -> bool:
        """Whether both sides have one order of this entity's keys."""

    def pages_within(self, entity: str, span: Span, *, at_most: int) -> AsyncIterator[Any]:
        """What there is in the span, of at most so many keys at once, for `images_of`. Each page is of one moment."""

    def images_of(self, entity: str, page: Any) -> Mapping[bytes, bytes]:
        """Images of all keys of the page; empty bytes where no image can be made. Runs in a thread of its own."""

    async def holds(self, entity: str, images: Mapping[bytes, bytes], span: Span, *, token: int) -> bool:
        """Whether these images, and nothing else in the span, were applied here, nothing of it after the token.

        Of rows only the keys are read. False also where it is not easily told.
        """


@runtime_checkable
class TokenSide(Protocol):
    """Its entries have tokens, drawn from one clock."""

    async def last_token(self) -> int:
        """A token no smaller than that of any entry that can be read now."""


@runtime_checkable
class CensusSide(Protocol):
    """Counts its fields where the data is."""

    async def census(self, entity: str, *, without: Sequence[bytes] = ()) -> Mapping[str, FieldCount]:
        """By path (elements of arrays and maps as `*`): how often each field is there, null, of which type.

        `without` are keys that do not count. A side whose counterpart is no QuarantineSide is never given any.
        """


@runtime_checkable
class QuarantineSide(Protocol):
    """Knows which keys it cannot hold."""

    async def quarantined(self, entity: str) -> list[bytes]:
        """Keys that this side cannot hold, and so must not be expected to count."""


class Barrier(Protocol):
    """How a run knows that the target has had the time to follow."""

    async def passed(self, within_seconds: float) -> bool:
        """Wait until the target has everything the source had when this was called; False if that took too long."""


class RunStores(Protocol):
    """Opens the place where runs are kept, by the name of a store."""

    def runs(self, store: str) -> AbstractAsyncContextManager[RunStore]:
        """Open for the length of the block."""


class ParityStores(Stores, RunStores, Protocol):
    """Both stores of a domain, and the place where its runs are kept."""


class RunStore(Protocol):
    """Where runs are kept. A range's place and the mismatches found on the way commit together."""

    async def begin(self, record: RunRecord, ranges: Mapping[str, Sequence[KeyRange]]) -> None:
        """Record a run and, by entity, its ranges; number 0 is the walk over the target's keys. A known run stays."""

    async def record(self, domain: str, run: str) -> RunRecord:
        """The run as it stands. RunUnknown."""

    async def progress(self, domain: str, run: str, entity: str) -> list[ParityProgress]:
        """Every range of the entity, in order of number."""

    async def advance(
        self, domain: str, run: str, entity: str, moved: ParityProgress, found: Sequence[Mismatch]
    ) -> None:
        """Commit a range's new place, `tally` included (`batches` is the count before, the others are totals).

        Superseded where another attempt has moved it. A key of `found` that is known is replaced.
        """

    async def mismatches(
        self,
        domain: str,
        run: str,
        *,
        states: Sequence[str] = (),
        after: tuple[str, bytes] | None = None,
        at_most: int = 1_000,
    ) -> list[Mismatch]:
        """In order of entity and key, strictly after the given one; all states where none is named."""

    async def judge(self, domain: str, run: str, looked_at: Sequence[Mismatch]) -> None:
        """Replace what is known of these keys. Those that are unknown are added."""

    async def finish(self, record: RunRecord) -> None:
        """Keep levels, counts and census, and close the run."""

    async def history(self, domain: str, at_most: int = 50) -> list[RunRecord]:
        """The newest runs, newest first."""
