"""Documents to rows and back, as a plan's collection says: `unmap(map(document)) == document`, to the byte.

What does not fit is Refused, with field, type, column and reason: nothing is coerced, cut off or rounded. A value that
a column holds, but would give back as another type or form, is kept exactly in the rest column beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import count
from typing import Any

from midflight.core.cells import Cell
from midflight.core.column_types import parse_type
from midflight.core.documents import Document, Undecodable
from midflight.core.ejson import dump_json, load_json
from midflight.core.mapping_key import PATH, KeyColumn
from midflight.core.mapping_level import Level
from midflight.core.mapping_parts import Draft, Given, Misfit, Stored, Tables
from midflight.core.outcome import Absent, Mapped, Refused, Row
from midflight.core.plan import CollectionMap, Constant
from midflight.core.plan_constants import constant_value
from midflight.core.residue import NOTHING_FOUND, Found, Residue, needs
from midflight.core.tables import Table, tables
from midflight.core.values import type_name
from midflight.errors import PlanError


class Mapper:
    """Maps one collection. PlanError for a type or transform that does not exist, and for an unfit constant."""

    def __init__(self, collection: CollectionMap) -> None:
        self.collection = collection
        self.tables: tuple[Table, ...] = tables(collection)
        self._key = KeyColumn(collection.key)
        self._level = Level(collection, count(1), {PATH: Given(PATH, self._key.name)})
        self._constants = tuple(_constant(constant) for constant in collection.constants)
        self._has_rest = collection.rest is not None

    def map(self, document: Document | Undecodable) -> Mapped | Refused:
        """The rows of a document, or why it has none."""
        if isinstance(document, Undecodable):
            reason = document.reason
            return self._refused(document, document.field, document.value_type, "", reason)
        try:
            return Mapped(document.key, self._rows(document), document.checksum)
        except Misfit as why:
            return self._refused(document, why.field, type_name(why.value), why.column, why.reason)

    def absent(self, key: bytes) -> Absent:
        """The source holds no document with this key."""
        return Absent(key, self.row_key(key))

    def row_key(self, key: bytes) -> Cell | None:
        """The key's value in the root table's key column; None where it does not fit: then there can be no row."""
        return self._key.cell_or_none(key)

    def unmap(self, rows: Sequence[Sequence[Row]]) -> dict[str, Any]:
        """The document again, from the rows of all its tables. Unfit if the target holds what BSON cannot."""
        root = rows[0][0]
        found = self._found(root)
        stored = Stored(Tables(rows), (), root[1:], found)
        stored.given[PATH] = self._key.give(root[0], found)
        body: dict[str, Any] = self._level.give(stored)
        return body

    def id_of(self, root_row: Row) -> Any:
        """The exact `_id`, from the root row alone."""
        return self._key.give(root_row[0], self._found(root_row))

    def _rows(self, document: Document) -> tuple[list[Row], ...]:
        body = document.body
        rows: tuple[list[Row], ...] = tuple([] for _ in self.tables)
        key = self._key.take(document.key, body[PATH])
        draft = Draft(rows, (key,), self._level.width)
        self._key.keep_exact(key, body[PATH], draft)
        residue = self._level.take(body, draft)
        rows[0].append((key, *draft.cells, *self._constants, *self._rest(residue, body)))
        return rows

    def _rest(self, residue: Residue | None, body: dict[str, Any]) -> tuple[str | None, ...]:
        if self._has_rest:
            return (None if residue is None else dump_json(residue),)
        if residue is None:
            return ()
        field, value, reason = next(needs(residue, body))
        raise Misfit(field, value, "", f"{reason}, and there is no rest column to keep it")

    def _found(self, root: Row) -> Found:
        text = root[-1] if self._has_rest else None
        return NOTHING_FOUND if text is None else Found(load_json(text))

    def _refused(
        self, document: Document | Undecodable, field: str, value_type: str, column: str, reason: str
    ) -> Refused:
        row_key = self.row_key(document.key)
        return Refused(document.key, row_key, field, value_type, column, reason, document.checksum)


@cache
def mapper_for(collection: CollectionMap) -> Mapper:
    """The mapper of this collection, made once."""
    return Mapper(collection)


def _constant(constant: Constant) -> Cell:
    try:
        return constant_value(parse_type(constant.type), constant.value)
    except ValueError as why:
        what = f"The constant for column `{constant.column}` does not fit type {constant.type}: {why}."
        raise PlanError(what, next_step="Change the value or the type.") from None
