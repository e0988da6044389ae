"""What instances of the application's library and the ledger say to one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from midflight.core.routing import Route
from midflight.postgres.session import Session
from midflight.records import Beat, InstanceView, ReadMismatch, ReadReport


class PostgresRegistry:
    """Implements `midflight.ports.Registry`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def poll(self, beats: dict[str, Beat]) -> dict[str, Route]:
        """Renew the leases and acknowledge, then the routes."""
        raise NotImplementedError

    async def woken(self, seconds: float) -> bool:
        """Wait until some route has changed."""
        raise NotImplementedError

    async def leave(self, domain: str, instance: str) -> None:
        """The instance ends."""
        raise NotImplementedError

    async def instances(self, domain: str) -> list[InstanceView]:
        """Instances whose lease has not run out."""
        raise NotImplementedError

    async def publish(
        self, domain: str, instance: str, reports: Sequence[ReadReport], mismatches: Sequence[ReadMismatch]
    ) -> None:
        """Append what reads showed."""
        raise NotImplementedError

    async def mismatches(self, domain: str, at_most: int) -> list[dict[str, Any]]:
        """The newest differences."""
        raise NotImplementedError
