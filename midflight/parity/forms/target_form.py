"""Rows of the target as fields: what document they say, written apart from the mapping that made them.

Columns decide every value. What the rest column keeps as exact decides only what a column cannot tell apart: null from
missing, empty from missing, 5.0 from 5; where it says another value than its column it is history. Rows that belong to
an element that is not there are fields of their own, so that they are found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from midflight.core.outcome import Row
from midflight.core.plan import CollectionMap
from midflight.core.tables import tables
from midflight.parity.forms.normal import ORPHAN
from midflight.parity.forms.places import Place, names_of
from midflight.parity.forms.rest import Json, parsed
from midflight.parity.forms.target_level import Elements, Level, Reading
from midflight.parity.records import Normal


class Unreadable(ValueError):
    """The rows cannot be what the plan says; the text says why, and contains no value."""


class TargetForm:
    """Reads the rows of one collection. PlanError for a type or transform that does not exist."""

    def __init__(self, collection: CollectionMap) -> None:
        self.collection = collection
        self._widths = [len(table.columns) for table in tables(collection)]
        self._has_rest = collection.rest is not None
        self._root = Place()
        self._level = Level(collection, 0, count(1))
        self._nested = list(_nested(self._level.children, ()))

    def fields(self, rows: Sequence[Sequence[Row]]) -> dict[str, Normal]:
        """The fields of one document, from its rows in the order of `midflight.core.tables.tables`.

        Values as the reader gives them (jsonb as JSON text). Raises Unreadable.
        """
        if len(rows) != len(self._widths) or len(rows[0]) != 1:
            raise Unreadable("there is not one row in the root table, or a table is missing")
        root = rows[0][0]
        if len(root) != self._widths[0]:
            raise Unreadable("the root table does not have the plan's columns")
        reading = Reading(rows)
        try:
            self._level.read(root, self._root, self._rest(root), reading)
        except RecursionError:
            raise Unreadable("a JSON value is deeper than any document can be") from None
        for chain in self._nested:
            self._note_orphans(chain, reading)
        return reading.fields

    def _rest(self, root: Row) -> Json | None:
        text = root[-1] if self._has_rest else None
        if text is None:
            return None
        try:
            kept = parsed(text)
        except ValueError:
            raise Unreadable("the rest column holds no JSON") from None
        if type(kept) is not dict:
            raise Unreadable("the rest column holds no JSON object")
        return kept

    def _note_orphans(self, chain: Sequence[Elements], reading: Reading) -> None:
        inmost = chain[-1]
        for row in reading.left(inmost.table, inmost.depth - 1):
            place = self._root
            for elements in chain:
                place = place.at(names_of(elements.path))[row[elements.depth]]
            reading.fields[place.path] = ORPHAN


def _nested(children: Sequence[Elements], outer: tuple[Elements, ...]) -> Iterator[tuple[Elements, ...]]:
    """The ways to all tables whose rows belong to elements."""
    for elements in children:
        chain = (*outer, elements)
        if outer:
            yield chain
        yield from _nested(elements.children, chain)
