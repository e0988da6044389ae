"""Counts the fields of a collection where its documents are: how often each is there, null, and of which BSON type."""

from __future__ import annotations

from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from midflight.core.plan import CollectionMap
from midflight.records import FieldCount


async def census(documents: AsyncCollection[dict[str, Any]], collection: CollectionMap) -> dict[str, FieldCount]:
    """By path."""
    raise NotImplementedError
