"""What a column should hold for a value of the source; from the plans' documentation, not from Midflight's code."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson import Binary, Decimal128, Int64, ObjectId

Column = Callable[[Any], Any]


class Flaw(Exception):
    """The value cannot stand in the column."""


def text(value: Any) -> str:
    """A string without NUL."""
    if not isinstance(value, str) or "\x00" in value:
        raise Flaw
    return value


def short_text(most: int) -> Column:
    """A string of at most so many characters."""

    def column(value: Any) -> str:
        if len(text(value)) > most:
            raise Flaw
        return text(value)

    return column


def boolean(value: Any) -> bool:
    """True or false, nothing like it."""
    if not isinstance(value, bool):
        raise Flaw
    return value


def whole(bits: int) -> Column:
    """A whole number, of whatever type."""

    def column(value: Any) -> int:
        number = exact(value)
        if number != number.to_integral_value() or not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
            raise Flaw
        return int(number)

    return column


def exact(value: Any) -> Decimal:
    """A number with all its digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal128):
        raise Flaw
    return value.to_decimal() if isinstance(value, Decimal128) else Decimal(value)


def digits(value: Any) -> str:
    """A number as text, trailing zeros included."""
    return str(exact(value))


def double(value: Any) -> float:
    """A number that a double holds."""
    number = exact(value)
    if Decimal(float(number)) != number:
        raise Flaw
    return float(number)


def instant(value: Any) -> datetime:
    """A date of BSON."""
    if not isinstance(value, datetime):
        raise Flaw
    return value


def hexadecimal(value: Any) -> str:
    """An ObjectId as text."""
    if not isinstance(value, ObjectId):
        raise Flaw
    return str(value)


def plain_json(value: Any) -> Any:
    """Data that JSON keeps as it is."""
    return value


def any_key(value: Any) -> str:
    """A key of any type as the documented text."""
    return json.dumps(_tagged(value), ensure_ascii=False, separators=(",", ":"))


def _tagged(value: Any) -> Any:
    match value:
        case Int64() if abs(value) >= 2**31:
            return {"$long": str(int(value))}
        case ObjectId():
            return {"$oid": str(value)}
        case Decimal128():
            return {"$decimal": str(value)}
        case Binary():
            return {"$binary": {"base64": base64.b64encode(value).decode(), "subType": f"{value.subtype:02x}"}}
        case datetime():
            return {"$date": value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")}
        case _:
            return value
