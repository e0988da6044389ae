"""Where two entries differ, field by field."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from operator import is_not

from midflight.parity.forms.canon import digest
from midflight.parity.forms.normal import MISSING, NULL, unreadable
from midflight.parity.records import Entry, FieldDifference, Kind, Normal
from midflight.parity.rules import Rules

WHOLE = "."
"""The path of a difference that concerns the whole entry."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs; which rules were needed; which fields are equal by value only (5 and 5.0), by path."""

    differences: tuple[FieldDifference, ...] = ()
    by_rule: tuple[str, ...] = ()
    type_drift: tuple[str, ...] = ()


_EQUAL = Compared()


def compare(source: Entry, target: Entry, rules: Rules) -> Compared:
    """Compare two entries of one key.

    An entry that cannot be read gives one difference of kind `unreadable`, with the path `.`.
    """
    if source.unreadable or target.unreadable:
        return _unreadable(source, target)
    left, right = source.fields, target.fields
    if left != right:
        return _compared(left, right, rules)
    drift = _drift(left, right)
    return Compared(type_drift=drift) if drift else _EQUAL


def _unreadable(source: Entry, target: Entry) -> Compared:
    left, right = (unreadable(one.unreadable) if one.unreadable else MISSING for one in (source, target))
    return Compared((FieldDifference(WHOLE, Kind.UNREADABLE, left, right),))


def _compared(left: Mapping[str, Normal], right: Mapping[str, Normal], rules: Rules) -> Compared:
    differences, by_rule = [], []
    for path in _differing(left, right):
        source, target = left.get(path, MISSING), right.get(path, MISSING)
        rule = rules.overlooks(path, source, target)
        if rule:
            by_rule.append(rule)
        else:
            differences.append(FieldDifference(path, kind_of(source, target), source, target))
    both = {path: right[path] for path in left if path in right and left[path] == right[path]}
    drift = _drift({path: left[path] for path in both}, both)
    return Compared(_with_order(differences, left, right), tuple(dict.fromkeys(by_rule)), drift)


def _differing(left: Mapping[str, Normal], right: Mapping[str, Normal]) -> Iterator[str]:
    for path, value in left.items():
        if path not in right or right[path] != value:
            yield path
    yield from (path for path in right if path not in left)


def _drift(left: Mapping[str, Normal], right: Mapping[str, Normal]) -> tuple[str, ...]:
    """The paths whose equal values are of different types. Mostly there are none: asked for without a loop."""
    types, others = map(type, left.values()), map(type, map(right.__getitem__, left))
    if not any(map(is_not, types, others)):
        return ()
    return tuple(path for path in left if type(left[path]) is not type(right[path]) and "=" not in path)


# --- kinds ----------------------------------------------------------------------------------------------------------

_FAMILIES: dict[type, str] = {int: "number", float: "number", Decimal: "number", str: "text", datetime: "date"}


def kind_of(source: Normal, target: Normal) -> Kind:
    """How two values that are not equal differ."""
    if source == NULL or target == NULL:
        return Kind.NULL
    if source is MISSING:
        return Kind.EXTRA
    if target is MISSING:
        return Kind.MISSING
    if _UNREADABLE in (_family(source), _family(target)):
        return Kind.UNREADABLE
    return Kind.TYPE if _family(source) != _family(target) and _said(source) == _said(target) else Kind.VALUE


_UNREADABLE = "unreadable"


def _family(value: Normal) -> str:
    return str(value[0]) if type(value) is tuple else _FAMILIES[type(value)]


def _said(value: Normal) -> str:
    """What people would call the same, whatever its type: 5, "5" and 5.0; true and "true"."""
    text = str(value[-1] if type(value) is tuple else value).lower()
    return _AS_DIGITS.get(text) or _as_number(text) or _as_instant(text) or text


_AS_DIGITS = {"true": "1", "false": "0"}


def _as_number(text: str) -> str:
    try:
        return f"{Decimal(text):.40g}".rstrip("0").rstrip(".") if len(text) < 60 else ""
    except ArithmeticError:
        return ""


def _as_instant(text: str) -> str:
    try:
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return ""


# --- elements in another order --------------------------------------------------------------------------------------

# A dot or digit of a name's own has a backslash before it.
_POSITION = re.compile(r"(?<!\\)\.(?=\d+(?:\.|$))")


def _with_order(
    differences: list[FieldDifference], left: Mapping[str, Normal], right: Mapping[str, Normal]
) -> tuple[FieldDifference, ...]:
    """Differences inside an array that has the same elements in another order are of that kind."""
    arrays = {array for difference in differences for array in _arrays_around(difference.path)}
    if not arrays:
        return tuple(differences)
    swapped = tuple(f"{array}." for array in arrays if _elements(left, array) == _elements(right, array))
    return tuple(replace(one, kind=Kind.ORDER) if one.path.startswith(swapped) else one for one in differences)


def _arrays_around(path: str) -> Iterator[str]:
    return (path[: position.start()] for position in _POSITION.finditer(path))


def _elements(fields: Mapping[str, Normal], array: str) -> Counter[bytes]:
    """How often the array has each element, by digest."""
    prefix = f"{array}."
    elements: dict[str, dict[str, Normal]] = {}
    for path, value in fields.items():
        if path.startswith(prefix):
            position, _, inside = path[len(prefix) :].partition(".")
            elements.setdefault(position, {})[inside] = value
    return Counter(map(digest, elements.values()))
