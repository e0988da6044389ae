"""What mapping works with: the row being made, the row being read, and single fields in single columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from midflight.core.cells import Cell, Codec
from midflight.core.outcome import Row
from midflight.core.residue import CHILDREN, EXACT, Found, Residue, pack_exact
from midflight.core.values import MISSING, Unfit, identical

Positions = tuple[Any, ...]


class Misfit(Exception):
    """A document cannot be represented: the field, its value (for the name of its type), the column and the reason."""

    def __init__(self, field: str, value: Any, column: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.value = value
        self.column = column
        self.reason = reason

    def inside(self, path: str) -> Misfit:
        """The same, seen from outside the element at `path`."""
        field = path if self.field == "." else f"{path}.{self.field}"
        return Misfit(field, self.value, self.column, self.reason)


class Draft:
    """The row of a document or element in the making. `rows` are the document's rows so far, by table."""

    __slots__ = ("_children", "_exact", "cells", "keys", "rows")

    def __init__(self, rows: tuple[list[Row], ...], keys: Positions, width: int) -> None:
        self.rows = rows
        self.keys = keys
        self.cells: list[Cell] = [None] * width
        self._exact: Residue | None = None
        self._children: Residue | None = None

    def keep_exact(self, path: str, value: Any) -> None:
        """Keep a value that the columns do not give back."""
        if self._exact is None:
            self._exact = {}
        self._exact[path] = pack_exact(value)

    def keep_elements(self, path: str, residues: Residue) -> None:
        """Keep the residues of an array's or map's elements."""
        if self._children is None:
            self._children = {}
        self._children[path] = residues

    def residue(self, fields: Residue | None) -> Residue | None:
        """All that the columns do not say; None if they say it all."""
        if self._exact is None and self._children is None:
            return fields
        whole = {} if fields is None else fields
        if self._exact is not None:
            whole[EXACT] = self._exact
        if self._children is not None:
            whole[CHILDREN] = self._children
        return whole


class Tables:
    """The rows of one document as they came back, by table and by the positions of the outer elements."""

    __slots__ = ("_grouped", "_rows")

    def __init__(self, rows: Sequence[Sequence[Row]]) -> None:
        self._rows = rows
        self._grouped: dict[int, dict[Positions, list[Row]]] = {}

    def of(self, table: int, outer: Positions) -> Sequence[Row]:
        """The rows of a table whose outer elements have these positions."""
        if not outer:
            return self._rows[table]
        if table not in self._grouped:
            self._grouped[table] = self._group(table, len(outer))
        return self._grouped[table].get(outer, ())

    def _group(self, table: int, depth: int) -> dict[Positions, list[Row]]:
        groups: dict[Positions, list[Row]] = {}
        for row in self._rows[table]:
            groups.setdefault(tuple(row[1 : depth + 1]), []).append(row)
        return groups


class Stored:
    """The row of a document or element as it came back. `given` are the fields that transforms gave back, by path."""

    __slots__ = ("cells", "found", "given", "positions", "tables")

    def __init__(self, tables: Tables, positions: Positions, cells: Sequence[Cell], found: Found) -> None:
        self.tables = tables
        self.positions = positions
        self.cells = cells
        self.found = found
        self.given: dict[str, Any] = {}


class Part(Protocol):
    """What the plan says about one name of a document."""

    silent: bool
    """Whether there is nothing to do for a value that is present."""

    def take(self, value: Any, draft: Draft) -> Residue | None:
        """Put the value into the draft; the residue that belongs under the name. Raises Misfit."""

    def give(self, stored: Stored, residue: Any) -> Any:
        """The value again, or MISSING."""

    def lacking(self) -> Leaf | None:
        """The first required column that stays empty when the name is missing."""

    def columns(self) -> str:
        """The columns that it fills, for people."""


class Leaf:
    """One field in one column. `slot` is the column's place in `Draft.cells`."""

    silent = False

    def __init__(self, path: str, slot: int, column: str, codec: Codec, required: bool) -> None:
        self.path = path
        self.slot = slot
        self.column = column
        self.codec = codec
        self.required = required

    def take(self, value: Any, draft: Draft) -> Residue | None:
        """Put the value into its column."""
        cell = self.codec.fast(value)
        draft.cells[self.slot] = self.careful(value, draft) if cell is None else cell
        return None

    def careful(self, value: Any, draft: Draft) -> Cell:
        """The cell for a value that is not of the column's natural type, or does not come back as it is."""
        if value is None:
            if self.path != ".":
                draft.keep_exact(self.path, None)
            return self._empty(value)
        cell = self._cell(value)
        if not self._comes_back(cell, value):
            draft.keep_exact(self.path, value)
        return cell

    def give(self, stored: Stored, residue: Any) -> Any:  # noqa: ARG002  (a column has no residue of its own)
        """The value again: the exact one while it leads to this cell, else what is natural for the column."""
        cell = stored.cells[self.slot]
        if stored.found.has_exact(self.path):
            exact = stored.found.exact(self.path)
            if self._leads_to(exact, cell):
                return exact
        if cell is None:
            # An element is there even where its column is empty.
            return None if self.path == "." else MISSING
        return self.codec.natural(cell)

    def lacking(self) -> Leaf | None:
        """Itself, if required."""
        return self if self.required else None

    def columns(self) -> str:
        """Its column."""
        return self.column

    def misfit_when_missing(self) -> Misfit:
        """The column is required, and the document does not have the field."""
        return Misfit(self.path, MISSING, self.column, "the field is missing and the column is required")

    def _cell(self, value: Any) -> Cell:
        try:
            return self.codec.cell(value)
        except Unfit as why:
            raise Misfit(self.path, value, self.column, str(why)) from None

    def _empty(self, value: Any) -> None:
        if self.required:
            raise Misfit(self.path, value, self.column, "the value is null and the column is required")

    def _comes_back(self, cell: Cell, value: Any) -> bool:
        try:
            return identical(self.codec.natural(cell), value)
        except Unfit:
            return False

    def _leads_to(self, exact: Any, cell: Cell) -> bool:
        if exact is None and not self.codec.holds_null:
            return cell is None
        try:
            return cell is not None and self.codec.equal(self.codec.cell(exact), cell)
        except Unfit:
            return False


class Given:
    """A name whose value is made elsewhere: by a transform's way back, or from the key."""

    silent = True

    def __init__(self, path: str, columns: str) -> None:
        self.path = path
        self._columns = columns

    def take(self, value: Any, draft: Draft) -> Residue | None:  # noqa: ARG002
        """Nothing: whoever makes the value also takes it."""
        return None

    def give(self, stored: Stored, residue: Any) -> Any:  # noqa: ARG002
        """What was made."""
        return stored.given.get(self.path, MISSING)

    def lacking(self) -> Leaf | None:
        """None: the transform says itself what it lacks."""
        return None

    def columns(self) -> str:
        """The columns it is made from."""
        return self._columns
