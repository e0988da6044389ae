"""Compares what the two stores answered: hooks for a team, and a structural comparison where it sets none.

Both sides are *plain* before they are compared: mappings, tuples, sets and atoms, copied, so that nothing the caller
does to its answer changes the comparison. Documents and rows seldom have the same Python types; plain values are
equal where a reader of both would say so: numbers by value, lists and tuples alike, an object by its attributes, a
date without a zone as UTC (so MongoDB's driver gives them). A field that is missing is not a field that is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from copy import deepcopy
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from itertools import islice
from numbers import Number
from typing import Any, Generic, TypeVar

R = TypeVar("R")
AT_MOST = 5
REORDERED_AT_MOST = 100
"""Longer sequences are compared place by place only: to look for the same elements elsewhere is quadratic."""
WHOLE = "(value)"
MISSING = "missing at target"
EXTRA = "extra at target"
VALUE = "different value"
TYPE = "different type"
ORDER = "order"
AWAY = frozenset({"OperationalError", "InterfaceError", "ConnectionFailure", "PoolTimeout", "OSError", "TimeoutError"})
"""Names of the classes under which drivers report that a store is away; theirs and their subclasses'."""


class Comparator(Generic[R]):
    """What a team may say about a comparison; subclass it and override. Arguments always come as (source, target).

    `clean` runs on the caller's path, before the caller has the answer, and only for reads in the sample: keep it
    short. Everything else runs later. An error in a hook never reaches a caller: the comparison counts as unclear.
    """

    def clean(self, value: R) -> Any:
        """What of the answer counts; leave out or round what may differ. The result is compared, and published."""
        return value

    def equal(self, source: Any, target: Any) -> bool:
        """Whether two cleaned, plain values say the same."""
        return same(source, target)

    def ignore(self, source: Any, target: Any) -> bool:  # noqa: ARG002 (a hook)
        """Whether a difference of two cleaned, plain values is known and accepted."""
        return False

    def error_name(self, error: Exception) -> str:
        """Under which name an error is compared; give errors of both drivers that mean the same one name."""
        return type(error).__name__

    def away(self, error: Exception) -> bool:
        """Whether an error says that a store cannot be asked now, and nothing about what it holds."""
        return any(base.__name__ in AWAY for base in type(error).__mro__)


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs: its path, joined by dots, and how it differs."""

    field: str
    cause: str


def same(source: Any, target: Any) -> bool:
    """Whether two plain values say the same."""
    return next(_walk(source, target, ""), None) is None


def differences(source: Any, target: Any) -> tuple[Difference, ...]:
    """The first few fields in which two plain values differ; none where they say the same."""
    return tuple(islice(_walk(source, target, ""), AT_MOST))


def plain(value: Any) -> Any:
    """A copy without ties to the value. Raises what the value's own copying raises (a generator has no copy)."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(plain(inner) for inner in value)
    if isinstance(value, Set):
        return frozenset(value)
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: plain(getattr(value, part.name)) for part in fields(value)}
    dump = getattr(value, "model_dump", None)  # Pydantic, without importing it
    if callable(dump):
        return plain(dump())
    if hasattr(value, "__dict__") and not any("__eq__" in vars(base) for base in type(value).__mro__[:-1]):
        return {name: plain(inner) for name, inner in vars(value).items()}
    return deepcopy(value)


_ATOMS = frozenset({type(None), bool, int, float, str, bytes, Decimal, datetime})


# --- the walk ---------------------------------------------------------------------------------------------------------


def _walk(source: Any, target: Any, path: str) -> Iterator[Difference]:
    if isinstance(source, dict) and isinstance(target, dict):
        yield from _walk_mappings(source, target, path)
    elif isinstance(source, tuple) and isinstance(target, tuple):
        yield from _walk_sequences(source, target, path)
    elif not _equal(source, target):
        yield Difference(path or WHOLE, _cause(source, target, path))


def _walk_mappings(source: dict[Any, Any], target: dict[Any, Any], path: str) -> Iterator[Difference]:
    for name in dict.fromkeys((*source, *target)):
        if name not in target:
            yield Difference(_below(path, name), MISSING)
        elif name not in source:
            yield Difference(_below(path, name), EXTRA)
        else:
            yield from _walk(source[name], target[name], _below(path, name))


def _walk_sequences(source: tuple[Any, ...], target: tuple[Any, ...], path: str) -> Iterator[Difference]:
    pairs = [next(_walk(a, b, ""), None) is None for a, b in zip(source, target, strict=False)]
    if len(source) == len(target) and not all(pairs) and _only_reordered(source, target):
        yield Difference(path or WHOLE, ORDER)
        return
    for place, equal in enumerate(pairs):
        if not equal:
            yield from _walk(source[place], target[place], _below(path, place))
    for place in range(len(pairs), max(len(source), len(target))):
        yield Difference(_below(path, place), MISSING if place < len(source) else EXTRA)


def _only_reordered(source: tuple[Any, ...], target: tuple[Any, ...]) -> bool:
    if len(source) > REORDERED_AT_MOST:
        return False
    left = list(target)
    for one in source:
        place = next((n for n, other in enumerate(left) if same(one, other)), None)
        if place is None:
            return False
        del left[place]
    return True


def _below(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _cause(source: Any, target: Any, path: str) -> str:
    if source is None or target is None:
        # A whole answer of None is an answer that found nothing; a field that is None is a value.
        return VALUE if path else (EXTRA if source is None else MISSING)
    return VALUE if _kind(source) is _kind(target) else TYPE


# --- atoms ------------------------------------------------------------------------------------------------------------


def _equal(source: Any, target: Any) -> bool:
    kind = _kind(source)
    if kind is not _kind(target):
        return False
    as_comparable = _COMPARABLE.get(kind)
    if as_comparable is not None:
        source, target = as_comparable(source), as_comparable(target)
    return bool(source == target) or (source != source and target != target)


def _kind(value: Any) -> type:
    """Values of one kind are compared by value; True is no number, though Python says so."""
    if isinstance(value, bool):
        return bool
    if isinstance(value, Number) or hasattr(value, "to_decimal"):
        return Number
    return next((kind for kind in (str, datetime) if isinstance(value, kind)), type(value))


def _number(value: Any) -> Any:
    """The number as people write it, so that the double 0.1 and the decimal 0.1 are one."""
    if isinstance(value, float):
        return Decimal(repr(float(value)))
    return value.to_decimal() if hasattr(value, "to_decimal") else value


def _moment(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


_COMPARABLE: dict[type, Callable[[Any], Any]] = {Number: _number, datetime: _moment}
