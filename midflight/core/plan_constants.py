"""Constants of a plan: from what YAML can say to the value that every row gets."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from datetime import date, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from midflight.core.column_types import ColumnType

Plain = bool | int | float | str

BITS = {"smallint": 16, "integer": 32, "bigint": 64}


def constant_value(column: ColumnType, value: Plain) -> Any:
    """The value for the row, of the Python type that the column has everywhere.

    ValueError says in words why the value does not fit; nothing is rounded, cut or guessed.
    """
    return _READ[column.name](column, value)


def _text(column: ColumnType, value: Plain) -> str:
    text = _string(value)
    if "\0" in text:
        raise ValueError("PostgreSQL's text holds no NUL")
    if column.arguments and len(text) > column.arguments[0]:
        raise ValueError(f"it has {len(text)} characters")
    return text


def _boolean(_: ColumnType, value: Plain) -> bool:
    if not isinstance(value, bool):
        raise ValueError("write true or false, without quotes")
    return value


def _integer(column: ColumnType, value: Plain) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("write a whole number, without quotes")
    half = 2 ** (BITS[column.name] - 1)
    if not -half <= value < half:
        raise ValueError(f"it goes from {-half} to {half - 1}")
    return value


def _numeric(column: ColumnType, value: Plain) -> Decimal:
    if isinstance(value, bool):
        raise ValueError("write a number")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError("write a number") from None
    if not number.is_finite():
        raise ValueError("write a finite number")
    return _scaled(number, *column.arguments) if column.arguments else number


def _scaled(number: Decimal, precision: int, scale: int) -> Decimal:
    """The number with all its decimal places, as numeric(precision, scale) gives it back."""
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if -exponent > scale or number.adjusted() >= precision - scale:
        raise ValueError("it has too many digits")
    return number.quantize(Decimal((0, (1,), -scale)), context=Context(prec=precision + 1))


def _double(_: ColumnType, value: Plain) -> float:
    if isinstance(value, bool | str):
        raise ValueError("write a number, without quotes")
    if float(value) != value:
        raise ValueError("a double does not hold it exactly")
    return float(value)


def _timestamp(_: ColumnType, value: Plain) -> datetime:
    when = datetime.fromisoformat(_string(value))
    if when.tzinfo is None:
        raise ValueError('name its time zone, like "2024-01-31T12:00:00Z"')
    return when


def _date(_: ColumnType, value: Plain) -> date:
    return date.fromisoformat(_string(value))


def _uuid(_: ColumnType, value: Plain) -> uuid.UUID:
    return uuid.UUID(_string(value))


def _bytes(_: ColumnType, value: Plain) -> bytes:
    return bytes.fromhex(_string(value))


def _object_id(_: ColumnType, value: Plain) -> str:
    text = _string(value)
    if not re.fullmatch("[0-9a-f]{24}", text):
        raise ValueError("write 24 lower-case hexadecimal digits")
    return text


def _json(_: ColumnType, value: Plain) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _any(_: ColumnType, __: Plain) -> str:
    raise ValueError("`any` is for keys and what references them; use text")


def _string(value: Plain) -> str:
    if not isinstance(value, str):
        raise ValueError("write it in quotes")
    return value


_READ: dict[str, Callable[[ColumnType, Plain], Any]] = {
    "text": _text,
    "varchar": _text,
    "boolean": _boolean,
    "smallint": _integer,
    "integer": _integer,
    "bigint": _integer,
    "numeric": _numeric,
    "double precision": _double,
    "timestamptz": _timestamp,
    "date": _date,
    "uuid": _uuid,
    "bytea": _bytes,
    "jsonb": _json,
    "objectid": _object_id,
    "any": _any,
}
