"""Transforms bound to the fields and columns of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from midflight.core.cells import Cell, codec_of, require_time
from midflight.core.column_types import TIMES, parse_type
from midflight.core.mapping_parts import Draft, Misfit, Stored
from midflight.core.plan import ColumnSpec, TransformMap
from midflight.core.residue import names_of, value_at
from midflight.core.transforms import find_transform
from midflight.core.values import MISSING, Unfit, identical


class BoundTransform:
    """One transform at work. `first_slot` is the place of its first column in `Draft.cells`."""

    def __init__(self, plan: TransformMap, first_slot: int) -> None:
        self.fields = plan.fields
        self.goes_back = plan.back is not None
        self._names = [names_of(path) for path in plan.fields]
        self._columns = [_BoundColumn(spec) for spec in plan.columns]
        self._times = [slot for slot, spec in enumerate(plan.columns) if parse_type(spec.type).name in TIMES]
        self._slots = slice(first_slot, first_slot + len(plan.columns))
        self._name = plan.forward
        self._forward = find_transform(plan.forward)
        self._back = find_transform(plan.back) if plan.back else None

    @property
    def columns(self) -> str:
        """Its columns, for people."""
        return ", ".join(column.name for column in self._columns)

    def take(self, body: Any, draft: Draft) -> None:
        """Fill its columns from a document or element; keep what would not come back."""
        values = [value_at(body, names) for names in self._names]
        cells = self._cells(values)
        draft.cells[self._slots] = cells
        if self._back is None:
            return
        for path, value, rebuilt in zip(self.fields, values, self._values(cells), strict=True):
            if not identical(value, rebuilt):
                draft.keep_exact(path, value)

    def give(self, stored: Stored) -> None:
        """Make its fields again. Unfit for times that no document can hold: the functions are not asked about them."""
        cells = list(stored.cells[self._slots])
        for slot in self._times:
            require_time(cells[slot])
        natural = self._values(cells)
        found = stored.found
        exact = [found.exact(p) if found.has_exact(p) else n for p, n in zip(self.fields, natural, strict=True)]
        values = exact if self._lead_to(exact, cells) else natural
        stored.given.update(zip(self.fields, values, strict=True))

    def _cells(self, values: Sequence[Any]) -> list[Cell]:
        made = self._made(values)
        cells = []
        for column, value in zip(self._columns, made, strict=True):
            try:
                cells.append(column.cell(value))
            except Unfit as why:
                raise Misfit(*self._blamed(values), column.name, str(why)) from None
        return cells

    def _made(self, values: Sequence[Any]) -> Sequence[Any]:
        try:
            made = self._forward(*values)
        except Unfit as why:
            raise Misfit(*self._blamed(values), self.columns, str(why)) from None
        except Exception as why:  # a customer's function: its own words could contain the value
            reason = f"the transform {self._name} failed with {type(why).__name__}"
            raise Misfit(*self._blamed(values), self.columns, reason) from None
        if len(self._columns) == 1:
            return (made,)
        if not isinstance(made, tuple) or len(made) != len(self._columns):
            reason = f"the transform {self._name} did not give a tuple of {len(self._columns)} values"
            raise Misfit(*self._blamed(values), self.columns, reason)
        return made

    def _blamed(self, values: Sequence[Any]) -> tuple[str, Any]:
        """The first of its fields that is there."""
        pairs = list(zip(self.fields, values, strict=True))
        return next((pair for pair in pairs if pair[1] is not MISSING), pairs[0])

    def _values(self, cells: Sequence[Cell]) -> Sequence[Any]:
        """What the way back makes of the cells; MISSING for all where it fails, so that the exact values are kept."""
        assert self._back is not None
        try:
            made = self._back(*cells)
            values = (made,) if len(self.fields) == 1 else tuple(made)
            for value in values:
                identical(value, value)
        except Exception:  # a customer's function, or a value that BSON does not have
            return (MISSING,) * len(self.fields)
        return values if len(values) == len(self.fields) else (MISSING,) * len(self.fields)

    def _lead_to(self, values: Sequence[Any], cells: Sequence[Cell]) -> bool:
        try:
            again = self._cells(values)
        except Misfit:
            return False
        return all(map(_BoundColumn.equal, self._columns, again, cells))


class _BoundColumn:
    """A column that a transform fills."""

    def __init__(self, spec: ColumnSpec) -> None:
        self.name = spec.column
        self._codec = codec_of(spec.type)
        self._required = spec.required

    def cell(self, value: Any) -> Cell:
        """What the transform made, as a cell; Unfit if the column does not take it."""
        if value is None or value is MISSING:
            if self._required:
                raise Unfit("the transform gives no value and the column is required")
            return None
        return self._codec.cell(value)

    def equal(self, left: Cell, right: Cell) -> bool:
        """Whether two cells are the same."""
        if left is None or right is None:
            return left is right
        return self._codec.equal(left, right)
