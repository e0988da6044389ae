"""How a run on the two stores of a domain knows that the other one has had the time to follow."""

from __future__ import annotations

from midflight.clock import nap, seconds
from midflight.errors import DrainTimeout
from midflight.sync import Bridge
from midflight.waiting import LOOK_EVERY_SECONDS, drained


class DrainBarrier:
    """Follows whichever tail is at work. Implements `Barrier`."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def passed(self, within_seconds: float) -> bool:
        """Wait until the other store has everything the authority had when this was called; False: it took too long."""
        authority = await self._bridge.target.ledger.authority(self._bridge.plan.domain)
        if authority.authority == "target":
            return await self._written_back(within_seconds)
        try:
            await drained(self._bridge, within_seconds)
        except DrainTimeout:
            return False
        return True

    async def _written_back(self, within_seconds: float) -> bool:
        """Until no mark is pending that was there when this was called, but those that the source refuses."""
        plan, target = self._bridge.plan, self._bridge.target
        last, began = await target.rows.last_token(plan.domain), seconds()
        for entry in plan.collections:
            while (pending := await target.reverse.dirty(plan, entry.collection, 1)) and pending[0].seq <= last:
                if seconds() - began >= within_seconds:
                    return False
                await nap(LOOK_EVERY_SECONDS)
        return True
