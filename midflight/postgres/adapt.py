"""How values travel: the plan's column types as types of COPY, and jsonb as text both ways."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import adapt, pq
from psycopg.abc import Buffer

from midflight.core.column_types import parse_type

_JSONB_OID = 3802
_STAGED = {
    # Wider than the column: the driver cuts an integer to the width it is told, the merge's cast refuses it.
    "smallint": "int8",
    "integer": "int8",
    "bigint": "int8",
    "varchar": "text",
    "objectid": "text",
    "any": "text",
    "double precision": "float8",
    "boolean": "bool",
}


def staged_type(type_text: str) -> str:
    """The type in which a column of the plan's type is staged; the merge casts it to the column's own."""
    name = parse_type(type_text).name
    return _STAGED.get(name, name)


def register_types(connection: psycopg.AsyncConnection[Any]) -> None:
    """jsonb comes and goes as JSON text."""
    adapters = connection.adapters
    adapters.register_dumper(_JsonText, _JsonTextDumper)
    adapters.register_loader("jsonb", _JsonTextLoader)
    adapters.register_loader("jsonb", _JsonBinaryLoader)


class _JsonText(str):
    """Only a name under which the dumper is registered: COPY finds it by the type's number."""

    __slots__ = ()


class _JsonTextDumper(adapt.Dumper):
    format = pq.Format.BINARY
    oid = _JSONB_OID

    def dump(self, obj: str) -> bytes:
        return b"\x01" + obj.encode()


class _JsonTextLoader(adapt.Loader):
    format = pq.Format.TEXT

    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


class _JsonBinaryLoader(adapt.Loader):
    format = pq.Format.BINARY

    def load(self, data: Buffer) -> str:
        return bytes(data[1:]).decode()
