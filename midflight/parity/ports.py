"""What parity needs of two stores, and of the place where a run is kept. Implement `Side` to compare your own stores.

A run leads with the source: it reads the source's entries range by range and fetches the same keys from the target,
then walks the target's keys and asks the source for those. So the two sides need not sort alike.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from midflight.parity.records import Entry, Mismatch, RunRecord
from midflight.records import KeyRange, ParityProgress


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


class Barrier(Protocol):
    """How a run knows that the target has had the time to follow."""

    async def passed(self, within_seconds: float) -> bool:
        """Wait until the target has everything the source had when this was called; False if that took too long."""


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
        """Commit a range's new place (`batches` is the count before, the others are totals). Superseded."""

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
