"""Keys: a document's `_id` as canonical bytes, and back.

Two `_id`s that MongoDB holds to be the same key (3, 3L, 3.0, Decimal128 3) have the same bytes: a BSON element without
its name, of the normalised value. The bytes decode to a value that finds the document.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from bson.binary import Binary
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from midflight.core.literal import literal
from midflight.core.values import decimal128_of, decimal_of, decode, element

_INT64 = range(-(2**63), 2**63)
_OBJECT_ID = b"\x07\x00"
_LONGEST_TEXT = 80


def key_bytes(value: Any) -> bytes:
    """The canonical bytes of an `_id`."""
    if type(value) is ObjectId:
        return _OBJECT_ID + value.binary
    return element(_normalised(value))


def key_value(key: bytes) -> Any:
    """The normalised `_id`: MongoDB finds the document by it. InvalidBSON for bytes that are no key."""
    if key[:2] == _OBJECT_ID:
        return ObjectId(key[2:])
    alone = (len(key) + 5).to_bytes(4, "little") + key + b"\0"
    # The driver would make a DBRef of a sub-document with `$ref`, and write it back in another order.
    return literal(alone)[""] if b"$ref\0" in key else decode(alone)[""]


def key_text(key: bytes) -> str:
    """The key for people, short: ObjectId("65920100.."), "abc", 42."""
    value = key_value(key)
    text = _TEXTS.get(type(value), repr)(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


_TEXTS: dict[type, Callable[[Any], str]] = {
    ObjectId: lambda value: f'ObjectId("{value}")',
    str: lambda value: '"' + value.replace("\0", "\\0") + '"',
    Int64: lambda value: str(int(value)),
    Decimal128: str,
    datetime: lambda value: value.isoformat(timespec="milliseconds"),
}


def _normalised(value: Any) -> Any:
    normalise = _NORMALISE.get(type(value))
    return value if normalise is None else normalise(value)


def _integer(value: int) -> Int64:
    return Int64(value)


def _double(value: float) -> Int64 | float:
    if value != value:
        return float("nan")
    if isfinite(value) and value == int(value) and int(value) in _INT64:
        return Int64(value)
    return value


def _decimal(value: Decimal128) -> Int64 | float | Decimal128:
    number = decimal_of(value)
    if number.is_nan():
        return float("nan")
    if number.is_infinite():
        return float(number)
    if abs(number.adjusted()) < 20 and number == int(number) and int(number) in _INT64:
        return Int64(int(number))
    if not number:
        return Int64(0)
    as_double = float(number)
    return as_double if Decimal(as_double) == number else _shortest(number)


def _shortest(number: Decimal) -> Decimal128:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    kept = len(digits)
    while kept > 1 and digits[kept - 1] == 0 and exponent < _LARGEST_EXPONENT:
        kept, exponent = kept - 1, exponent + 1
    return decimal128_of(Decimal((sign, digits[:kept], exponent)))


_LARGEST_EXPONENT = 6111


def _document(value: dict[str, Any]) -> dict[str, Any]:
    return {name: _normalised(inner) for name, inner in value.items()}


def _array(value: list[Any]) -> list[Any]:
    return [_normalised(inner) for inner in value]


_NORMALISE: dict[type, Callable[[Any], Any]] = {
    int: _integer,
    Int64: _integer,
    float: _double,
    Decimal128: _decimal,
    dict: _document,
    list: _array,
    DBRef: lambda value: _document(value.as_doc()),
    UUID: Binary.from_uuid,
}
