"""Residue: what a row's columns do not say of a document, kept as JSON beside them.

A document's residue is an object: its unmapped fields under their own names (nested where a mapped sub-document has
unmapped fields), and three names of ours: `$exact` (path to the exact value, where the columns give another one back),
`$order` (the names of this document in their order, where it is not the natural one) and `$children` (path of an array
or map, then position, to the residue of that element).

The natural order is the plan's, then unmapped names as jsonb orders them. An exact value is believed only as long as it
leads to what the columns hold: after the application changed them it is history, and does no harm. The residue of an
element belongs to its position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from midflight.core.ejson import ORDER, pack, unescape, unpack
from midflight.core.values import MISSING

EXACT = "$exact"
CHILDREN = "$children"

Residue = dict[str, Any]
_NOTHING: Residue = {}
_MISSING = {"$missing": 1}


def pack_exact(value: Any) -> Any:
    """An exact value as data for JSON; that a field was missing can be one too."""
    return dict(_MISSING) if value is MISSING else pack(value)


class Found:
    """What came back from the target for one document or element. What is not of our making counts as nothing."""

    __slots__ = ("_children", "_exact", "fields", "nothing_exact")

    def __init__(self, residue: Any) -> None:
        self.fields: Residue | None = residue if isinstance(residue, dict) else None
        known = _NOTHING if self.fields is None else self.fields
        self._exact = _object(known.get(EXACT))
        self._children = _object(known.get(CHILDREN))
        self.nothing_exact = not self._exact

    def has_exact(self, path: str) -> bool:
        """Whether an exact value was kept for the path."""
        return path in self._exact

    def exact(self, path: str) -> Any:
        """The exact value that was kept for the path."""
        packed = self._exact[path]
        return MISSING if packed == _MISSING else unpack(packed)

    def elements(self, path: str) -> Residue:
        """The residues of an array's or map's elements, by escaped position."""
        return _object(self._children.get(path))


def _object(value: Any) -> Residue:
    return value if isinstance(value, dict) else _NOTHING


NOTHING_FOUND = Found(None)


# --- where there is no rest column ----------------------------------------------------------------------------------


def needs(residue: Residue, body: Any, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """What needs the residue: path, value and reason of each."""
    for name, kept in residue.items():
        if name == EXACT:
            yield from _exact_needs(kept, body, path)
        elif name == CHILDREN:
            yield from _children_needs(kept, body, path)
        elif name == ORDER:
            yield path[:-1] or ".", body, "the names are not in the plan's order"
        else:
            yield from _field_needs(unescape(name), kept, body, path)


def _exact_needs(kept: Residue, body: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    for inner in kept:
        at = path[:-1] if inner == "." else f"{path}{inner}"
        yield at, value_at(body, names_of(inner)), "the column does not give the exact value back"


def _children_needs(kept: Residue, body: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    for inner, elements in kept.items():
        whole = value_at(body, names_of(inner))
        for position, residue in elements.items():
            at = unescape(position)
            if position == ORDER:
                yield f"{path}{inner}", whole, "the names are not in the order of the map's rows"
            else:
                element = whole[int(at)] if isinstance(whole, list) else whole[at]
                yield from needs(residue, element, f"{path}{inner}.{at}.")


def _field_needs(name: str, kept: Any, body: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    value = body[name]
    inside = list(needs(kept, value, f"{path}{name}.")) if isinstance(kept, dict) and isinstance(value, dict) else []
    if inside:
        yield from inside
    else:
        yield f"{path}{name}", value, "the plan maps the field to no column"


def names_of(path: str) -> tuple[str, ...]:
    """The names that a plan's path goes through; none for `.`, the element itself."""
    return () if path == "." else tuple(path.split("."))


def value_at(body: Any, names: tuple[str, ...]) -> Any:
    """The value that the names lead to, MISSING if there is none."""
    for name in names:
        if not isinstance(body, Mapping) or name not in body:
            return MISSING
        body = body[name]
    return body
