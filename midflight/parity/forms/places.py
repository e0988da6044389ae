"""Places in documents: the paths of fields, made once, and documents taken apart into fields.

A path joins names by dots; elements of arrays stand under their positions. A document's own name gets a backslash
before each dot and backslash in it, and before it where it could be taken for a position or a computed column (`=`), so
that no two places have one path: `{"a.b": 1}` is `a\\.b`, `{"a": {"0": 1}}` is `a.\\0`, and `{"a": [1]}` is `a.0`.
"""

from __future__ import annotations

from collections.abc import Iterable
from sys import intern
from typing import Any

from midflight.parity.forms.normal import EMPTY_ARRAY, EMPTY_OBJECT, ITSELF, NORMALS
from midflight.parity.records import Normal

_MOST_PLACES = 20_000
"""Documents with ever new names must not fill the memory; places beyond are made afresh each time."""


class Place(dict[str | int, "Place"]):
    """One place; looked up by a name or a position, it gives the place inside."""

    __slots__ = ("_budget", "is_root", "path")

    def __init__(self, path: str = "", budget: list[int] | None = None) -> None:
        super().__init__()
        # Two sides ask for the same paths: equal texts are then the same object, which compares at once.
        self.path = intern(path)
        self.is_root = budget is None
        self._budget = [_MOST_PLACES] if budget is None else budget

    def __missing__(self, key: str | int) -> Place:
        part = str(key) if type(key) is int else escaped(str(key))
        place = Place(part if self.is_root else f"{self.path}.{part}", self._budget)
        if self._budget[0] > 0:
            self._budget[0] -= 1
            self[key] = place
        return place

    def column(self, name: str) -> Place:
        """The place of a computed column: no name of a document's own has this path."""
        return Place(f"={name}" if self.is_root else f"{self.path}.={name}", [0])

    def at(self, keys: Iterable[str | int]) -> Place:
        """The place that these names and positions lead to."""
        place = self
        for key in keys:
            place = place[key]
        return place


def escaped(name: str) -> str:
    """A document's name as a part of a path."""
    if "\\" in name or "." in name:
        name = name.replace("\\", "\\\\").replace(".", "\\.")
    return f"\\{name}" if name.isdigit() or name[:1] == "=" else name


def names_of(path: str) -> tuple[str, ...]:
    """The names that a plan's path goes through; none for `.`, the element itself."""
    return () if path == "." else tuple(path.split("."))


def spread(value: Any, place: Place, fields: dict[str, Normal]) -> None:
    """Put a value into the fields: itself at its place, or what is inside it at theirs."""
    kind = type(value)
    if kind is dict:
        spread_document(value, place, fields)
    elif kind is list:
        _spread_array(value, place, fields)
    else:
        fields[place.path] = value if kind in ITSELF else NORMALS[kind](value)


def spread_document(body: dict[str, Any], place: Place, fields: dict[str, Normal]) -> None:
    """Put a document's fields in; an empty one stands for itself."""
    for name, value in body.items():
        kind = type(value)
        if kind in ITSELF:
            fields[place[name].path] = value
        elif kind is dict or kind is list:
            spread(value, place[name], fields)
        else:
            fields[place[name].path] = NORMALS[kind](value)
    if not body:
        fields[place.path] = EMPTY_OBJECT


def _spread_array(items: list[Any], place: Place, fields: dict[str, Normal]) -> None:
    for index, value in enumerate(items):
        spread(value, place[index], fields)
    if not items:
        fields[place.path] = EMPTY_ARRAY
