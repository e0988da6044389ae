"""Numbers into columns of another width or kind, exactly or not at all."""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from midflight.core.values import WIDE, Decimal128, Int64, Unfit, decimal_of, type_name

_BIAS = 6176
_MOST_SIGNIFICAND = 10**34 - 1
_SPECIAL = 0x6 << 60
_NEGATIVE = 1 << 63


def as_integer(value: Any) -> int:
    """The number as an integer; Unfit if it is none, or not whole."""
    number = _number(value, "an integer")
    if isinstance(number, int):
        return int(number)
    if not number.is_finite() or not _whole(number):
        raise Unfit("the number is not whole, it would be rounded")
    return int(number)


def as_double(value: Any) -> float:
    """The number as a double; Unfit if a double does not hold it exactly."""
    number = Decimal(_number(value, "a double precision"))
    if number.is_nan():
        # One NaN: PostgreSQL does not promise to keep a payload.
        return float("nan")
    double = float(value if type(value) is float else number)
    if Decimal(double) == number:
        return double
    raise Unfit("a double does not hold the number exactly, it would be rounded")


def as_numeric(value: Any) -> Decimal:
    """The number as PostgreSQL's numeric gives it back: no exponent above 0, no negative zero."""
    number = Decimal(_number(value, "a numeric"))
    if number.is_nan():
        return Decimal("NaN")
    if number.is_infinite():
        return number
    if _exponent(number) > 0:
        return Decimal(int(number))
    return number if number else number.copy_abs()


def as_scaled(digits: int, scale: int) -> Callable[[Any], Decimal]:
    """The number as numeric(digits, scale) gives it back: with all its decimal places."""

    def cell(value: Any) -> Decimal:
        number = as_numeric(value)
        if number.is_nan():
            return number
        if number.is_infinite():
            raise Unfit(f"numeric({digits},{scale}) does not hold an infinite number")
        scaled = number.scaleb(scale, WIDE)
        if not _whole(scaled):
            raise Unfit(f"the number has more than {scale} decimal places, it would be rounded")
        if abs(int(scaled)) >= 10**digits:
            raise Unfit(f"the number has more than {digits - scale} digits before the decimal point")
        return Decimal(int(scaled)).scaleb(-scale, WIDE)

    return cell


def fast_numeric(value: Any) -> Decimal | None:
    """The ordinary Decimal128, which comes back from numeric identically; None for all else."""
    if type(value) is not Decimal128:
        return None
    low, high = struct.unpack("<QQ", value.bid)
    exponent = (high >> 49 & 0x3FFF) - _BIAS
    significand = (high & 0x1FFFFFFFFFFFF) << 64 | low
    if high & _SPECIAL == _SPECIAL or exponent > 0 or not _plain(significand, high):
        return None
    return Decimal(-significand if high & _NEGATIVE else significand).scaleb(exponent, WIDE)


def fast_scaled(digits: int, scale: int) -> Callable[[Any], Decimal | None]:
    """Like `fast_numeric`, for values that have exactly the column's decimal places."""
    exponent_bits = (_BIAS - scale) << 49 if scale <= _BIAS else -1
    most = 10**digits - 1

    def fast(value: Any) -> Decimal | None:
        if type(value) is not Decimal128:
            return None
        low, high = struct.unpack("<QQ", value.bid)
        significand = (high & 0x1FFFFFFFFFFFF) << 64 | low
        if high & (0x3FFF << 49) != exponent_bits or significand > most or not _plain(significand, high):
            return None
        return Decimal(-significand if high & _NEGATIVE else significand).scaleb(-scale, WIDE)

    return fast


def _plain(significand: int, high: int) -> bool:
    """Whether the digits are canonical, and not those of -0."""
    return significand <= _MOST_SIGNIFICAND if significand else not high & _NEGATIVE


def _number(value: Any, column: str) -> int | Decimal:
    kind = type(value)
    if kind is int or kind is Int64:
        return int(value)
    if kind is float:
        return Decimal(value)
    if kind is Decimal128:
        return decimal_of(value)
    if kind is Decimal:
        return value  # type: ignore[no-any-return]
    raise Unfit(f"{column} column does not take a {type_name(value)}")


def _whole(number: Decimal) -> bool:
    return not number or _exponent(number) >= 0 or number == number.to_integral_value(context=WIDE)


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return exponent
