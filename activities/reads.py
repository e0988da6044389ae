"""Watches what the application's reads show while some of them go to the target; a breach sets them back at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from temporalio import activity

from activities.opened import recorded_plan
from activities.slices import Progress, stop_if_worker_stops, until_paused
from midflight.contracts.cutover import Watched, WatchReads
from midflight.core.breach import breaches
from midflight.core.phase import Stage
from midflight.core.plan import Plan
from midflight.ports import Ledger, Stores
from midflight.records import READS_BREACHED

LOOK_EVERY_SECONDS = 1.0


class ReadActivities:
    """The activity that watches reads."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    @activity.defn
    async def watch_reads(self, request: WatchReads) -> Watched:
        """Look every second until the time is over, the workflow stops it, or reads were set back."""
        progress, found = Progress(request.ref.domain, "watch reads"), list[str]()
        async with until_paused(), self._stores.target(request.ref.target_store) as target:
            watch = _Watch(target.ledger, await recorded_plan(target.ledger, request.ref), found)
            while not found and progress.elapsed < request.seconds:
                progress.beat()
                await _to_its_end(watch.look())
                stop_if_worker_stops()
                await asyncio.sleep(0 if found else LOOK_EVERY_SECONDS)
        over = not found and progress.elapsed >= request.seconds
        return Watched(done=over, seconds=round(progress.elapsed, 1), breaches=tuple(found))


class _Watch:
    """One domain. What became of a breach is read back from the ledger, so that a lost answer changes nothing."""

    def __init__(self, ledger: Ledger, plan: Plan, found: list[str]) -> None:
        self._ledger, self._plan, self._found = ledger, plan, found

    async def look(self) -> None:
        """Set reads back if they break the limits; the reasons go to `found`."""
        domain = self._plan.domain
        evidence = await self._ledger.evidence(domain)
        broken = breaches(evidence.reads, self._plan.limits) if evidence.reads else ()
        if evidence.reads and evidence.stage == Stage.RAMP and broken:
            back_to = round(self._plan.dark_reads.percent * 100)
            await self._ledger.set_back(domain, evidence.reads.revision, back_to, broken)
        if broken or evidence.stage == Stage.DARK_READ:
            self._found.extend(await self._why_set_back())

    async def _why_set_back(self) -> tuple[str, ...]:
        row = await self._ledger.authority(self._plan.domain)
        for entry in reversed(await self._ledger.audit(self._plan.domain)):
            if entry["kind"] == READS_BREACHED:
                still_holds = row.revision == entry["details"]["revision"]
                return tuple(entry["details"]["breaches"]) if still_holds else ()
        return ()


async def _to_its_end(look: Coroutine[Any, Any, None]) -> None:
    """A pause that comes in the middle waits: reads set back without anybody being told would be the worst answer."""
    task = asyncio.create_task(look)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
