"""A document or sub-document: which of its names go where, learnt once for each set of names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from midflight.core.cells import Cell
from midflight.core.ejson import ORDER, escape, pack, reordered, unescape, unpack
from midflight.core.mapping_parts import Draft, Leaf, Misfit, Part, Stored
from midflight.core.residue import Residue
from midflight.core.values import MISSING

_MOST_SHAPES = 1_000
"""Documents with ever new names must not fill the memory; those beyond are looked at afresh each time."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What to do with documents that have the same names in the same order."""

    leaves: tuple[tuple[str, int, Callable[[Any], Cell], Leaf], ...]
    others: tuple[tuple[str, Part], ...]
    unmapped: tuple[str, ...]
    order: list[str] | None
    lacking: Leaf | None


class Node:
    """A document, or a sub-document whose fields have homes of their own."""

    silent = False

    def __init__(self, path: str, order: Iterable[str] = ()) -> None:
        self.path = path
        self.parts: dict[str, Part] = {}
        self._usual = {name: place for place, name in enumerate(order)}
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self._in_order: list[tuple[str, Part, Leaf | None]] = []

    def seal(self) -> None:
        """Called once all parts are there."""
        for name in self.parts:
            self._usual.setdefault(name, len(self._usual))
        names = sorted(self.parts, key=self._place)
        self._in_order = [(name, part := self.parts[name], part if isinstance(part, Leaf) else None) for name in names]
        for part in self.parts.values():
            if isinstance(part, Node):
                part.seal()

    # --- to rows ---

    def take(self, value: Any, draft: Draft) -> Residue | None:
        """Take a sub-document apart. Null is kept as an exact value, anything else is a Misfit."""
        if type(value) is dict:
            residue = self.take_fields(value, draft)
            return {} if residue is None and not value else residue
        if value is not None:
            raise Misfit(self.path, value, self.columns(), "a sub-document is expected here")
        self.take_fields({}, draft)
        draft.keep_exact(self.path, None)
        return None

    def take_fields(self, body: dict[str, Any], draft: Draft) -> Residue | None:
        """Take a document apart; its residue, None if there is nothing to keep."""
        names = tuple(body)
        shape = self._shapes.get(names) or self._learn(names)
        if shape.lacking is not None:
            raise shape.lacking.misfit_when_missing()
        cells = draft.cells
        for name, slot, fast, leaf in shape.leaves:
            value = body[name]
            cell = fast(value)
            cells[slot] = leaf.careful(value, draft) if cell is None else cell
        residue: Residue = {}
        for name, part in shape.others:
            inner = part.take(body[name], draft)
            if inner is not None:
                residue[escape(name)] = inner
        for name in shape.unmapped:
            residue[escape(name)] = pack(body[name])
        if shape.order is not None:
            residue[ORDER] = shape.order
        return residue or None

    def lacking(self) -> Leaf | None:
        """The first required column below."""
        return next(filter(None, (part.lacking() for part in self.parts.values())), None)

    def columns(self) -> str:
        """All columns below."""
        return ", ".join(part.columns() for part in self.parts.values())

    def _learn(self, names: tuple[str, ...]) -> _Shape:
        shape = self._shape(names)
        if len(self._shapes) < _MOST_SHAPES:
            self._shapes[names] = shape
        return shape

    def _shape(self, names: tuple[str, ...]) -> _Shape:
        known = [(name, self.parts[name]) for name in names if name in self.parts]
        missing = [part for name, part in self.parts.items() if name not in names]
        return _Shape(
            leaves=tuple((n, p.slot, p.codec.fast, p) for n, p in known if isinstance(p, Leaf)),
            others=tuple((n, p) for n, p in known if not (p.silent or isinstance(p, Leaf))),
            unmapped=tuple(name for name in names if name not in self.parts),
            order=None if sorted(names, key=self._place) == list(names) else list(names),
            lacking=next(filter(None, (part.lacking() for part in missing)), None),
        )

    def _place(self, name: str) -> tuple[int, int, bytes]:
        """Where a name stands in the natural order: the usual and mapped ones first, others as jsonb orders them."""
        usual = self._usual.get(name)
        if usual is not None:
            return 0, usual, b""
        encoded = name.encode()
        return 1, len(encoded), encoded

    # --- from rows ---

    def give(self, stored: Stored, residue: Any) -> Any:
        """The sub-document again; MISSING if nothing of it is left, null if it was null."""
        fields = residue if isinstance(residue, dict) else None
        body = self.give_fields(stored, fields)
        if body or fields is not None:
            return body
        was_null = stored.found.has_exact(self.path) and stored.found.exact(self.path) is None
        return None if was_null else MISSING

    def give_fields(self, stored: Stored, residue: Residue | None) -> dict[str, Any]:
        """The document again, in its order."""
        body: dict[str, Any] = {}
        cells, ordinary = stored.cells, stored.found.nothing_exact
        for name, part, leaf in self._in_order:
            if ordinary and leaf is not None:
                cell = cells[leaf.slot]
                if cell is not None:
                    body[name] = leaf.codec.natural(cell)
                continue
            value = part.give(stored, residue.get(escape(name)) if residue else None)
            if value is not MISSING:
                body[name] = value
        return self._with_residue(body, residue) if residue else body

    def _with_residue(self, body: dict[str, Any], residue: Residue) -> dict[str, Any]:
        unmapped = [name for name in map(unescape, filter(_is_field, residue)) if name not in self.parts]
        for name in unmapped:
            body[name] = unpack(residue[escape(name)])
        names = reordered(sorted(body, key=self._place), residue.get(ORDER, ()))
        return {name: body[name] for name in names}


def _is_field(name: str) -> bool:
    return name[:1] != "$" or name[:2] == "$$"
