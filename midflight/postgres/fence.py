"""Triggers on the target tables: they refuse whom the authority row does not allow, and mark dirty keys."""

from __future__ import annotations

from midflight.core.plan import Plan
from midflight.postgres.session import Session
from midflight.records import FenceView


class PostgresFence:
    """Implements `midflight.ports.TargetFence`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def install(self, plan: Plan) -> None:
        """Fence and dirty marks on every table of the plan."""
        raise NotImplementedError

    async def remove(self, plan: Plan) -> None:
        """Take ours off again."""
        raise NotImplementedError

    async def status(self, plan: Plan) -> list[FenceView]:
        """By table: what is refused and from whom."""
        raise NotImplementedError
