"""A level of nesting on the target: the rows of one table as documents, or as elements of an array or map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from midflight.core.outcome import Row
from midflight.core.plan import Child, CollectionMap, FieldMap
from midflight.parity.forms.columns import Reader, reader_of
from midflight.parity.forms.normal import EMPTY_ARRAY, EMPTY_OBJECT, NULL
from midflight.parity.forms.places import Place, names_of, spread
from midflight.parity.forms.rest import Json, exact_of, name_of, part_of, value_of
from midflight.parity.forms.target_back import Back
from midflight.parity.records import Normal

_MOST_BOUND = 5_000
_NOTHING: Json = {}


class Reading:
    """One document being read: its rows by table, and the fields so far."""

    __slots__ = ("_groups", "fields", "rows")

    def __init__(self, rows: Sequence[Sequence[Row]]) -> None:
        self.rows = rows
        self.fields: dict[str, Normal] = {}
        self._groups: dict[int, dict[tuple[Any, ...], list[Row]]] = {}

    def take(self, table: int, outer: tuple[Any, ...]) -> Sequence[Row]:
        """The rows inside the element at these positions; they are given once."""
        if not self.rows[table]:
            return ()
        return self._group(table, len(outer)).pop(outer, ()) if outer else self.rows[table]

    def left(self, table: int, depth: int) -> Iterator[Row]:
        """The rows that no element has taken: what they belong to is not there."""
        if self.rows[table]:
            for rows in self._group(table, depth).values():
                yield from rows

    def _group(self, table: int, depth: int) -> dict[tuple[Any, ...], list[Row]]:
        groups = self._groups.get(table)
        if groups is None:
            groups = self._groups[table] = {}
            for row in self.rows[table]:
                groups.setdefault(tuple(row[1 : depth + 1]), []).append(row)
        return groups


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A field that has a column of its own. `path` is the plan's."""

    path: str
    slot: int
    reader: Reader


@dataclass(frozen=True, slots=True)
class _Bound:
    """A level at one place of the document: where each of its parts stands there."""

    cells: tuple[tuple[int, str, Callable[[Any], Any] | None], ...]
    trees: tuple[tuple[int, Place, Callable[[Any], Any]], ...]
    leaves: dict[str, tuple[_Leaf, Place]]
    backs: tuple[tuple[Back, tuple[Place, ...]], ...]
    children: tuple[tuple[Elements, Place], ...]
    computed: tuple[tuple[int, Place, Callable[[Any], Any] | None], ...]


class Node(dict[str, "Node"]):
    """The names of a document that have homes in columns, and what is mapped inside them."""

    def add(self, names: Sequence[str]) -> None:
        """Note that this field has a home."""
        node = self
        for name in names:
            node = node.setdefault(name, Node())

    def inner_paths(self, prefix: str = "") -> Iterator[str]:
        """The plan's paths of all mapped documents inside, the innermost first."""
        for name, node in self.items():
            if node:
                yield from node.inner_paths(f"{prefix}{name}.")
                yield f"{prefix}{name}"


class Level:
    """Rows of one table to fields. `depth` says how many positions a row has; `tables` numbers the tables inside."""

    def __init__(self, plan: CollectionMap | Child, depth: int, tables: Iterator[int]) -> None:
        self._depth = depth
        slot = 1 + depth
        self._leaves = [*_key(plan), *(_leaf(mapped, slot + n) for n, mapped in enumerate(plan.fields))]
        slot += len(plan.fields)
        self._backs: list[Back] = []
        self._computed: list[tuple[int, str, Reader]] = []
        for transform in plan.transforms:
            if transform.back is not None:
                self._backs.append(Back(transform, slot))
            else:
                specs = enumerate(transform.columns, slot)
                self._computed += [(at, spec.column, reader_of(spec.type)) for at, spec in specs]
            slot += len(transform.columns)
        if isinstance(plan, CollectionMap):
            self._computed += [(at, one.column, reader_of(one.type)) for at, one in enumerate(plan.constants, slot)]
        self.children = [Elements(child, depth + 1, tables) for child in plan.children]
        self._is_whole = any(path == "." for path in self._homes())
        self._node = Node()
        for path in self._homes():
            self._node.add(names_of(path))
        self._documents = list(self._node.inner_paths())
        self._bound: dict[str, _Bound] = {}

    def read(self, row: Row, place: Place, kept: Json | None, reading: Reading) -> None:
        """Put the fields of one row, and of the rows inside it, into the reading."""
        at = self._bound.get(place.path) or self._bind(place)
        fields, before = reading.fields, len(reading.fields)
        _read_cells(row, at, fields)
        exact = part_of(kept, "$exact") if kept else _NOTHING
        for back, places in at.backs:
            back.read(row, places, exact, fields)
        for elements, inner in at.children:
            elements.read(row, inner, kept or _NOTHING, reading)
        if kept:
            self._read_kept(row, place, at, kept, fields)
        if len(fields) == before:
            fields[place.path] = NULL if self._is_whole or exact.get(".", "") is None else EMPTY_OBJECT
        for slot, column, read in at.computed:
            _read_computed(row[slot], column, read, fields)

    # --- what is kept beside the columns ---

    def _read_kept(self, row: Row, place: Place, at: _Bound, kept: Json, fields: dict[str, Normal]) -> None:
        exact = part_of(kept, "$exact")
        for path in exact.keys() & at.leaves.keys():
            leaf, inner = at.leaves[path]
            _read_exact(exact_of(exact[path]), row[leaf.slot], leaf, inner, fields)
        if not self._is_whole:
            _read_unmapped(self._node, place, kept, fields)
        for path in self._documents:
            if exact.get(path, "") is None:
                _unless_there(place.at(names_of(path)).path, NULL, fields)

    # --- places ---

    def _homes(self) -> Iterator[str]:
        yield from (leaf.path for leaf in self._leaves)
        for back in self._backs:
            yield from back.fields
        yield from (child.path for child in self.children)

    def _bind(self, place: Place) -> _Bound:
        leaves = {leaf.path: (leaf, place.at(names_of(leaf.path))) for leaf in self._leaves}
        bound = _Bound(
            cells=tuple((one.slot, at.path, one.reader.read) for one, at in leaves.values() if not one.reader.is_tree),
            trees=tuple(
                (one.slot, at, one.reader.read)
                for one, at in leaves.values()
                if one.reader.is_tree and one.reader.read is not None
            ),
            leaves=leaves,
            backs=tuple((b, tuple(place.at(names_of(path)) for path in b.fields)) for b in self._backs),
            children=tuple((child, place.at(names_of(child.path))) for child in self.children),
            computed=tuple((slot, place.column(column), reader.read) for slot, column, reader in self._computed),
        )
        if len(self._bound) < _MOST_BOUND:
            self._bound[place.path] = bound
        return bound


class Elements:
    """An array or map whose elements are the rows of a child table."""

    def __init__(self, plan: Child, depth: int, tables: Iterator[int]) -> None:
        self.path = plan.path
        self.table = next(tables)
        self.depth = depth
        self._is_map = plan.map is not None
        self._level = Level(plan, depth, tables)

    @property
    def children(self) -> Sequence[Elements]:
        """The arrays and maps inside its elements."""
        return self._level.children

    def read(self, row: Row, place: Place, kept: Json, reading: Reading) -> None:
        """Put the fields of the elements inside this row into the reading.

        An element stands where it comes in the order of positions: gaps between them are no elements.
        """
        rows = reading.take(self.table, tuple(row[1 : self.depth]))
        if not rows:
            self._read_empty(part_of(kept, "$exact"), place, reading.fields)
            return
        depth = self.depth
        inside = part_of(part_of(kept, "$children"), self.path)
        in_order = sorted(rows, key=lambda one: one[depth]) if len(rows) > 1 else rows
        for index, one in enumerate(in_order):
            position = one[depth]
            name = str(position)
            element = part_of(inside, f"${name}" if name[:1] == "$" else name) if inside else None
            self._level.read(one, place[position if self._is_map else index], element, reading)

    def _read_empty(self, exact: Json, place: Place, fields: dict[str, Normal]) -> None:
        packed = exact.get(self.path, "")
        if packed is None:
            fields[place.path] = NULL
        elif packed == ({} if self._is_map else []):
            fields[place.path] = EMPTY_OBJECT if self._is_map else EMPTY_ARRAY


def _key(plan: CollectionMap | Child) -> Iterator[_Leaf]:
    if isinstance(plan, CollectionMap):
        yield _Leaf("_id", 0, reader_of(plan.key.type))


def _leaf(plan: FieldMap, slot: int) -> _Leaf:
    return _Leaf(plan.field, slot, reader_of(plan.type))


def _read_cells(row: Row, at: _Bound, fields: dict[str, Normal]) -> None:
    for slot, path, read in at.cells:
        cell = row[slot]
        if cell is not None:
            fields[path] = cell if read is None else read(cell)
    for slot, place, read in at.trees:
        cell = row[slot]
        if cell is not None:
            spread(read(cell), place, fields)


def _read_computed(cell: Any, place: Place, read: Callable[[Any], Any] | None, fields: dict[str, Normal]) -> None:
    if cell is not None:
        spread(cell if read is None else read(cell), place, fields)


def _read_exact(exact: Any, cell: Any, leaf: _Leaf, place: Place, fields: dict[str, Normal]) -> None:
    """The column has decided the value: what is kept tells null from missing, and 5.0 from 5. The rest is history."""
    if cell is None:
        if exact is None and not leaf.reader.holds_null:
            fields[place.path] = NULL
        return
    kept: dict[str, Normal] = {}
    spread(exact, place, kept)
    fields.update({path: value for path, value in kept.items() if fields.get(path) == value})


def _read_unmapped(node: Node, place: Place, kept: Json, fields: dict[str, Normal]) -> None:
    for name, packed in kept.items():
        own = name_of(name)
        if own is None:
            continue
        if own not in node:
            spread(value_of(packed), place[own], fields)
        elif node[own] and type(packed) is dict:
            _read_unmapped(node[own], place[own], packed, fields)
            _unless_there(place[own].path, EMPTY_OBJECT, fields)


def _unless_there(path: str, value: Normal, fields: dict[str, Normal]) -> None:
    """A document stands for itself only where there is nothing inside it."""
    inside = f"{path}."
    if path not in fields and not any(known.startswith(inside) for known in fields):
        fields[path] = value
