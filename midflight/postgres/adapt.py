"""How values travel: the plan's column types as types of COPY, jsonb as text both ways, and long lists of keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import pack
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


def array_of(values: Sequence[Any], staged: str) -> Any:
    """The values as a parameter of an array type; the driver dumps a list of texts several times as slowly."""
    known = _ARRAYS.get(staged)
    if known is None:
        return list(values)
    kind, number, dump = known
    items = list(map(dump, values))
    head = pack("!iiIii", 1, 0, number, len(items), 1) if items else pack("!iiI", 0, 0, number)
    return kind(head + b"".join([pack("!i", len(item)) + item for item in items]))


def register_types(connection: psycopg.AsyncConnection[Any]) -> None:
    """jsonb comes and goes as JSON text."""
    adapters = connection.adapters
    for kind in (_TextArray, _ByteaArray):
        adapters.register_dumper(kind, _DUMPERS[kind])
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


class _TextArray(bytes):
    """PostgreSQL's binary form of a text[]."""

    __slots__ = ()


class _ByteaArray(bytes):
    """PostgreSQL's binary form of a bytea[]."""

    __slots__ = ()


class _TextArrayDumper(adapt.Dumper):
    format = pq.Format.BINARY
    oid = 1009

    def dump(self, obj: _TextArray) -> bytes:
        return obj


class _ByteaArrayDumper(adapt.Dumper):
    format = pq.Format.BINARY
    oid = 1001

    def dump(self, obj: _ByteaArray) -> bytes:
        return obj


_DUMPERS: dict[type, type[adapt.Dumper]] = {_TextArray: _TextArrayDumper, _ByteaArray: _ByteaArrayDumper}
_ARRAYS: dict[str, tuple[type[bytes], int, Callable[[Any], bytes]]] = {
    "text": (_TextArray, 25, str.encode),
    "bytea": (_ByteaArray, 17, bytes),
}
