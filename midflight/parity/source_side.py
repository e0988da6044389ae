"""The source of a domain as a side, over its port. What a document says is read by `source_form`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from midflight.core.documents import digest_raw, key_of, split
from midflight.core.plan import Invariant, Plan
from midflight.parity.forms.normal import normal
from midflight.parity.forms.source_form import SourceForm
from midflight.parity.labels import label_of
from midflight.parity.records import Entry, Normal
from midflight.parity.target_entries import NOTHING
from midflight.ports import Source
from midflight.records import FieldCount, Finding, KeyRange

_READING = ("source reachable", "source authenticated", "collection ", "privilege find")


class SourceSide:
    """The collections of a plan in the source. Implements `Side` and what it may offer beside, but tokens."""

    def __init__(self, source: Source, plan: Plan) -> None:
        self._source = source
        self._plan = plan
        self._forms = {entry.collection: SourceForm(entry) for entry in plan.collections}

    async def count(self, entity: str) -> int:
        """From metadata."""
        return await self._source.reader.count(entity)

    async def ranges(self, entity: str, parts: int) -> list[KeyRange]:
        """In BSON order, across types."""
        return await self._source.reader.partitions(entity, parts)

    async def read(
        self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int
    ) -> AsyncIterator[list[Entry]]:
        """One cursor, in key order."""
        async for block in self._source.reader.read_range(entity, keys, above=above, batch_size=at_most):
            yield await asyncio.to_thread(self._entries, entity, block)

    async def read_images(
        self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int
    ) -> AsyncIterator[dict[bytes, bytes]]:
        """Documents as the server sends them."""
        async for block in self._source.reader.read_range(entity, keys, above=above, batch_size=at_most):
            yield {key_of(raw): raw for raw in split(block)}

    async def read_versions(
        self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int
    ) -> AsyncIterator[list[Entry]]:
        """As `read`, but nothing is decoded but the keys."""
        async for block in self._source.reader.read_range(entity, keys, above=above, batch_size=at_most):
            yield await asyncio.to_thread(_versions, block)

    async def keys(self, entity: str, *, above: bytes | None, at_most: int) -> AsyncIterator[list[bytes]]:
        """One cursor over the index of the keys."""
        async for keys in self._source.reader.walk_keys(entity, above=above, batch_size=at_most):
            yield keys

    async def fetch(self, entity: str, keys: Sequence[bytes], *, deep: bool = False) -> dict[bytes, Entry]:  # noqa: ARG002
        """Each document as the majority has it; the source has no image beside it, so `deep` asks for nothing."""
        block = await self._source.reader.read_keys(entity, keys)
        return _asked(await asyncio.to_thread(self._entries, entity, block), keys)

    async def fetch_versions(self, entity: str, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """As `fetch`, without fields."""
        block = await self._source.reader.read_keys(entity, keys)
        return _asked(await asyncio.to_thread(_versions, block), keys)

    async def present(self, entity: str, keys: Sequence[bytes]) -> set[bytes]:
        """Which of these keys exist."""
        return await self._source.reader.present(entity, keys) & set(keys)

    async def sample(self, entity: str, size: int, seed: int) -> list[bytes]:
        """By the hash of the keys; walks over all of them."""
        return await self._source.reader.sample_keys(entity, size, seed)

    async def census(self, entity: str, *, without: Sequence[bytes] = ()) -> dict[str, FieldCount]:
        """Counted by the server."""
        return await self._source.reader.census(self._plan.collection(entity), without)

    async def structure(self) -> list[Finding]:
        """What `prepare` finds of the source, as far as it matters to whoever only reads."""
        found = await self._source.reader.inspect([entry.collection for entry in self._plan.collections])
        return [finding for finding in found if finding.check.startswith(_READING)]

    async def points(self, invariant: Invariant) -> list[tuple[str, Normal]]:
        """What the aggregation gives."""
        if invariant.collection is None or invariant.source is None:
            return []
        found = await self._source.reader.points(invariant.collection, invariant.source)
        return [(label_of(label), normal(value)) for label, value in found]

    def _entries(self, entity: str, block: bytes) -> list[Entry]:
        return list(map(self._forms[entity].entry, split(block)))


def _versions(block: bytes) -> list[Entry]:
    return [Entry(key_of(raw), NOTHING, digest_raw(raw)) for raw in split(block)]


def _asked(entries: Sequence[Entry], keys: Sequence[bytes]) -> dict[bytes, Entry]:
    """A stray key of the target may look to the source like one of its own."""
    wanted = set(keys)
    return {entry.key: entry for entry in entries if entry.key in wanted}
