"""Documents of the source as entries."""

from __future__ import annotations

from midflight.core.plan import CollectionMap
from midflight.parity.records import Entry


class SourceForm:
    """Reads the documents of one collection. PlanError for a transform that does not exist."""

    def __init__(self, collection: CollectionMap) -> None:
        self.collection = collection

    def entry(self, raw: bytes) -> Entry:
        """The entry of one document, from its BSON bytes; `unreadable` where they cannot be told exactly."""
        raise NotImplementedError
