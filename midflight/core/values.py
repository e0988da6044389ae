"""BSON values in Python: how documents are decoded, what types are called, and when two values are identical.

Identical means: the same BSON bytes. Equality of Python is too generous (3 == 3.0, 1.10 == 1.1).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

import bson
from bson.binary import Binary
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.errors import InvalidBSON
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

__all__ = [
    "Binary",
    "Code",
    "DBRef",
    "DatetimeMS",
    "Decimal128",
    "Int64",
    "InvalidBSON",
    "MISSING",
    "MaxKey",
    "MinKey",
    "Missing",
    "ObjectId",
    "Regex",
    "Timestamp",
    "UTC",
    "Unfit",
    "WIDE",
    "decimal128_of",
    "decimal_of",
    "decode",
    "element",
    "encode",
    "fits_int32",
    "identical",
    "type_name",
]

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
UTC = bson.tz_util.utc

WIDE = Context(prec=20_000)
"""Exact for every Decimal128: 34 digits with exponents of up to 6,176, and every double."""

_MOST_SIGNIFICAND = 10**34 - 1
_BIAS = 6176
_SPECIAL = 0x6 << 60


class Unfit(ValueError):
    """A value does not fit its column; the text says why and never contains the value."""


class Missing:
    """The type of `MISSING`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()
"""What a transform gets, and may give back, for a field that is not there."""


def decode(raw: bytes | memoryview) -> dict[str, Any]:
    """One BSON document. InvalidBSON for bytes that are none."""
    return bson.decode(raw, _OPTIONS)


def encode(body: Mapping[str, Any]) -> bytes:
    """The BSON bytes of a document."""
    return bson.encode(body, codec_options=_OPTIONS)


def element(value: Any) -> bytes:
    """The value as a BSON element without a name: type byte, empty name, value."""
    return bson.encode({"": value}, codec_options=_OPTIONS)[4:-1]


def identical(left: Any, right: Any) -> bool:
    """Whether two values are the same BSON bytes. MISSING is identical to itself only."""
    if left is MISSING or right is MISSING:
        return left is right
    return element(left) == element(right)


def fits_int32(value: int) -> bool:
    """Whether BSON's `int` holds it."""
    # No range: asked for a subclass of int, such as Int64, it counts through all its members.
    return -(2**31) <= value < 2**31


_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    Int64: "long",
    float: "double",
    Decimal128: "decimal",
    str: "string",
    dict: "object",
    DBRef: "object",
    list: "array",
    bytes: "binData",
    Binary: "binData",
    ObjectId: "objectId",
    datetime: "date",
    DatetimeMS: "date",
    Regex: "regex",
    Timestamp: "timestamp",
    MinKey: "minKey",
    MaxKey: "maxKey",
    Missing: "missing",
    Decimal: "decimal",
    UUID: "binData",
}


def type_name(value: Any) -> str:
    """What MongoDB calls the value's type; `missing` for MISSING."""
    if type(value) is Code:
        return "javascript" if value.scope is None else "javascriptWithScope"
    return _NAMES.get(type(value), type(value).__name__)


def decimal_of(value: Decimal128) -> Decimal:
    """The same number with the same exponent, exact; several times faster than the driver's own conversion."""
    low, high = struct.unpack("<QQ", value.bid)
    if high & _SPECIAL == _SPECIAL:
        return value.to_decimal()
    significand = (high & 0x1FFFFFFFFFFFF) << 64 | low
    if significand > _MOST_SIGNIFICAND:
        return value.to_decimal()
    number = Decimal(significand).scaleb((high >> 49 & 0x3FFF) - _BIAS, WIDE)
    # Not the context's minus: that turns -0 into 0.
    return number.copy_negate() if high >> 63 else number


def decimal128_of(number: Decimal) -> Decimal128:
    """The Decimal128 with the same digits and exponent. Unfit if it has too many digits or too large an exponent."""
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        return Decimal128(number)
    if len(digits) > 34 or not -_BIAS <= exponent <= 6111:
        raise Unfit("a Decimal128 does not hold this many digits")
    significand = int(number.copy_abs().scaleb(-exponent, WIDE))
    high = sign << 63 | (exponent + _BIAS) << 49 | significand >> 64
    # The driver documents this form (high and low 64 bits) and leaves it out of its type hints.
    return Decimal128((high, significand & 0xFFFFFFFFFFFFFFFF))  # type: ignore[arg-type]
