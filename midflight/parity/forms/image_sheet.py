"""The rows of a block of documents, table by table, with what the rest column keeps of each of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from midflight.core.outcome import Row
from midflight.parity.forms.image_cells import NoImage
from midflight.parity.forms.rest import Json, part_of

Kept = Sequence[Json | None] | None
"""By row: what is kept of the document or element; None where nothing is kept of any."""
Noted = Sequence[tuple[int, Any]]
_NOTHING: Noted = ()

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Block:
    """All rows of some documents, by table, in order of their primary keys."""

    rows: Sequence[Sequence[Row]]
    unclear: set[Any] = field(default_factory=set)
    """Root keys of documents with rows that belong to nothing, which no image would show."""


class Sheet:
    """The rows of one table in a block."""

    def __init__(self, block: Block, rows: Sequence[Row], kept: Kept, orders: Mapping[Row, Any]) -> None:
        self.block = block
        self.rows = rows
        self.columns = list(zip(*rows, strict=True))
        self.own = kept
        self.orders = orders
        """The order that is noted for the elements of a map, by what comes before their positions."""
        self._exact: dict[str, list[tuple[int, Any]]] = {}
        for number, one in enumerate(kept or ()):
            if one is not None:
                for path, packed in part_of(one, "$exact").items():
                    self._exact.setdefault(path, []).append((number, packed))

    @classmethod
    def of_root(cls, block: Block, kept: Sequence[Any]) -> Sheet:
        """The rows of the root table; `kept` are the rest column's objects."""
        return cls(block, block.rows[0], _objects(kept), {})

    def exact(self, path: str) -> Noted:
        """The exact values that are kept for the path, by number of row."""
        return self._exact.get(path, _NOTHING)

    def inside(self, table: int, path: str, depth: int) -> Sheet:
        """The rows of the elements that this path has; their first `depth` cells say to which row each belongs."""
        rows, kept = self.block.rows[table], {}
        for row, one in zip(self.rows, self.own or (), strict=False):
            if one is not None and (of_elements := part_of(part_of(one, "$children"), path)):
                kept[row[:depth]] = of_elements
        if not kept:
            return Sheet(self.block, rows, None, {})
        own = [kept.get(row[:depth], {}).get(json_name(str(row[depth]))) for row in rows]
        orders = {outer: of_elements["$order"] for outer, of_elements in kept.items() if "$order" in of_elements}
        return Sheet(self.block, rows, _objects(own), orders)


def json_name(name: str) -> str:
    """A document's name as it stands in the rest column."""
    return f"${name}" if name[:1] == "$" else name


def in_order(order: Any, names: Iterable[T]) -> Sequence[T]:
    """The order that is noted, if it names all that is there and nothing else. NoImage."""
    there = set(names)
    if type(order) is not list or len(order) != len(there) or set(order) != there:
        raise NoImage("the order that is noted is of other names")
    return order


def _objects(kept: Sequence[Any]) -> Kept:
    if any(one is not None and type(one) is not dict for one in kept):
        raise NoImage("what is kept is no object")
    return kept if any(one is not None for one in kept) else None
