"""What happened to a value, told from how it was and how it is. Pure; the patterns are tried in order.

A pattern is a guess that two values allow, nothing more: it names what to look at first.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal

from midflight.parity.normal import EMPTY_ARRAY, EMPTY_OBJECT, FALSE, MISSING, NULL
from midflight.parity.records import Cause, Normal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER_HOUR = timedelta(minutes=15)
_FARTHEST_ZONE = timedelta(hours=14)
_MILLISECOND = timedelta(milliseconds=1)
_FARTHEST_DATE = timedelta.max // (2 * _MILLISECOND)
_CUT_TO = (timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
_CLOSE = Decimal("1e-9")
_EXACT = Context(prec=100)
"""Both stores' numbers have more digits than Python's usual context keeps."""
_REPLACEMENTS = "?\ufffd"


def pattern_of(source: Normal, target: Normal) -> Cause:
    """The first pattern that the two values show; UNKNOWN where they show none."""
    if source is MISSING or source == NULL:
        return Cause.DEFAULT_FILLED if _is_default(target) else Cause.UNKNOWN
    for cause, shows in _PATTERNS:
        if shows(source, target):
            return cause
    return Cause.UNKNOWN


def _is_default(value: Normal) -> bool:
    """What columns are filled with when nobody gave a value; a time may be of the moment the row was written."""
    if isinstance(value, int | float | Decimal):
        return value == 0
    return isinstance(value, datetime) or value in ("", FALSE, EMPTY_ARRAY, EMPTY_OBJECT)


def _is_truncated(source: Normal, target: Normal) -> bool:
    if isinstance(source, str) and isinstance(target, str):
        return _is_beginning(target, source)
    if not (isinstance(source, tuple) and isinstance(target, tuple) and source[:-1] == target[:-1]):
        return False
    whole, part = source[-1], target[-1]
    return isinstance(whole, bytes) and isinstance(part, bytes) and _is_beginning(part, whole)


def _is_beginning(part: str | bytes, whole: str | bytes) -> bool:
    # mypy cannot know that both are of one kind, and no slice of one kind equals the other.
    return 0 < len(part) < len(whole) and whole[: len(part)] == part


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
    """Fewer decimal places, and no farther away than rounding or cutting leads."""
    places, places_kept = _places(exact), _places(kept)
    return places_kept < places and _distance(exact, kept) < Decimal(1).scaleb(-places_kept)


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
    return abs(before - after) <= _FARTHEST_ZONE and not (before - after) % _QUARTER_HOUR


def _instant(value: Normal) -> timedelta | None:
    """Since 1970, also where the date is outside Python's years; None for what is no time."""
    if isinstance(value, datetime):
        return value - _EPOCH
    if isinstance(value, tuple) and value[0] == "date" and abs(value[1]) < _FARTHEST_DATE:
        return timedelta(milliseconds=value[1])
    return None


# --- text -----------------------------------------------------------------------------------------------------------


def _is_encoded_otherwise(source: Normal, target: Normal) -> bool:
    if not (isinstance(source, str) and isinstance(target, str)):
        return False
    if unicodedata.normalize("NFC", source) == unicodedata.normalize("NFC", target):
        return True
    if source.isascii() and target.isascii():
        return False
    garbled = target in _garbled(source) or source in _garbled(target)
    return garbled or _characters_were_replaced(source, target) or target in (_ascii(source), _plain_letters(source))


def _garbled(text: str) -> Iterator[str]:
    """The text's UTF-8 read as if it were of another encoding, once and twice."""
    for encoding in ("latin-1", "cp1252"):
        once = _misread(text, encoding)
        yield once
        yield _misread(once, encoding)


def _misread(text: str, encoding: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode(encoding, "replace")


def _characters_were_replaced(source: str, target: str) -> bool:
    """Characters beyond ASCII became question marks, one each, or replacement characters, one or more each."""
    if len(source) == len(target):
        return all(a == b or (b in _REPLACEMENTS and not a.isascii()) for a, b in zip(source, target, strict=True))
    return "\ufffd" in target and _ascii(source) == _ascii(target)


def _ascii(text: str) -> str:
    return text.encode("ascii", "ignore").decode("ascii")


def _plain_letters(text: str) -> str:
    return _ascii(unicodedata.normalize("NFKD", text))


_PATTERNS: tuple[tuple[Cause, Callable[[Normal, Normal], bool]], ...] = (
    (Cause.TRUNCATION, _is_truncated),
    (Cause.ENCODING, _is_encoded_otherwise),
    (Cause.TIME_ZONE_SHIFT, _is_in_another_zone),
    (Cause.PRECISION, _is_less_precise),
)
