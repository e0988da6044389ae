"""Writes documents back to the source while the target is the authority. Protocol section 5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from midflight.records import LateWrite, NotWritten, WriteBack


class MongoReverse:
    """The port `ReverseWriter`."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database

    async def write_back(self, collection: str, changes: Sequence[WriteBack]) -> list[NotWritten]:
        """Each change and its guard in one transaction."""
        raise NotImplementedError

    async def late_writes(self, collection: str, keys: Sequence[bytes]) -> list[LateWrite]:
        """Those of the keys whose document is not what their guard says."""
        raise NotImplementedError

    async def forget_guards(self, collections: Sequence[str]) -> None:
        """Remove the guards of these collections."""
        raise NotImplementedError
