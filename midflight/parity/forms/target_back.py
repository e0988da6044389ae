"""Transforms on the way back: fields from the columns that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bson

from midflight.core.column_types import TIMES, parse_type
from midflight.core.literal import literal
from midflight.core.plan import TransformMap
from midflight.core.transforms import MISSING as NO_FIELD
from midflight.core.transforms import find_transform
from midflight.parity.forms.columns import OUTSIDE, reader_of
from midflight.parity.forms.normal import unreadable
from midflight.parity.forms.places import Place, spread
from midflight.parity.forms.rest import Json, exact_of
from midflight.parity.records import Normal

_PLAIN = frozenset({str, bool, type(None), type(NO_FIELD)})


class Back:
    """One transform that gives fields back. `first` is the place of its first column in the row."""

    def __init__(self, plan: TransformMap, first: int) -> None:
        assert plan.back is not None
        self.fields = plan.fields
        self._slots = slice(first, first + len(plan.columns))
        self._columns = [reader_of(spec.type).read for spec in plan.columns]
        self._times = [slot for slot, spec in enumerate(plan.columns) if parse_type(spec.type).name in TIMES]
        self._forward = find_transform(plan.forward)
        self._back = find_transform(plan.back)

    def read(self, row: Sequence[Any], places: Sequence[Place], exact: Json, to: dict[str, Normal]) -> None:
        """Put its fields in. What is kept beside the row counts only as long as it leads to what the columns hold."""
        values = self._read(row[self._slots], exact)
        for place, value in zip(places, values, strict=True):
            if value is not NO_FIELD:
                spread(value, place, to)

    def _read(self, cells: Sequence[Any], exact: Json) -> Sequence[Any]:
        # A customer's function might make something of it that the source has.
        if any(type(cells[slot]) is str for slot in self._times):
            return [OUTSIDE] * len(self.fields)
        values = self._values(cells)
        if values is None or any(path in exact for path in self.fields):
            return self._kept(values, cells, exact)
        return values

    def _kept(self, values: Sequence[Any] | None, cells: Sequence[Any], exact: Json) -> Sequence[Any]:
        natural = [NO_FIELD] * len(self.fields) if values is None else values
        pairs = zip(self.fields, natural, strict=True)
        kept = [exact_of(exact[path]) if path in exact else value for path, value in pairs]
        if self._leads_to(kept, cells):
            return kept
        return [unreadable("the transform's way back fails")] * len(self.fields) if values is None else values

    def _values(self, cells: Sequence[Any]) -> Sequence[Any] | None:
        """What the way back makes of the cells; None where it fails, or makes what no document can hold."""
        try:
            made = self._back(*cells)
            values = [made] if len(self.fields) == 1 else list(made)
            return [_as_stored(value) for value in values] if len(values) == len(self.fields) else None
        except Exception:  # a customer's function
            return None

    def _leads_to(self, values: Sequence[Any], cells: Sequence[Any]) -> bool:
        try:
            made = self._forward(*values)
            again = [made] if len(self._columns) == 1 else list(made)
            return all(map(_same_cell, again, cells, self._columns)) and len(again) == len(cells)
        except Exception:  # a customer's function: it does not take these values
            return False


def _as_stored(value: Any) -> Any:
    """The value as a document holds it: dates have milliseconds there, numbers 64 bits."""
    if type(value) in _PLAIN:
        return value
    # Not the driver's decoder: it would make a DBRef of a document with `$ref`.
    return literal(bson.encode({"": value}))[""]


def _same_cell(made: Any, cell: Any, read: Any) -> bool:
    if made is None or made is NO_FIELD or cell is None:
        return cell is None and (made is None or made is NO_FIELD)
    return _fields_of(made) == _fields_of(cell if read is None else read(cell))


def _fields_of(value: Any) -> dict[str, Normal]:
    fields: dict[str, Normal] = {}
    spread(value, Place(), fields)
    return fields
