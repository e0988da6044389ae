"""What happened to a value, told from how it was and how it is. Pure; the patterns are tried in order.

A pattern is a guess that two values allow, nothing more: it names what to look at first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal

from midflight.parity.forms.normal import EMPTY_ARRAY, EMPTY_OBJECT, FALSE, MISSING, NAN, NULL
from midflight.parity.records import Cause, Normal
from midflight.parity.text_patterns import is_encoded_otherwise, is_text_cut

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER_HOUR = timedelta(minutes=15)
_FARTHEST_ZONE = timedelta(hours=14)
_MILLISECOND = timedelta(milliseconds=1)
_FARTHEST_DATE = timedelta.max // (2 * _MILLISECOND)
_CUT_TO = (timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
_CLOSE = Decimal("1e-9")
_EXACT = Context(prec=100)
"""Both stores' numbers have more digits than Python's usual context keeps."""
_DAY = timedelta(days=1)
_NOTHING_SPELLED_OUT = ("", "null", "<null>", "none", "nan", "undefined", "\\n")
_NO_UUID, _NO_OBJECT_ID = ("binary", 4, bytes(16)), ("objectId", "0" * 24)


def pattern_of(source: Normal, target: Normal) -> Cause:
    """The first pattern that the two values show; UNKNOWN where they show none."""
    if source is MISSING or source == NULL:
        return Cause.DEFAULT_FILLED if _is_default(target) else Cause.UNKNOWN
    for cause, shows in _PATTERNS:
        if shows(source, target):
            return cause
    return Cause.UNKNOWN


def _is_default(value: Normal) -> bool:
    """What is filled in when nobody gave a value; a time may be of the moment the row was written."""
    if isinstance(value, int | float | Decimal):
        return value == 0
    if isinstance(value, str):
        return value.lower() in _NOTHING_SPELLED_OUT
    return isinstance(value, datetime) or value in (FALSE, EMPTY_ARRAY, EMPTY_OBJECT, NAN, _NO_UUID, _NO_OBJECT_ID)


# --- what was cut off -----------------------------------------------------------------------------------------------


def _is_truncated(source: Normal, target: Normal) -> bool:
    if isinstance(source, str) and isinstance(target, str):
        return is_text_cut(source, target)
    if isinstance(source, int) and isinstance(target, int):
        return any(_is_squeezed(source, target, bits) for bits in (16, 32, 64))
    if not (isinstance(source, tuple) and isinstance(target, tuple) and source[:-1] == target[:-1]):
        return False
    whole, part = source[-1], target[-1]
    return (
        isinstance(whole, bytes) and isinstance(part, bytes) and 0 < len(part) < len(whole) and whole.startswith(part)
    )


def _is_squeezed(whole: int, part: int, bits: int) -> bool:
    """A whole number in too few bits: the upper ones are gone, or it stopped at the bound."""
    half = 1 << (bits - 1)
    if -half <= whole < half:
        return False
    return part in ((whole + half) % (2 * half) - half, half - 1 if whole > 0 else -half)


# --- numbers and times ----------------------------------------------------------------------------------------------


def _is_less_precise(source: Normal, target: Normal) -> bool:
    if isinstance(source, int | float | Decimal) and isinstance(target, int | float | Decimal):
        return _number_is_less_precise(source, target)
    before, after = _instant(source), _instant(target)
    return before is not None and after is not None and _time_is_less_precise(before, after)


def _number_is_less_precise(source: int | float | Decimal, target: int | float | Decimal) -> bool:
    exact, kept = _decimal(source), _decimal(target)
    if not (exact.is_finite() and kept.is_finite()):
        return False
    return _through_a_float(exact, kept) or _digits_were_cut(exact, kept) or _is_close(exact, kept)


def _decimal(value: int | float | Decimal) -> Decimal:
    """A double as people write it: 0.1, not its 55 binary digits."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _through_a_float(exact: Decimal, kept: Decimal) -> bool:
    return any(kept == rounded for rounded in _as_floats(exact))


def _as_floats(exact: Decimal) -> Iterator[Decimal]:
    """The number after it was a double, or a single, for a while."""
    double = float(exact)
    yield from (Decimal(double), Decimal(repr(double)))
    (single,) = struct.unpack("f", struct.pack("f", double))
    yield from (Decimal(single), Decimal(repr(single)))


def _digits_were_cut(exact: Decimal, kept: Decimal) -> bool:
    """Fewer decimal places, and what rounding, or cutting off the others, leads to."""
    places, places_kept = _places(exact), _places(kept)
    last, distance = Decimal(1).scaleb(-places_kept), _distance(exact, kept)
    if places_kept >= places or distance >= last:
        return False
    return kept < exact or abs(kept) < abs(exact) or 2 * distance <= last


def _distance(one: Decimal, other: Decimal) -> Decimal:
    return abs(_EXACT.subtract(one, other))


def _places(value: Decimal) -> int:
    exponent = value.normalize(_EXACT).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _is_close(exact: Decimal, kept: Decimal) -> bool:
    """Whole numbers that differ by one are two numbers, however large."""
    fractional = _places(exact) > 0 or _places(kept) > 0
    return fractional and _distance(exact, kept) <= _CLOSE * abs(exact)


def _time_is_less_precise(before: timedelta, after: timedelta) -> bool:
    if abs(before - after) < _MILLISECOND:
        return True
    return any(not after % unit and abs(before - after) < unit for unit in _CUT_TO)


def _is_in_another_zone(source: Normal, target: Normal) -> bool:
    before, after = _instant(source), _instant(target)
    if before is None or after is None or before == after:
        return False
    moved = abs(before - after)
    # Of a day without a time the shift leaves the day before or after.
    if moved == _DAY and not before % _DAY:
        return True
    return moved <= _FARTHEST_ZONE and not moved % _QUARTER_HOUR


def _instant(value: Normal) -> timedelta | None:
    """Since 1970, also where the date is outside Python's years; None for what is no time."""
    if isinstance(value, datetime):
        return value - _EPOCH
    if isinstance(value, tuple) and value[0] == "date" and abs(value[1]) < _FARTHEST_DATE:
        return timedelta(milliseconds=value[1])
    return None


def _is_another_text(source: Normal, target: Normal) -> bool:
    return isinstance(source, str) and isinstance(target, str) and is_encoded_otherwise(source, target)


_PATTERNS: tuple[tuple[Cause, Callable[[Normal, Normal], bool]], ...] = (
    (Cause.TRUNCATION, _is_truncated),
    (Cause.ENCODING, _is_another_text),
    (Cause.TIME_ZONE_SHIFT, _is_in_another_zone),
    (Cause.PRECISION, _is_less_precise),
)
