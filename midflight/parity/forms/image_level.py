"""A level of nesting in images: all rows of one table in a block at once, as documents or as elements, in BSON.

Names of fields are the bytes that BSON has for them, with the zero at their end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from midflight.core.outcome import Row
from midflight.core.plan import Child, CollectionMap
from midflight.parity.forms.image_cells import (
    ARRAY,
    NULL,
    OBJECT,
    NoImage,
    bson_name,
    documents,
    element,
)
from midflight.parity.forms.image_fields import Part, Residues, cells_of
from midflight.parity.forms.image_sheet import Sheet, in_order, json_name
from midflight.parity.forms.places import names_of
from midflight.parity.forms.rest import Json, name_of, value_of

_EMPTY = documents([b""])[0]
_INDEXES = [b"%d\0" % index for index in range(1_000)]


class _Node:
    """A document with fields that have homes of their own. `usual` are names in their natural order."""

    def __init__(self, path: str = "", usual: Sequence[str] = ()) -> None:
        self.parts: dict[str, Part] = {}
        self._path = path
        self._usual = {name: place for place, name in enumerate(usual)}
        self._last: tuple[int, int, bytes] = (0, -1, b"")
        """Where the last part stands: unmapped names beyond it are just added."""

    def seal(self) -> None:
        """Called once all parts are there: brings them into natural order."""
        for name, part in self.parts.items():
            self._usual.setdefault(name, len(self._usual))
            if isinstance(part, _Node):
                part.seal()
        self.parts = {name: self.parts[name] for name in sorted(self.parts, key=self._place)}
        self._last = max(map(self._place, self.parts), default=self._last)

    def elements(self, name: bytes, sheet: Sheet, residues: Residues) -> list[bytes]:
        """There is no document where nothing of it is left, unless it was empty, or null."""
        bodies, head = self.fields(sheet, residues), OBJECT + name
        written = [head + document if body else b"" for body, document in zip(bodies, documents(bodies), strict=True)]
        for number, packed in sheet.exact(self._path):
            if packed is None and not bodies[number]:
                written[number] = NULL + name
        for number, residue in enumerate(residues or ()):
            if type(residue) is dict and not bodies[number]:
                written[number] = head + _EMPTY
        return written

    def fields(self, sheet: Sheet, residues: Residues) -> list[bytes]:
        """By row: the elements of all its fields."""
        columns = {
            # Only documents have anything of their own under their name.
            name: part.elements(bson_name(name), sheet, _under(name, residues) if type(part) is _Node else None)
            for name, part in self.parts.items()
        }
        bodies = list(map(b"".join, zip(*columns.values(), strict=True))) if columns else [b""] * len(sheet.rows)
        for number, residue in enumerate(residues or ()):
            if residue:
                bodies[number] = self._with_residue(columns, number, bodies[number], residue)
        return bodies

    def _with_residue(self, columns: dict[str, list[bytes]], number: int, body: bytes, residue: Json) -> bytes:
        own = {name: packed for one, packed in residue.items() if (name := name_of(one)) is not None}
        others = {
            name: element(bson_name(name), value_of(packed)) for name, packed in own.items() if name not in self.parts
        }
        if "$order" not in residue and all(self._place(name) > self._last for name in others):
            return body + b"".join(others[name] for name in sorted(others, key=self._place))
        found = {name: column[number] for name, column in columns.items() if column[number]} | others
        names = in_order(residue["$order"], found) if "$order" in residue else sorted(found, key=self._place)
        return b"".join(map(found.__getitem__, names))

    def _place(self, name: str) -> tuple[int, int, bytes]:
        """The usual and mapped names first, others as jsonb orders them."""
        usual = self._usual.get(name)
        if usual is not None:
            return 0, usual, b""
        raw = name.encode()
        return 1, len(raw), raw


class Level:
    """Rows of one table to documents or elements. `depth` says how many positions a row has."""

    def __init__(self, plan: CollectionMap | Child, depth: int, tables: Iterator[int]) -> None:
        slot = 1 + depth
        self._node = _Node(usual=plan.order)
        self._whole: Part | None = None
        self.tables_inside: list[int] = []
        """The numbers of the tables of all elements inside."""
        if isinstance(plan, CollectionMap):
            self._add("_id", cells_of("_id", 0, plan.key.type))
        for number, mapped in enumerate(plan.fields):
            self._add(mapped.field, cells_of(mapped.field, slot + number, mapped.type))
        for child in plan.children:
            elements = _Elements(child, depth + 1, tables)
            self._add(child.path, elements)
            self.tables_inside += elements.tables
        self._node.seal()

    def documents(self, sheet: Sheet) -> list[bytes]:
        """By row: a whole document."""
        return documents(self._node.fields(sheet, sheet.own))

    def elements(self, sheet: Sheet) -> tuple[list[bytes], list[bytes]]:
        """By row: the type's byte and the payload. An element is there even where its columns are empty."""
        if not sheet.rows:
            # Whatever rows are inside belong to elements that are not there.
            sheet.block.unclear.update(row[0] for table in self.tables_inside for row in sheet.block.rows[table])
            return [], []
        if self._whole is not None:
            whole = self._whole.elements(b"", sheet, None)
            return [one[:1] or NULL for one in whole], [one[1:] for one in whole]
        bodies = self._node.fields(sheet, sheet.own)
        kinds, payloads = [OBJECT] * len(bodies), documents(bodies)
        for number, packed in sheet.exact("."):
            if packed is None and not bodies[number]:
                kinds[number], payloads[number] = NULL, b""
        return kinds, payloads

    def _add(self, path: str, part: Part) -> None:
        names = names_of(path)
        if not names:
            self._whole = part
            return
        node = self._node
        for depth, name in enumerate(names[:-1], 1):
            inner = node.parts.setdefault(name, _Node(".".join(names[:depth])))
            if not isinstance(inner, _Node):
                raise TypeError(f"the field `{path}` has two homes")
            node = inner
        node.parts[names[-1]] = part


class _Elements:
    """An array or map whose elements are the rows of a child table."""

    def __init__(self, plan: Child, depth: int, tables: Iterator[int]) -> None:
        self._path = plan.path
        self._table = next(tables)
        self._depth = depth
        self._level = Level(plan, depth, tables)
        self._is_map = plan.map is not None
        self._kind = OBJECT if self._is_map else ARRAY
        self.tables = [self._table, *self._level.tables_inside]
        """The numbers of its table, and of those of all elements inside."""

    def elements(self, name: bytes, sheet: Sheet, residues: Residues) -> list[bytes]:  # noqa: ARG002
        """Whole arrays or maps; where there are no rows, it was empty, or null, or no field."""
        inner = sheet.inside(self._table, self._path, self._depth)
        spans, kinds, payloads = self._spans(inner), *self._level.elements(inner)
        bodies = []
        for row in sheet.rows:
            outer = row[: self._depth]
            span = spans.pop(outer, None)
            bodies.append(b"" if span is None else self._joined(inner, outer, span, kinds, payloads))
        sheet.block.unclear.update(outer[0] for outer in spans)
        head = self._kind + name
        written = [head + document if body else b"" for body, document in zip(bodies, documents(bodies), strict=True)]
        for number, packed in sheet.exact(self._path):
            if not bodies[number]:
                written[number] = self._empty(name, packed)
        return written

    def _spans(self, inner: Sheet) -> dict[Row, slice]:
        """Where the elements of each array or map are, by what comes before their positions."""
        depth, starts = self._depth, dict[Row, int]()
        before: Row = ()
        for number, row in enumerate(inner.rows):
            outer = row[:depth]
            if outer != before:
                if outer in starts:
                    raise NoImage("the rows are not in their order")
                starts[outer], before = number, outer
        ends = [*starts.values(), len(inner.rows)][1:]
        return {outer: slice(start, end) for (outer, start), end in zip(starts.items(), ends, strict=True)}

    def _joined(
        self, inner: Sheet, outer: Row, span: slice, kinds: Sequence[bytes], payloads: Sequence[bytes]
    ) -> bytes:
        if not self._is_map and not inner.orders and span.stop - span.start <= len(_INDEXES):
            # The usual one, and the most often made: an array of a few elements.
            return b"".join(chain.from_iterable(zip(kinds[span], _INDEXES, payloads[span], strict=False)))
        rows = inner.rows[span]
        elements: Iterable[Sequence[bytes]] = zip(kinds[span], self._names(rows), payloads[span], strict=True)
        if outer in inner.orders:
            if not self._is_map:
                raise NoImage("an order that is noted for an array")
            by_name = {row[self._depth]: one for row, one in zip(rows, elements, strict=True)}
            elements = map(by_name.__getitem__, in_order(inner.orders[outer], by_name))
        return b"".join(chain.from_iterable(elements))

    def _names(self, rows: Sequence[Row]) -> Sequence[bytes]:
        if self._is_map:
            return [bson_name(row[self._depth]) for row in rows]
        return _INDEXES[: len(rows)] if len(rows) <= len(_INDEXES) else [b"%d\0" % index for index in range(len(rows))]

    def _empty(self, name: bytes, exact: Any) -> bytes:
        if exact is None:
            return NULL + name
        return self._kind + name + _EMPTY if exact == ({} if self._is_map else []) else b""


def _under(name: str, residues: Residues) -> Residues:
    if residues is None:
        return None
    packed = json_name(name)
    under = [None if residue is None else residue.get(packed) for residue in residues]
    return under if any(one is not None for one in under) else None
