"""The end of the source: an archive that was read back, then drop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from midflight.records import Archived


class MongoArchive:
    """The port `SourceArchive`."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database

    async def archive(self, collection: str, folder: str) -> Archived:
        """Write every document and read it back."""
        raise NotImplementedError

    async def verify(self, archived: Archived, folder: str) -> bool:
        """Whether the archive on disk and the source still both hold exactly this."""
        raise NotImplementedError

    async def drop(self, collections: Sequence[str]) -> None:
        """Drop the collections."""
        raise NotImplementedError
