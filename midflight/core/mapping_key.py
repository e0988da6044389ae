"""The key column of a collection's root table: a function of the normalised `_id`."""

from __future__ import annotations

from typing import Any

from midflight.core.cells import Cell, codec_of
from midflight.core.keys import key_bytes, key_value
from midflight.core.mapping_parts import Draft, Misfit
from midflight.core.plan import KeyMap
from midflight.core.residue import Found
from midflight.core.values import InvalidBSON, ObjectId, Unfit, identical

PATH = "_id"


class KeyColumn:
    """Keys to the key column, and back."""

    def __init__(self, plan: KeyMap) -> None:
        self.name = plan.column
        self._codec = codec_of(plan.type)

    def cell(self, key: bytes) -> Cell:
        """The cell of a key. Unfit if the column does not take it."""
        value = key_value(key)
        if value is None:
            raise Unfit("the key is null")
        return self._cell(value)

    def cell_or_none(self, key: bytes) -> Cell | None:
        """The cell of a key; None if the column does not take it."""
        try:
            return self.cell(key)
        except (Unfit, InvalidBSON):
            return None

    def take(self, key: bytes, value: Any) -> Cell:
        """The cell of a document's key, whose `_id` is `value`. Misfit if the column does not take it."""
        try:
            return self._cell(value) if type(value) is ObjectId else self.cell(key)
        except Unfit as why:
            raise Misfit(PATH, value, self.name, str(why)) from None

    def keep_exact(self, cell: Cell, value: Any, draft: Draft) -> None:
        """Keep the `_id` beside the row if the column gives another one back."""
        if type(value) is ObjectId or self._comes_back(cell, value):
            return
        draft.keep_exact(PATH, value)

    def give(self, cell: Cell, found: Found) -> Any:
        """The exact `_id`."""
        if found.has_exact(PATH):
            exact = found.exact(PATH)
            if self._leads_to(exact, cell):
                return exact
        return self._codec.natural(cell)

    def _cell(self, value: Any) -> Cell:
        cell = self._codec.fast(value)
        if cell is None:
            cell = self._codec.cell(value)
        if cell != cell:
            raise Unfit("NaN is no key here: the column type `any` takes it")
        return cell

    def _comes_back(self, cell: Cell, value: Any) -> bool:
        try:
            return identical(self._codec.natural(cell), value)
        except Unfit:
            return False

    def _leads_to(self, exact: Any, cell: Cell) -> bool:
        return self._codec.equal(self.cell_or_none(key_bytes(exact)), cell)
