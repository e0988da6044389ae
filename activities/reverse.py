"""Reverse tail: while the target is in charge, what the application changes there is written back to the source."""

from __future__ import annotations

import asyncio

from temporalio import activity

from activities.opened import opened
from activities.slices import Progress, beating, stop_if_worker_stops, until_paused
from midflight.contracts.reverse import DrainBack, DrainedBack, FollowBack, FollowedBack
from midflight.core.routing import Side
from midflight.ports import Stores
from midflight.reverse import CarriedBack, drained_back, write_back_all
from midflight.sync import Bridge

LOOK_EVERY_SECONDS = 0.1
GATHER_SECONDS = 0.01
"""Between two batches: a mark that a long transaction of the application holds stays pending until that ends."""


class ReverseActivities:
    """The activities of the reverse tail."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    @activity.defn
    async def follow_back(self, request: FollowBack) -> FollowedBack:
        """Write back until the slice is over, the workflow pauses it, or the source is the authority again."""
        tally = _Tally()
        async with until_paused(), opened(self._stores, request.ref) as work:
            await _follow(work, request, tally)
        return tally.followed()

    @activity.defn
    async def drain_back(self, request: DrainBack) -> DrainedBack:
        """Write back until at most `at_most` keys are pending that the source does not refuse, or the time is over."""
        async with opened(self._stores, request.ref) as work, beating(request.ref.domain, "drain what is dirty"):
            return await drained_back(work, request.within_seconds, request.at_most)


class _Tally:
    """Counts of one call; a pause may end it at any moment."""

    def __init__(self) -> None:
        self.carried = CarriedBack()
        self.done = False

    def followed(self) -> FollowedBack:
        c = self.carried
        return FollowedBack(written=c.written, deleted=c.deleted, refused=c.refused, done=self.done)


async def _follow(work: Bridge, request: FollowBack, tally: _Tally) -> None:
    domain = request.ref.domain
    progress = Progress(domain, "reverse tail")
    while progress.elapsed < request.slice_seconds:
        carried = await write_back_all(work, request.batch_size)
        tally.carried += carried
        progress.beat(carried.keys, refused=tally.carried.refused)
        stop_if_worker_stops()
        if not carried.keys and (await work.target.ledger.authority(domain)).authority == Side.SOURCE:
            tally.done = True
            return
        await asyncio.sleep(GATHER_SECONDS if carried.keys else LOOK_EVERY_SECONDS)
