"""What the cells of the target's columns say, by the plan's column types.

A cell is what the reader gives for a column: str, int, Decimal, float, bool, datetime, date, UUID, bytes; jsonb and
`any` as JSON text; a time that Python does not have as its text. None is never asked for: whether it is null or no
field at all is not the column's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from midflight.core.column_types import parse_type
from midflight.parity.forms.normal import FALSE, TRUE, number, unreadable
from midflight.parity.forms.rest import parsed, value_of

OUTSIDE = unreadable("the time lies outside the years 1 to 9999")
"""Stands for a time that no document of the source has: infinity, 44 BC, the year 10000."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How one column type is read. `read` is None where the cell is its own normal.

    `is_tree`: what is read may be a document or an array, to be spread over its places.
    """

    read: Callable[[Any], Any] | None
    is_tree: bool = False
    holds_null: bool = False
    """Whether null is a value of the column's own."""


def reader_of(type_text: str) -> Reader:
    """The reader of a plan's column type. PlanError for a text that is no type."""
    return _READERS.get(parse_type(type_text).name, _ITSELF)


def _boolean(cell: bool) -> Any:
    return TRUE if cell else FALSE


def _instant(cell: datetime | str) -> Any:
    return OUTSIDE if type(cell) is str else cell


def _day(cell: date | str) -> Any:
    if isinstance(cell, str):
        return OUTSIDE
    return datetime(cell.year, cell.month, cell.day, tzinfo=UTC)


def _json(text: str) -> Any:
    try:
        return value_of(parsed(text))
    except ValueError:
        return unreadable("the text is no JSON")


def _any(text: str) -> Any:
    # Most keys are these, in just this form.
    if len(text) == 35 and text[:9] == '{"$oid":"':
        return ("objectId", text[9:33])
    return _json(text)


_ITSELF = Reader(None)
_READERS: dict[str, Reader] = {
    "boolean": Reader(_boolean),
    "numeric": Reader(number),
    "double precision": Reader(number),
    "timestamptz": Reader(_instant),
    "date": Reader(_day),
    "uuid": Reader(lambda cell: ("binary", 4, cell.bytes)),
    "bytea": Reader(lambda cell: ("binary", 0, bytes(cell))),
    "objectid": Reader(lambda cell: ("objectId", cell)),
    "jsonb": Reader(_json, is_tree=True, holds_null=True),
    "any": Reader(_any, is_tree=True),
}
