"""What operators do, and what loses nothing: a pause in the backfill, and rollbacks from the ramp and the target."""

from __future__ import annotations

import asyncio
from typing import Protocol

from demo.auditor import Auditor
from demo.traveller import PATIENCE_SECONDS, Stuck, Traveller
from midflight.contracts.domain import DomainState
from midflight.core.phase import Phase, Stage

STAND_STILL_SECONDS = 2.0
TRY_SECONDS = 2.0


class Stunt(Protocol):
    """Done once, when its moment has come."""

    def is_due(self, traveller: Traveller) -> bool:
        """Whether its moment has come."""

    async def perform(self, traveller: Traveller) -> None:
        """Do it, and see that it worked."""


class PauseInBackfill:
    """Pause in the middle of the copy, see that it stands still, go on from the committed place, faster."""

    def is_due(self, traveller: Traveller) -> bool:
        """Something is copied, and something is not."""
        return traveller.state.phase is Phase.BACKFILL and traveller.copied > 0

    async def perform(self, traveller: Traveller) -> None:
        """Pause, compare, resume."""
        await traveller.pause("a busy hour")
        traveller.say(f"[yellow]paused[/yellow] in the backfill at {traveller.copied:,} documents")
        await asyncio.sleep(STAND_STILL_SECONDS / 2)
        before = await self._copied(traveller)
        await asyncio.sleep(STAND_STILL_SECONDS / 2)
        if (after := await self._copied(traveller)) != before:
            raise Stuck(f"{after - before} documents were copied during the pause")
        await traveller.hurry("the busy hour is over")
        await traveller.resume("the busy hour is over")
        traveller.say(f"[green]resumed[/green] from {after:,} documents, without a rate limit")

    async def _copied(self, traveller: Traveller) -> int:
        state = await traveller.look()
        if state.phase is not Phase.BACKFILL:
            raise Stuck(f"the pause came too late, it is in {state.phase}")
        return traveller.copied


class RollBackFromRamp:
    """Take a ramp back to the backfill, and start again."""

    def is_due(self, traveller: Traveller) -> bool:
        """Some reads come from the target."""
        state = traveller.state
        return state.phase is Phase.RAMP and state.stage is Stage.RAMP and state.reads_percent > 0

    async def perform(self, traveller: Traveller) -> None:
        """Roll back, wait until it stands there, resume."""
        percent = traveller.state.reads_percent
        await traveller.roll_back(Phase.BACKFILL, "the shop's owner wants to look at the numbers once more")
        await traveller.until(_stands_rolled_back, "the rollback")
        traveller.say(f"[yellow]rolled back[/yellow] from ramp ({percent:g} % of reads) to backfill")
        await traveller.resume("the numbers are right")
        traveller.say("[green]started again[/green] from backfill")


class RollBackFromTarget:
    """Give the authority back to the source after the application has written to the target, and go there again."""

    def __init__(self, auditor: Auditor, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._auditor, self._patience = auditor, patience_seconds

    def is_due(self, traveller: Traveller) -> bool:
        """The target is in charge."""
        return traveller.state.phase is Phase.SOAK and traveller.state.stage is Stage.TARGET

    async def perform(self, traveller: Traveller) -> None:
        """Write there for a while, compare both stores, roll back, resume."""
        await asyncio.sleep(TRY_SECONDS)
        await self._auditor.look("at the target", both=True)
        await traveller.roll_back(Phase.RAMP, "the month's report has not been adapted yet")
        await traveller.until(_stands_before_the_ramp, "the way back", self._patience)
        traveller.say("[yellow]rolled back[/yellow] from target to ramp: MongoDB is in charge again")
        self._auditor.shop.start_tiers_again()
        await traveller.resume("the report is adapted")
        traveller.say("[green]started again[/green] from ramp")


def _stands_rolled_back(state: DomainState) -> bool:
    return state.phase is Phase.BACKFILL and state.state == "rolled_back"


def _stands_before_the_ramp(state: DomainState) -> bool:
    return state.phase is Phase.RAMP and state.state == "rolled_back"
