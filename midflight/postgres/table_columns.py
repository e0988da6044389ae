"""A table's columns for comparing: of which kind each is, how it is hashed, told as a key, and read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, LiteralString

from psycopg import sql

from midflight.parity.forms.normal import NULL, normal
from midflight.parity.forms.places import Place, spread
from midflight.parity.records import Normal

_KINDS = {
    "int2": "whole",
    "int4": "whole",
    "int8": "whole",
    "numeric": "numeric",
    "float4": "double",
    "float8": "double",
    "bool": "boolean",
    "uuid": "uuid",
    "bytea": "bytes",
    "timestamptz": "instant",
    "timestamp": "local time",
    "date": "date",
    "jsonb": "json",
}
_TEXT = "text"
"""The kind of every other type: compared by the text that PostgreSQL writes of it."""

# Of one kind on both servers, whatever the column's own type, scale and collation are.
_HASHED: dict[str, LiteralString] = {
    "whole": "{column}::int8",
    "numeric": "trim_scale({column}::numeric)",
    "double": "({column}::float8 + 0)",  # -0 becomes 0
    _TEXT: '{column}::text collate "C"',
}
_READ: dict[str, LiteralString] = {
    "whole": "{column}::int8",
    "double": "{column}::float8",
    # As text: Python's dates end where PostgreSQL's do not.
    "instant": "{column}::text",
    "local time": "{column}::text",
    "date": "{column}::text",
    _TEXT: "{column}::text",
}
_AS_IT_IS: LiteralString = "{column}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `type` is its type as PostgreSQL writes it, without length; `base` the name under a domain's."""

    name: str
    type: str
    base: str
    required: bool

    @property
    def kind(self) -> str:
        """Columns of one kind are hashed alike."""
        return _KINDS.get(self.base, _TEXT)

    @property
    def identifier(self) -> sql.Identifier:
        """Its name, quoted."""
        return sql.Identifier(self.name)

    def hashed(self, kind: str) -> sql.Composed:
        """The value that is hashed, where both tables agreed on this kind."""
        return self._made(_HASHED.get(kind, _AS_IT_IS))

    def told(self) -> sql.Composed:
        """The value as a part of a key: a whole number, or text that is the same for equal keys of both tables."""
        return sql.SQL("{}" if self.kind == "whole" else "({})::text").format(self.hashed(self.kind))

    def read(self) -> sql.Composed:
        """The value as `Reader` wants it."""
        return self._made(_READ.get(self.kind, _AS_IT_IS))

    @property
    def key_type(self) -> sql.SQL:
        """The type in which parts of keys travel."""
        return sql.SQL("int8" if self.kind == "whole" else "text")

    def of_key(self, part: sql.Composable) -> sql.Composable:
        """A part of a key as a value of the column, so that its index serves."""
        # Not int8: a key beyond the column's width is one that it does not have, no error.
        return part if self.kind == "whole" else sql.SQL("{}::{}").format(part, sql.SQL(self.type))

    def _made(self, template: LiteralString) -> sql.Composed:
        return sql.SQL(template).format(column=self.identifier)


class Reader:
    """Makes fields of the values that `Column.read` gives, in the columns' order."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        root = Place()
        self._columns = [(root[column.name], _NORMALS.get(column.kind, normal)) for column in columns]
        self._has_json = any(column.kind == "json" for column in columns)

    def fields(self, values: tuple[Any, ...]) -> dict[str, Normal]:
        """By path: a column's name; of jsonb the places inside it."""
        fields: dict[str, Normal] = {}
        for (place, made), value in zip(self._columns, values, strict=True):
            if value is None:
                fields[place.path] = NULL
            elif made is _json:
                _spread(value, place, fields)
            else:
                fields[place.path] = made(value)
        return fields


def _instant(text: str) -> Normal:
    """An instant; without a zone it is taken for UTC. As text where Python has no such date: infinity, 5000 BC."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return ("time", text)


def _json(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=_whole)


def _whole(digits: str) -> int | Decimal:
    # Python refuses to read very long integers, and PostgreSQL has them.
    return int(digits) if len(digits) < 1_000 else Decimal(digits)


def _spread(text: str, place: Place, fields: dict[str, Normal]) -> None:
    try:
        value = _json(text)
    except RecursionError:
        fields[place.path] = ("json", text)
        return
    # The JSON value null is not the column's NULL.
    if value is None:
        fields[place.path] = ("json", text)
    else:
        spread(value, place, fields)


_NORMALS: dict[str, Callable[[Any], Normal]] = {
    "instant": _instant,
    "local time": _instant,
    "date": _instant,
    "json": _json,
}
