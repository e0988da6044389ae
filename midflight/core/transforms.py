"""Transforms: split, merge and compute. Pure functions of field values, by name.

`forward` gets one value a field (BSON values as the driver decodes them, `MISSING` for a field that is not there) and
gives one value a column: the value itself for one column, a tuple for several, None or MISSING for NULL. `back` goes
the other way, from the columns' values (None for NULL) to field values (MISSING for none). `forward` may raise `Unfit`
with a reason that does not contain the value; any other exception refuses the document with a reason of our own. Where
`back(*forward(*values))` is not identical to the values, they are kept beside the row, so that nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

from midflight.core.values import MISSING, UTC, WIDE, Decimal128, Int64, Unfit, decimal128_of, decimal_of, type_name
from midflight.errors import PlanError

__all__ = ["MISSING", "REGISTRY", "Unfit", "find_transform"]

Transform = Callable[..., Any]

REGISTRY: dict[str, Transform] = {}
"""The transforms that come with Midflight, by name."""


def find_transform(name: str) -> Transform:
    """The transform of this name, or the function `package.module:function`. PlanError if there is none."""
    if ":" in name:
        return _imported(name)
    if name not in REGISTRY:
        known = ", ".join(sorted(REGISTRY))
        raise PlanError(
            f"There is no transform {name!r}.", next_step=f"Use one of {known}, or package.module:function."
        )
    return REGISTRY[name]


def _imported(name: str) -> Transform:
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as why:
        advice = "Check the spelling, and that the worker's environment has the package."
        raise PlanError(f"The transform {name!r} cannot be imported ({type(why).__name__}).", next_step=advice) from why
    if not callable(found):
        raise PlanError(f"The transform {name!r} is not a function.", next_step="Name a function.")
    return found  # type: ignore[no-any-return]


def _register(function: Transform) -> Transform:
    REGISTRY[function.__name__] = function
    return function


def _absent(value: Any) -> bool:
    return value is MISSING or value is None


def _string(value: Any) -> str:
    if type(value) is not str:
        raise Unfit(f"the transform takes a string, this is a {type_name(value)}")
    return value


# --- words ----------------------------------------------------------------------------------------------------------


@_register
def split_words(text: Any) -> tuple[Any, Any]:
    """A text, split at the first space: ("Ada", "King Lovelace")."""
    if _absent(text):
        return None, None
    first, space, others = _string(text).partition(" ")
    return first, others if space else None


@_register
def join_words(first: Any, others: Any) -> Any:
    """Two texts with a space between them; the first alone if there is no second."""
    if _absent(first):
        return MISSING if _absent(others) else _string(others)
    return _string(first) if _absent(others) else f"{_string(first)} {_string(others)}"


@_register
def split_name(name: Any) -> tuple[Any, Any]:
    """A person's full name, split at the last space: ("Ada King", "Lovelace"). One word alone is the first name."""
    if _absent(name):
        return None, None
    first, space, last = _string(name).rpartition(" ")
    return (first, last) if space else (last, None)


@_register
def join_name(first: Any, last: Any) -> Any:
    """First and last name with a space between them."""
    return join_words(first, last)


@_register
def lower(text: Any) -> Any:
    """The text in lower case."""
    return None if _absent(text) else _string(text).lower()


@_register
def upper(text: Any) -> Any:
    """The text in upper case."""
    return None if _absent(text) else _string(text).upper()


@_register
def join_comma(items: Any) -> Any:
    """An array of strings as one text, a comma between them."""
    if _absent(items):
        return None
    if type(items) is not list:
        raise Unfit(f"the transform takes an array of strings, this is a {type_name(items)}")
    return ",".join(map(_string, items))


@_register
def split_comma(text: Any) -> Any:
    """A text, split at its commas, as an array."""
    return MISSING if _absent(text) else _string(text).split(",")


# --- time -----------------------------------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_MILLIS = 1 << 53
_ISO_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)")


def _whole_number(value: Any) -> int:
    kind = type(value)
    if kind is int or kind is Int64:
        return int(value)
    if kind is float and value.is_integer():
        return int(value)
    raise Unfit(f"the transform takes a whole number, this is a {type_name(value)}")


def _since_epoch(millis: int) -> datetime:
    if abs(millis) > _MOST_MILLIS:
        raise Unfit("the time lies outside the years 1 to 9999")
    try:
        return _EPOCH + timedelta(milliseconds=millis)
    except OverflowError:
        raise Unfit("the time lies outside the years 1 to 9999") from None


def _millis(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)


@_register
def epoch_seconds(number: Any) -> Any:
    """Seconds since 1970 as an instant."""
    return None if _absent(number) else _since_epoch(_whole_number(number) * 1000)


@_register
def to_epoch_seconds(instant: Any) -> Any:
    """An instant as whole seconds since 1970."""
    return MISSING if _absent(instant) else _millis(instant) // 1000


@_register
def epoch_millis(number: Any) -> Any:
    """Milliseconds since 1970 as an instant."""
    return None if _absent(number) else _since_epoch(_whole_number(number))


@_register
def to_epoch_millis(instant: Any) -> Any:
    """An instant as milliseconds since 1970."""
    return MISSING if _absent(instant) else Int64(_millis(instant))


@_register
def iso_date(text: Any) -> Any:
    """A text such as 2024-01-31 as a date."""
    if _absent(text):
        return None
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", _string(text), re.ASCII):
        raise Unfit("the string is no date of the form YYYY-MM-DD")
    return _parsed(date.fromisoformat, text)


@_register
def to_iso_date(day: Any) -> Any:
    """A date as a text such as 2024-01-31."""
    return MISSING if _absent(day) else day.isoformat()


@_register
def iso_instant(text: Any) -> Any:
    """A text such as 2024-01-31T08:30:00Z (the time zone is a must) as an instant."""
    if _absent(text):
        return None
    if not _ISO_INSTANT.fullmatch(_string(text)):
        raise Unfit("the string is no time of the form YYYY-MM-DDThh:mm:ss with a time zone")
    return _parsed(datetime.fromisoformat, text)


@_register
def to_iso_instant(instant: Any) -> Any:
    """An instant as a text such as 2024-01-31T08:30:00Z."""
    if _absent(instant):
        return MISSING
    in_utc = instant.astimezone(UTC)
    return in_utc.isoformat(timespec="milliseconds" if in_utc.microsecond else "seconds").replace("+00:00", "Z")


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        raise Unfit("the string is no date of the calendar") from None


# --- money ----------------------------------------------------------------------------------------------------------


@_register
def cents(number: Any) -> Any:
    """A whole number of cents as an amount with two decimal places."""
    return None if _absent(number) else decimal128_of(Decimal(_whole_number(number)).scaleb(-2, WIDE))


@_register
def to_cents(amount: Any) -> Any:
    """An amount as a whole number of cents."""
    if _absent(amount):
        return MISSING
    scaled = (decimal_of(amount) if type(amount) is Decimal128 else Decimal(amount)).scaleb(2, WIDE)
    if scaled != scaled.to_integral_value(context=WIDE):
        raise Unfit("the amount has more than two decimal places")
    return int(scaled)
