"""The keeper of the source's fence: up while the target is the authority, down while the source is.

Handovers see to that themselves. What is left are accidents: a process that slept over a handover and went on with its
own, somebody who changed a validator by hand. A handover that is under way (stage `hold`) is never interfered with.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from midflight.attempt import lower_fence, names
from midflight.clock import nap
from midflight.core.phase import Stage
from midflight.core.routing import Side
from midflight.errors import MidflightError
from midflight.records import AuthorityRow
from midflight.sync import Bridge

LOOK_EVERY_SECONDS = 3.0
RESTORED, LOWERED = "fence_restored", "fence_lowered"

log = structlog.get_logger("midflight.keeper")


@asynccontextmanager
async def keeping(bridge: Bridge) -> AsyncIterator[None]:
    """Look after the fence beside the body. A store that is away is the body's to tell: we look again."""
    task = asyncio.create_task(_keep(bridge))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Keeper:
    """Looks at the authority row and at the fence, and acts where they do not belong together."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._stray_under: AuthorityRow | None = None

    async def look(self) -> None:
        """One look. The row is read first, and again just before something is done: it must not have moved."""
        row = await self._row()
        fenced = await self._bridge.source.fence.fenced(names(self._bridge))
        seen, self._stray_under = self._stray_under, None
        if row.stage is Stage.HOLD:
            return
        if row.authority == Side.TARGET:
            await self._restore(row, set(names(self._bridge)) - fenced)
        elif fenced:
            self._stray_under = row
            # Seen once, it may be the fence of a handover that began after we had read the row.
            if seen == row:
                await self._lower(row, fenced)

    async def _restore(self, row: AuthorityRow, missing: set[str]) -> None:
        if not missing or await self._row() != row:
            return
        bridge = self._bridge
        await bridge.source.fence.raise_fence(names(bridge), bridge.plan.source.application_users)
        await self._tell(RESTORED, missing)

    async def _lower(self, row: AuthorityRow, fenced: set[str]) -> None:
        if await self._row() != row:
            return
        await lower_fence(self._bridge)
        await self._tell(LOWERED, fenced)

    async def _row(self) -> AuthorityRow:
        return await self._bridge.target.ledger.authority(self._bridge.plan.domain)

    async def _tell(self, kind: str, collections: set[str]) -> None:
        domain, details = self._bridge.plan.domain, {"collections": sorted(collections)}
        log.warning(kind, domain=domain, **details)
        await self._bridge.target.ledger.record(domain, kind, "midflight", details)


async def _keep(bridge: Bridge) -> None:
    keeper = Keeper(bridge)
    while True:
        await nap(LOOK_EVERY_SECONDS)
        try:
            await keeper.look()
        except MidflightError as error:
            log.warning("fence_not_looked_at", domain=bridge.plan.domain, error=str(error))
