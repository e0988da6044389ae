"""Columns of the target in BSON: for each cell its type's byte, a name and the payload, written apart from the mapping.

Each column type has one BSON type that is natural for it. Two cells that differ never have the same payload, so equal
bytes prove equal cells; a cell for which that cannot be had raises NoImage. Whole columns are written at once, which
takes half the time of cell by cell.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import bson
from bson.code import Code
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

from midflight.core.column_types import parse_type

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
NULL, OBJECT, ARRAY = b"\x0a", b"\x03", b"\x04"
_INT32 = struct.Struct("<i").pack
_INT64 = struct.Struct("<q").pack
_DOUBLE = struct.Struct("<d").pack
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_DAY_MS = 86_400_000
_BIAS = 6176
_MOST_SIGNIFICAND = 10**34 - 1
_UINT64S = struct.Struct("<QQ").pack
_EXPONENTS = [_BIAS - places << 49 for places in range(20)]
"""By decimal places: the upper half of a Decimal128 whose digits fit into the lower half."""
_DOUBTFUL = frozenset({tuple, datetime, dict, list, Code})
"""The types of values that the driver may write as something else."""

Write = Callable[[bytes, Sequence[Any]], list[bytes]]
"""Gives the elements of cells, none of which is None: to `head` (type's byte, then name) the payload of each."""


class NoImage(ValueError):
    """The cells do not say what bytes these were; the text says why, and contains no value."""


def writer_of(type_text: str) -> tuple[bytes, Write] | None:
    """The type's byte and how cells are written; None where each cell has a type of its own (jsonb, any)."""
    return _WRITERS.get(parse_type(type_text).name)


def element(name: bytes, value: Any) -> bytes:
    """Any BSON value as an element. NoImage for what no document holds."""
    if type(value) in _DOUBTFUL:
        _require_exact(value)
    try:
        alone = bson.encode({"": value}, codec_options=_OPTIONS)[4:-1]
    except (BSONError, TypeError, OverflowError) as why:
        raise NoImage(f"a value does not become BSON: {type(why).__name__}") from None
    return alone[:1] + name + alone[2:]


def _require_exact(value: Any) -> None:
    """Refuse what the driver would write as something else, however deep it is. NoImage."""
    kind = type(value)
    if kind is tuple:
        # A normal value that says why it cannot be read; the driver would make an array of it.
        raise NoImage("a value that is none of ours")
    if kind is datetime and value.microsecond % 1000:
        raise NoImage("a date holds milliseconds only")
    inside = value.scope if kind is Code else value
    if type(inside) is dict:
        inside = list(inside.values())
    for inner in inside if type(inside) is list else ():
        _require_exact(inner)


def documents(bodies: Iterable[bytes]) -> list[bytes]:
    """Elements as documents: with the length before them and a zero behind."""
    return [_INT32(len(body) + 5) + body + b"\0" for body in bodies]


def bson_name(name: str) -> bytes:
    """The name as it stands in a document, with the zero at its end. NoImage for one that no document has."""
    if "\0" in name:
        raise NoImage("a name with NUL")
    return name.encode() + b"\0"


def _texts(head: bytes, cells: Sequence[str]) -> list[bytes]:
    return [head + _INT32(len(raw) + 1) + raw + b"\0" for raw in map(str.encode, cells)]


def _packed(pack: Callable[[Any], bytes]) -> Write:
    def write(head: bytes, cells: Sequence[Any]) -> list[bytes]:
        return [head + payload for payload in map(pack, cells)]

    return write


def _booleans(head: bytes, cells: Sequence[bool]) -> list[bytes]:
    return [head + (b"\1" if cell else b"\0") for cell in cells]


def _numerics(head: bytes, cells: Sequence[Decimal]) -> list[bytes]:
    written = []
    for text in map(str, cells):
        whole, _, places = text.partition(".")
        try:
            payload = _UINT64S(int(whole + places), _EXPONENTS[len(places)])
        except (ValueError, LookupError, struct.error):  # negative, or long, or with an exponent
            payload = _numeric(text)
        written.append(head + payload)
    return written


def _numeric(text: str) -> bytes:
    whole, _, places = f"{Decimal(text):f}".partition(".")
    number = int(whole + places)  # NaN and infinities are none: ValueError
    if not -_MOST_SIGNIFICAND <= number <= _MOST_SIGNIFICAND or len(places) > _BIAS:
        raise NoImage("too many digits")
    sign, digits = (1 << 127, -number) if number < 0 else (0, number)
    return (sign | _BIAS - len(places) << 113 | digits).to_bytes(16, "little")


def _instants(head: bytes, cells: Sequence[datetime]) -> list[bytes]:
    written = []
    for cell in cells:
        since = cell - _EPOCH
        milliseconds, rest = divmod(since.microseconds, 1000)
        if rest:
            raise NoImage("a date holds milliseconds only")
        written.append(head + _INT64(since.days * _DAY_MS + since.seconds * 1000 + milliseconds))
    return written


def _days(head: bytes, cells: Sequence[date]) -> list[bytes]:
    return [head + _INT64((cell - _EPOCH.date()) // _DAY * _DAY_MS) for cell in cells]


def _object_ids(head: bytes, cells: Sequence[str]) -> list[bytes]:
    raws = list(map(bytes.fromhex, cells))
    # Capitals and spaces would read the same.
    if any(len(raw) != 12 for raw in raws) or list(map(bytes.hex, raws)) != list(cells):
        raise NoImage("no ObjectId as it is written here")
    return [head + raw for raw in raws]


def _uuids(head: bytes, cells: Sequence[UUID]) -> list[bytes]:
    return [head + b"\x10\0\0\0\x04" + cell.bytes for cell in cells]


def _binaries(head: bytes, cells: Sequence[bytes]) -> list[bytes]:
    return [head + _INT32(len(cell)) + b"\0" + cell for cell in cells]


_WRITERS: dict[str, tuple[bytes, Write]] = {
    "text": (b"\x02", _texts),
    "varchar": (b"\x02", _texts),
    "boolean": (b"\x08", _booleans),
    "smallint": (b"\x10", _packed(_INT32)),
    "integer": (b"\x10", _packed(_INT32)),
    "bigint": (b"\x12", _packed(_INT64)),
    "numeric": (b"\x13", _numerics),
    "double precision": (b"\x01", _packed(_DOUBLE)),
    "timestamptz": (b"\x09", _instants),
    "date": (b"\x09", _days),
    "uuid": (b"\x05", _uuids),
    "bytea": (b"\x05", _binaries),
    "objectid": (b"\x07", _object_ids),
}
