"""The order that MongoDB sorts keys in, across types: ranges of the source are cut in it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from midflight.core.keys import key_value
from midflight.parity.records import Span

Place = tuple[Any, ...]
"""Compares as MongoDB compares: first the type's rank, then the value."""

OBJECT_IDS = "objectid"
"""The type of key columns that bounds are for."""
_OBJECT_ID = b"\x07\0"
_BELOW_OBJECT_IDS = frozenset(b"\xff\x06\x0a\x01\x10\x12\x13\x02\x0e\x03\x04\x05")
"""BSON's types that sort below ObjectIds: minKey, undefined, null, numbers, texts, documents, arrays, binaries."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def place_of(key: bytes) -> Place:
    """Where a key stands: the place of a smaller key is smaller."""
    return _place(key_value(key))


def text_bound(key: bytes | None) -> str | None:
    """Where a key of any type stands among ObjectIds as hexadecimal text; None for no key."""
    if key is None or key[:2] == _OBJECT_ID:
        return None if key is None else key[2:].hex()
    return "" if key[0] in _BELOW_OBJECT_IDS else chr(0x10FFFF)


def texts_of(keys: Collection[bytes]) -> str | None:
    """ObjectIds as hexadecimal texts, a blank between them; None where a key is none."""
    if any(key[:2] != _OBJECT_ID for key in keys):
        return None
    return b"".join([key[2:] for key in keys]).hex(" ", 12)


def key_bound(key: bytes | None) -> bytes | None:
    """Where a key of any type stands among the keys of ObjectIds, by their bytes; None for no key."""
    if key is None or key[:2] == _OBJECT_ID:
        return key
    return b"" if key[0] in _BELOW_OBJECT_IDS else b"\xff"


def bounds_of(span: Span) -> tuple[bytes | None, ...]:
    """The first that may be there, that after which the span begins, the last one, and that before which it ends."""
    return span.keys.lower, span.after, span.upto, span.keys.upper


def _place(value: Any) -> Place:
    rank, comparable = _RANKS[type(value)]
    return rank, comparable(value)


def _number(value: float | Decimal | Decimal128) -> Place:
    """By exact value; NaN is below all other numbers."""
    exact = value.to_decimal() if isinstance(value, Decimal128) else Decimal(value)
    return (0, Decimal(0)) if exact.is_nan() else (1, exact)


def _binary(value: bytes) -> Place:
    subtype = value.subtype if isinstance(value, Binary) else 0
    return len(value), subtype, bytes(value)


def _date(value: datetime) -> int:
    return (value - _EPOCH) // _MILLISECOND


def _document(value: dict[str, Any]) -> Place:
    """Field by field: type, then name, then value; of two with the same beginning the shorter one is smaller."""
    places = ((name.encode(), _place(inner)) for name, inner in value.items())
    return tuple((rank, name, comparable) for name, (rank, comparable) in places)


def _array(value: Sequence[Any]) -> Place:
    return tuple(map(_place, value))


def _alike(_: object) -> int:
    return 0


_RANKS: dict[type, tuple[int, Callable[[Any], Any]]] = {
    MinKey: (0, _alike),
    type(None): (1, _alike),
    int: (2, _number),
    Int64: (2, _number),
    float: (2, _number),
    Decimal128: (2, _number),
    str: (3, str.encode),
    dict: (4, _document),
    list: (5, _array),
    bytes: (6, _binary),
    Binary: (6, _binary),
    ObjectId: (7, lambda value: value.binary),
    bool: (8, int),
    datetime: (9, _date),
    DatetimeMS: (9, int),
    Timestamp: (10, lambda value: (value.time, value.inc)),
    Regex: (11, lambda value: (str(value.pattern), value.flags)),
    Code: (12, str.encode),
    MaxKey: (13, _alike),
}
