"""Cells: one BSON value in one column, and back.

Every column type has a *natural* BSON type (bigint: long, timestamptz: date, ...). `fast` takes values of that type
which come back identical, and returns None for all others; `cell` takes whatever fits exactly, and raises Unfit for the
rest; `natural` goes back. A value that `natural(cell(value))` is not identical to is kept exactly beside the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache
from typing import Any
from uuid import UUID

from midflight.core import ejson
from midflight.core.column_types import ColumnType, parse_type
from midflight.core.keys import key_bytes, key_value
from midflight.core.numbers import (
    as_double,
    as_integer,
    as_numeric,
    as_scaled,
    fast_numeric,
    fast_scaled,
)
from midflight.core.values import UTC, Binary, Int64, ObjectId, Unfit, decimal128_of, fits_int32, type_name

Cell = Any
"""What psycopg dumps and loads for a column: str, int, float, Decimal, bool, datetime, date, UUID, bytes, or None.

A time that Python does not have is a str, in columns of `midflight.core.column_types.TIMES`.
"""


@dataclass(frozen=True, slots=True)
class Codec:
    """How one column type holds BSON values."""

    fast: Callable[[Any], Cell]
    cell: Callable[[Any], Cell]
    natural: Callable[[Cell], Any]
    holds_null: bool = False
    """Whether null is a value of the column's own, told apart from a missing field (jsonb)."""
    equal: Callable[[Cell, Cell], bool] = lambda left, right: left == right or (left != left and right != right)


@cache
def codec_of(type_text: str) -> Codec:
    """The codec of a plan's type text; PlanError for a text that is no type."""
    parsed = parse_type(type_text)
    return _CODECS[parsed.name](parsed)


# --- text -----------------------------------------------------------------------------------------------------------


def _as_is(cell: Cell) -> Any:
    return cell


def _fast_text(value: Any) -> str | None:
    return value if type(value) is str and "\0" not in value else None


def _text_cell(value: Any) -> str:
    if type(value) is not str:
        raise Unfit(f"a text column does not take a {type_name(value)}")
    if "\0" in value:
        raise Unfit("PostgreSQL text cannot hold NUL")
    return value


def _text(_: ColumnType) -> Codec:
    return Codec(_fast_text, _text_cell, _as_is)


def _varchar(parsed: ColumnType) -> Codec:
    (most,) = parsed.arguments

    def fast(value: Any) -> str | None:
        return value if type(value) is str and len(value) <= most and "\0" not in value else None

    def cell(value: Any) -> str:
        text = _text_cell(value)
        if len(text) > most:
            raise Unfit(f"the string has {len(text)} characters, it would be truncated to {most}")
        return text

    return Codec(fast, cell, _as_is)


# --- numbers --------------------------------------------------------------------------------------------------------


def _integer(bits: int) -> Callable[[ColumnType], Codec]:
    bounds = range(-(2 ** (bits - 1)), 2 ** (bits - 1))

    def fast(value: Any) -> int | None:
        return value if type(value) is int and value in bounds else None

    def fast_long(value: Any) -> int | None:
        return int(value) if type(value) is Int64 else None

    def cell(value: Any) -> int:
        number = as_integer(value)
        if number not in bounds:
            raise Unfit(f"the number is out of range for {bits} bits")
        return number

    codec = Codec(fast_long, cell, Int64) if bits == 64 else Codec(fast, cell, _as_is)
    return lambda _: codec


def _numeric(parsed: ColumnType) -> Codec:
    if not parsed.arguments:
        return Codec(fast_numeric, as_numeric, decimal128_of)
    digits, scale = parsed.arguments
    return Codec(fast_scaled(digits, scale), as_scaled(digits, scale), decimal128_of)


def _fast_double(value: Any) -> float | None:
    return value if type(value) is float and value == value else None


def _double(_: ColumnType) -> Codec:
    return Codec(_fast_double, as_double, _as_is)


# --- the others -----------------------------------------------------------------------------------------------------


def _fast_boolean(value: Any) -> bool | None:
    return value if value is True or value is False else None


def _boolean(_: ColumnType) -> Codec:
    return Codec(_fast_boolean, _only(bool, "boolean"), _as_is)


def _only(kind: type, column: str) -> Callable[[Any], Any]:
    def cell(value: Any) -> Any:
        if type(value) is not kind:
            raise Unfit(f"a {column} column does not take a {type_name(value)}")
        return value

    return cell


def _instant(value: Any) -> datetime:
    if type(value) is not datetime:
        out_of_range = type_name(value) == "date"
        raise Unfit(
            "the date lies outside the years 1 to 9999"
            if out_of_range
            else f"a timestamptz column does not take a {type_name(value)}"
        )
    if value.tzinfo is None or value.microsecond % 1000:
        raise Unfit("the time has no time zone, or more than milliseconds")
    return value


def _fast_instant(value: Any) -> datetime | None:
    return value if type(value) is datetime and value.tzinfo is UTC else None


def require_time(cell: Cell) -> None:
    """Unfit for what stands in a column of times and is none that a document can hold."""
    if type(cell) is str:
        raise Unfit("the time lies outside the years 1 to 9999")


def _instant_back(cell: datetime) -> datetime:
    require_time(cell)
    if cell.microsecond % 1000:
        raise Unfit("a BSON date has milliseconds only, the time would be cut off")
    return cell


def _timestamptz(_: ColumnType) -> Codec:
    return Codec(_fast_instant, _instant, _instant_back)


def _day(value: Any) -> date:
    if type(value) is date:
        return value
    if type_name(value) != "date":
        raise Unfit(f"a date column does not take a {type_name(value)}")
    instant = _instant(value).astimezone(UTC)
    if instant.timetz() != time(tzinfo=UTC):
        raise Unfit("the date has a time of day, it would be cut off")
    return instant.date()


def _day_back(cell: date) -> datetime:
    require_time(cell)
    return datetime(cell.year, cell.month, cell.day, tzinfo=UTC)


def _date(_: ColumnType) -> Codec:
    return Codec(lambda _: None, _day, _day_back)


def _uuid_cell(value: Any) -> UUID:
    if type(value) is UUID:
        return value
    if type(value) is not Binary or value.subtype != 4 or len(value) != 16:
        raise Unfit(f"a uuid column takes binData of subtype 4 with 16 bytes only, this is a {_detail(value)}")
    return UUID(bytes=bytes(value))


def _uuid(_: ColumnType) -> Codec:
    return Codec(lambda _: None, _uuid_cell, lambda cell: Binary(cell.bytes, 4))


def _bytea_cell(value: Any) -> bytes:
    if type(value) is not bytes:
        raise Unfit(f"a bytea column takes binData of subtype 0 only, this is a {_detail(value)}")
    return value


def _detail(value: Any) -> str:
    return f"binData of subtype {value.subtype}" if type(value) is Binary else type_name(value)


def _bytea(_: ColumnType) -> Codec:
    return Codec(lambda value: value if type(value) is bytes else None, _bytea_cell, bytes)


def _fast_object_id(value: Any) -> str | None:
    return value.binary.hex() if type(value) is ObjectId else None


def _object_id_cell(value: Any) -> str:
    return str(_only(ObjectId, "objectid")(value))


def _object_id(_: ColumnType) -> Codec:
    return Codec(_fast_object_id, _object_id_cell, ObjectId)


def _jsonb(_: ColumnType) -> Codec:
    return Codec(ejson.dumps, ejson.dumps, ejson.loads, holds_null=True, equal=ejson.same_json)


def _any_cell(value: Any) -> str:
    """The same text for all values that MongoDB holds to be the same key."""
    return ejson.dumps(_short(key_value(key_bytes(value))))


def _short(value: Any) -> Any:
    """Whole numbers as int where that is enough: most `_id`s that are numbers are written so."""
    if type(value) is Int64:
        return int(value) if fits_int32(value) else value
    if type(value) is dict:
        return {name: _short(inner) for name, inner in value.items()}
    return [_short(item) for item in value] if type(value) is list else value


def _fast_any(value: Any) -> str | None:
    if type(value) is ObjectId:
        return f'{{"$oid":"{value.binary.hex()}"}}'
    return ejson.dumps(value) if type(value) is str else None


def _any(_: ColumnType) -> Codec:
    return Codec(_fast_any, _any_cell, ejson.loads)


_CODECS: dict[str, Callable[[ColumnType], Codec]] = {
    "text": _text,
    "varchar": _varchar,
    "boolean": _boolean,
    "smallint": _integer(16),
    "integer": _integer(32),
    "bigint": _integer(64),
    "numeric": _numeric,
    "double precision": _double,
    "timestamptz": _timestamptz,
    "date": _date,
    "uuid": _uuid,
    "bytea": _bytea,
    "jsonb": _jsonb,
    "objectid": _object_id,
    "any": _any,
}
