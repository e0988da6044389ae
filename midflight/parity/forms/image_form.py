"""Rows of the target as images of documents: the BSON bytes that they would have in the source.

A first look compares images: where they are the same bytes, no field can differ, and nothing needs to be taken apart.
Other bytes prove nothing (the fields may still say the same), then the fields decide: see `target_form`.
So what makes an image may give up wherever it gets hard, but must never leave out anything that the rows say.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from midflight.core.outcome import Row
from midflight.core.plan import Child, CollectionMap
from midflight.parity.forms.columns import reader_of
from midflight.parity.forms.constants import constant_fields
from midflight.parity.forms.image_cells import NoImage
from midflight.parity.forms.image_level import Level
from midflight.parity.forms.image_sheet import Block, Sheet
from midflight.parity.forms.normal import normal
from midflight.parity.forms.rest import parsed
from midflight.parity.records import Normal

_UNCLEAR = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, struct.error)
"""What rows can lead to that nobody expected: whatever it is, there is no image. NoImage is a ValueError."""

Tables = Sequence[Sequence[Row]]


def has_images(collection: CollectionMap) -> bool:
    """Whether rows alone say what the document was: a customer's functions are not asked for its bytes."""
    plain = not any(reader_of(constant.type).is_tree for constant in collection.constants)
    return plain and not any(level.transforms for level in _levels(collection))


class ImageForm:
    """Makes the images of one collection that `has_images`. PlanError for a type that does not exist."""

    def __init__(self, collection: CollectionMap) -> None:
        self._has_rest = collection.rest is not None
        self._level = Level(collection, 0, count(1))
        self._constants = list(_constants(collection))

    def images(self, rows: Tables) -> dict[Any, bytes]:
        """By the root row's key: the document's bytes. A document whose rows are unclear is not there.

        `rows` are those of some documents, by table as `midflight.core.tables.tables` has them, each table's in order
        of its primary key, with values as the reader gives them (jsonb as JSON text).
        """
        if not rows[0]:
            return {}
        try:
            return self._images(rows)
        except _UNCLEAR:
            return self._of_halves(rows) if len(rows[0]) > 1 else {}

    def _images(self, rows: Tables) -> dict[Any, bytes]:
        block = Block(rows)
        rest = [row[-1] for row in rows[0]] if self._has_rest else [None] * len(rows[0])
        sheet = Sheet.of_root(block, [None if text is None else _kept(text) for text in rest])
        images = dict(zip(sheet.columns[0], self._level.documents(sheet), strict=True))
        if self._constants:
            block.unclear.update(row[0] for row in rows[0] if not self._has_constants(row))
        for key in block.unclear & images.keys():
            del images[key]
        return images

    def _has_constants(self, row: Row) -> bool:
        """No document says them, and every row must."""
        return all(row[slot] is not None and said(row[slot]) == expected for slot, said, expected in self._constants)

    def _of_halves(self, rows: Tables) -> dict[Any, bytes]:
        """One document that is unclear must not hide the others."""
        roots = rows[0]
        halves = roots[: len(roots) // 2], roots[len(roots) // 2 :]
        return self.images(_only(halves[0], rows)) | self.images(_only(halves[1], rows))


def _kept(text: str) -> Any:
    if (kept := parsed(text)) is None:
        raise NoImage("what is kept is no object")
    return kept


def _only(roots: Sequence[Row], rows: Tables) -> Tables:
    keys = {row[0] for row in roots}
    return [roots, *([row for row in table if row[0] in keys] for table in rows[1:])]


def _constants(collection: CollectionMap) -> Iterator[tuple[int, Callable[[Any], Normal], Normal]]:
    """Of each column: its place in the row, how a cell reads, and how each should."""
    first = 1 + len(collection.fields)
    for slot, constant in enumerate(collection.constants, first):
        (expected,) = constant_fields([constant]).values()
        yield slot, reader_of(constant.type).read or normal, expected


def _levels(plan: CollectionMap | Child) -> Iterator[CollectionMap | Child]:
    yield plan
    for child in plan.children:
        yield from _levels(child)
