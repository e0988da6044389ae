"""Counts the fields of a collection where its rows are."""

from __future__ import annotations

from midflight.core.plan import CollectionMap
from midflight.postgres.session import Connection
from midflight.records import FieldCount


async def census_in(connection: Connection, schema: str, collection: CollectionMap) -> dict[str, FieldCount]:
    """By path."""
    raise NotImplementedError
