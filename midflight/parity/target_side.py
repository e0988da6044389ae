"""The target of a domain as a side, over its ports.

What a row *says* is read by `target_form` and `image_form`, which share nothing with the mapping. The mapping is used
for two things only: to find the row of a key, and (`deep`) to rebuild what was applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from midflight.core.documents import digest_raw, key_of
from midflight.core.mapping import Mapper, mapper_for
from midflight.core.outcome import Row
from midflight.core.plan import Invariant, Plan
from midflight.parity.forms.image_form import ImageForm, has_images
from midflight.parity.forms.normal import normal
from midflight.parity.forms.target_form import TargetForm
from midflight.parity.key_order import OBJECT_IDS, bounds_of, key_bound, text_bound, texts_of
from midflight.parity.labels import label_of
from midflight.parity.records import DELETED, Entry, Normal, Span
from midflight.parity.stray import cell_of, key_of_row
from midflight.parity.target_entries import NOTHING, entries_of, version_of
from midflight.ports import Target
from midflight.records import FieldCount, Finding, KeyRange, RowSpan

QUARANTINED_AT_MOST = 100_000
"""No query takes more keys than that; a domain with as many entries has other troubles."""


class TargetSide:
    """The tables of a plan in the target. Implements `Side` and what it may offer beside.

    Keys are those that the rows say. A row whose key column holds what no key of a document leads to has a key of its
    own (`midflight.parity.stray`), which no other side has.
    """

    def __init__(self, target: Target, plan: Plan) -> None:
        self._target = target
        self._plan = plan
        self._schema = plan.target.schema_
        self._forms = {entry.collection: TargetForm(entry) for entry in plan.collections}
        self._images = {entry.collection: ImageForm(entry) for entry in plan.collections if has_images(entry)}

    async def count(self, entity: str) -> int:
        """Counted."""
        return await self._target.rows.count_roots(self._schema, self._plan.collection(entity))

    async def ranges(self, entity: str, parts: int) -> list[KeyRange]:
        """In order of the key column."""
        collection = self._plan.collection(entity)
        rows = await self._target.rows.key_bounds(self._schema, collection, parts) if parts > 1 else []
        bounds = [key_of_row(mapper_for(collection), row) for row in rows]
        return [KeyRange(lower, upper) for lower, upper in zip([None, *bounds], [*bounds, None], strict=True)]

    async def read(
        self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int
    ) -> AsyncIterator[list[Entry]]:
        """Page by page, each of one moment."""
        async for page in self._walk(entity, keys, above, at_most):
            found = await self.fetch(entity, page)
            if entries := [found[key] for key in page if key in found and found[key].unreadable != DELETED]:
                yield entries

    async def read_versions(
        self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int
    ) -> AsyncIterator[list[Entry]]:
        """As `read`, from keys and guards alone."""
        async for page in self._walk(entity, keys, above, at_most):
            found = await self.fetch_versions(entity, page)
            yield [found.get(key, Entry(key, NOTHING)) for key in page]

    async def keys(self, entity: str, *, above: bytes | None, at_most: int) -> AsyncIterator[list[bytes]]:
        """In order of the key column, page by page."""
        async for page in self._walk(entity, KeyRange(), above, at_most):
            yield page

    async def fetch(self, entity: str, keys: Sequence[bytes], *, deep: bool = False) -> dict[bytes, Entry]:
        """Rows and guards of one moment. `deep` rebuilds the documents and compares them with the guards' checksums."""
        collection = self._plan.collection(entity)
        row_keys = _row_keys(mapper_for(collection), keys)
        found = await self._target.rows.rows_with_guards(self._plan, collection, row_keys)
        mapper = mapper_for(collection) if deep else None
        return await asyncio.to_thread(entries_of, self._forms[entity], mapper, row_keys, found)

    def has_images(self, entity: str) -> bool:
        """Not where a customer's functions have a part in it."""
        return entity in self._images

    def sorts_alike(self, entity: str) -> bool:
        """ObjectIds, written as hexadecimal text, come in the order of their bytes."""
        return self.has_images(entity) and self._plan.collection(entity).key.type == OBJECT_IDS

    async def images(self, entity: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """From rows alone, all of one moment."""
        collection = self._plan.collection(entity)
        cells = _row_keys(mapper_for(collection), keys)
        wanted = [cell for cell in cells.values() if cell is not None]
        rows = await self._target.rows.tables_of(self._schema, collection, wanted)
        images = await asyncio.to_thread(self._images[entity].images, rows)
        return {key: images[cell] for key, cell in cells.items() if cell in images}

    async def pages_within(self, entity: str, span: Span, *, at_most: int) -> AsyncIterator[Sequence[Sequence[Row]]]:
        """Rows by table."""
        collection = self._plan.collection(entity)
        left: RowSpan | None = RowSpan(*map(text_bound, bounds_of(span)))
        while left is not None:
            rows = await self._target.rows.tables_within(self._schema, collection, left, at_most)
            left = replace(left, after=rows[0][-1][0]) if len(rows[0]) == at_most else None
            yield rows

    def images_of(self, entity: str, page: Sequence[Sequence[Row]]) -> dict[bytes, bytes]:
        """By the keys that the rows say."""
        images, mapper = self._images[entity].images(page), mapper_for(self._plan.collection(entity))
        if len(images) == len(page[0]):
            return dict(zip(map(key_of, images.values()), images.values(), strict=True))
        found = ((cell, images.get(cell, b"")) for cell, *_ in page[0])
        # An ObjectId has one form: what a rest column may keep of it says nothing of the key, and may be anything.
        return {key_of(image) if image else key_of_row(mapper, (cell, None)): image for cell, image in found}

    async def holds(self, entity: str, images: Mapping[bytes, bytes], span: Span, *, token: int) -> bool:
        """From guards, and the keys of rows."""
        keys, rows = (RowSpan(*map(bound, bounds_of(span))) for bound in (key_bound, text_bound))
        # One more than there should be tells that there are others; there may be millions.
        held = await self._target.rows.held_within(
            self._plan, self._plan.collection(entity), keys, rows, len(images) + 1
        )
        if held is None or held.token > token or held.roots != len(images):
            return False
        # As many rows are not yet the same: somebody may have given one another key.
        if held.row_keys != texts_of(images):
            return False
        return held.checksums == b"".join(map(digest_raw, images.values()))

    async def fetch_versions(self, entity: str, keys: Sequence[bytes]) -> dict[bytes, Entry]:
        """From the guards alone: whether there are rows is not looked at."""
        guards = await self._target.rows.guards_of(self._plan, self._plan.collection(entity), keys)
        return {key: version_of(key, guard) for key, guard in guards.items()}

    async def sample(self, entity: str, size: int, seed: int) -> list[bytes]:
        """By the hash of the keys; walks over all of them."""
        collection = self._plan.collection(entity)
        rows = await self._target.rows.sample_keys(self._schema, collection, size, seed)
        return [key_of_row(mapper_for(collection), row) for row in rows]

    async def last_token(self) -> int:
        """A token no smaller than that of any guard that can be read now."""
        return await self._target.rows.last_token(self._plan.domain)

    async def quarantined(self, entity: str) -> list[bytes]:
        """Waived or not; without late writes, whose keys have rows."""
        entries = await self._target.ledger.quarantined(
            self._plan.domain, collection=entity, only_open=False, at_most=QUARANTINED_AT_MOST
        )
        return list({entry.key for entry in entries if entry.path != "tripwire"})

    async def census(self, entity: str, *, without: Sequence[bytes] = ()) -> dict[str, FieldCount]:  # noqa: ARG002
        """Counted by the server. What it cannot hold it does not count: the source has no quarantine."""
        return await self._target.rows.census(self._schema, self._plan.collection(entity))

    async def structure(self) -> list[Finding]:
        """Tables, indexes and foreign keys."""
        return await self._target.schema.structure(self._plan)

    async def points(self, invariant: Invariant) -> list[tuple[str, Normal]]:
        """What the query gives."""
        found = await self._target.rows.points(self._schema, invariant.target)
        return [(label_of(label), normal(value)) for label, value in found]

    async def _walk(self, entity: str, keys: KeyRange, above: bytes | None, at_most: int) -> AsyncIterator[list[bytes]]:
        collection = self._plan.collection(entity)
        mapper = mapper_for(collection)
        lower, after, upper = (None if key is None else cell_of(mapper, key) for key in (keys.lower, above, keys.upper))
        while rows := await self._target.rows.scan_keys(
            self._schema, collection, RowSpan(lower, after, upper=upper), at_most
        ):
            after = rows[-1][0]
            yield await asyncio.to_thread(_keys_of_rows, mapper, rows)


def _row_keys(mapper: Mapper, keys: Sequence[bytes]) -> dict[bytes, Any]:
    return {key: cell_of(mapper, key) for key in keys}


def _keys_of_rows(mapper: Mapper, rows: Sequence[Row]) -> list[bytes]:
    return [key_of_row(mapper, row) for row in rows]
