"""Dirty marks: which keys the application changed at the target. Protocol section 5."""

from __future__ import annotations

from collections.abc import Sequence

from midflight.core.outcome import FeedPosition
from midflight.core.plan import Plan
from midflight.postgres.session import Session
from midflight.records import DirtyKey, LateWrite


class PostgresReverse:
    """Implements `midflight.ports.ReverseStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def dirty(self, plan: Plan, collection: str, at_most: int) -> list[DirtyKey]:
        """Pending keys, marks and rows in one snapshot."""
        raise NotImplementedError

    async def written_back(self, domain: str, collection: str, keys: Sequence[tuple[object, int]]) -> None:
        """Each key is written back up to that seq."""
        raise NotImplementedError

    async def refuse(self, domain: str, collection: str, row_key: object, seq: int, reason: str) -> None:
        """The source refuses this image of the key."""
        raise NotImplementedError

    async def pending(self, domain: str) -> tuple[int, int]:
        """How many keys are pending, and how many of them the source refuses."""
        raise NotImplementedError

    async def retry_refused(self, domain: str) -> int:
        """Make the refused ones pending again."""
        raise NotImplementedError

    async def late(self, plan: Plan, position: FeedPosition, writes: dict[str, list[LateWrite]]) -> None:
        """Move the tail's position, quarantine late writes, mark their keys dirty."""
        raise NotImplementedError
