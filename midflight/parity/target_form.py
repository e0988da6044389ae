"""Rows of the target as fields: what document they say, written apart from the mapping that made them."""

from __future__ import annotations

from collections.abc import Sequence

from midflight.core.outcome import Row
from midflight.core.plan import CollectionMap
from midflight.parity.records import Normal


class Unreadable(ValueError):
    """The rows cannot be what the plan says; the text says why, and contains no value."""


class TargetForm:
    """Reads the rows of one collection. PlanError for a type or transform that does not exist."""

    def __init__(self, collection: CollectionMap) -> None:
        self.collection = collection

    def fields(self, rows: Sequence[Sequence[Row]]) -> dict[str, Normal]:
        """The fields of one document, from its rows in the order of `midflight.core.tables.tables`.

        Values as the reader gives them (jsonb as JSON text). Raises Unreadable.
        """
        raise NotImplementedError
