"""Normal values: what parity compares, by `==`. Two values of the two stores are equal exactly if their normals are.

Numbers are compared by value (5 == 5.0 == Decimal("5.00"), -0.0 == 0.0, NaN equals NaN), texts by code points, dates as
instants. What Python would take for equal and is not (True and 1) is a tuple that begins with the name of its type.
Nothing is rounded, cut, trimmed or put in another case.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from midflight.parity.records import Normal


class Hidden(ValueError):
    """The driver has made something of the document that does not show what is there."""


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()
"""There is no such field. Equal only to itself."""

NULL: Normal = ("null",)
NAN: Normal = ("nan",)
TRUE: Normal = ("bool", True)
FALSE: Normal = ("bool", False)
EMPTY_ARRAY: Normal = ("empty", "array")
EMPTY_OBJECT: Normal = ("empty", "object")
ORPHAN: Normal = ("orphan",)
"""Stands for a row of a child table whose element is not there."""

ITSELF = frozenset({str, int, datetime, tuple})
"""The types whose values are their own normals: a tuple is a normal already."""


def normal(value: Any) -> Normal:
    """The normal value of a BSON value as the driver decodes it, or of a transform's result. TypeError for others."""
    kind = type(value)
    if kind in ITSELF:
        return value
    known = NORMALS.get(kind)
    if known is None:
        raise TypeError(f"parity does not know values of the type {kind.__name__}")
    return known(value)


def unreadable(reason: str) -> Normal:
    """Stands for a value that cannot be read, and is equal to none of the other side."""
    return ("unreadable", reason)


def number(value: float | Decimal) -> Normal:
    """The normal of a number that may be NaN."""
    return value if value == value else NAN


# --- each type ------------------------------------------------------------------------------------------------------

_BIAS = 6176
_SIGNIFICAND = (1 << 113) - 1
_MOST_SIGNIFICAND = 10**34 - 1
_SPECIAL = 0x3000
"""Both of these bits in sign and exponent: infinite, NaN, or digits in another form."""
_EXACT = Context(prec=60, Emin=-20_000, Emax=20_000)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _decimal(value: Decimal) -> Normal:
    return NAN if value.is_nan() else value


def _decimal128(value: Decimal128) -> Normal:
    """From its 16 bytes: the driver's own conversion takes several times as long."""
    bits = int.from_bytes(value.bid, "little")
    head, significand = bits >> 113, bits & _SIGNIFICAND
    if head & _SPECIAL == _SPECIAL or significand > _MOST_SIGNIFICAND:
        return _decimal(value.to_decimal())
    exact = Decimal(significand).scaleb((head & 0x3FFF) - _BIAS, _EXACT)
    # Not minus: that would round to the precision of whoever calls.
    return exact.copy_negate() if head >> 14 else exact


def _milliseconds(value: DatetimeMS) -> Normal:
    """A date: an instant where Python has it, else its milliseconds."""
    try:
        return _EPOCH + int(value) * _MILLISECOND
    except OverflowError:
        return ("date", int(value))


def _code(value: Code) -> Normal:
    return ("code", str(value), None if value.scope is None else _tree(value.scope))


def _reference(_: DBRef) -> Normal:
    raise Hidden("a sub-document with `$ref` became a DBRef, which forgets some of its names")


def _object(value: dict[str, Any]) -> Normal:
    return ("object", *((name, _tree(value[name])) for name in sorted(value)))


def _array(value: list[Any]) -> Normal:
    return ("array", *map(_tree, value))


def _tree(value: Any) -> Normal:
    """The normal of a whole document or array, for where it is no place of its own."""
    kind = type(value)
    if kind is dict:
        return _object(value)
    return _array(value) if kind is list else normal(value)


class _Normals(dict[type, Callable[[Any], Normal]]):
    def __missing__(self, kind: type) -> Callable[[Any], Normal]:
        # A customer's transform may give anything; it must not stop a run.
        return lambda _: unreadable(f"no document holds a {kind.__name__}")


NORMALS = _Normals(
    {
        type(None): lambda _: NULL,
        bool: lambda value: TRUE if value else FALSE,
        Int64: int,
        float: number,
        Decimal: _decimal,
        Decimal128: _decimal128,
        DatetimeMS: _milliseconds,
        date: lambda value: datetime(value.year, value.month, value.day, tzinfo=UTC),
        ObjectId: lambda value: ("objectId", value.binary.hex()),
        bytes: lambda value: ("binary", 0, value),
        Binary: lambda value: ("binary", value.subtype, bytes(value)),
        UUID: lambda value: ("binary", 4, value.bytes),
        Regex: lambda value: ("regex", value.pattern, int(value.flags)),
        Timestamp: lambda value: ("timestamp", value.time, value.inc),
        Code: _code,
        MinKey: lambda _: ("minKey",),
        MaxKey: lambda _: ("maxKey",),
        DBRef: _reference,
    }
)
"""How the normal is made, for the types whose values are not their own."""
