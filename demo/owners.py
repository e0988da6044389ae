"""Who looks after a move: what the owner of a domain does while it moves, and looks at before an approval."""

from __future__ import annotations

import asyncio
from typing import Protocol

from demo.auditor import Auditor
from demo.check.run import Place, check
from demo.check.verdict import Verdict
from demo.people import QuarantineDesk
from demo.stunts import PauseInBackfill, RollBackFromRamp, RollBackFromTarget, Stunt
from demo.traveller import Traveller
from examples.loyalty.constrain import constrain
from midflight.contracts.domain import DomainState
from midflight.core.phase import Phase, Stage
from midflight.core.plan import GateName

TRIES = 2
PATIENCE_SECONDS = 180.0
STUNTS: dict[str, tuple[type[Stunt], ...]] = {
    "members": (PauseInBackfill,),
    "merchants": (RollBackFromRamp,),
}
WAIVED_FROM = frozenset({Phase.DARK_READ, Phase.RAMP, Phase.CUTOVER})
"""Phases in which people look at the quarantine: the application's errors are mended by then."""
BOTH_KEPT_FRESH = frozenset({"dark_read", "ramp", "cutover", "retire"})
"""Gates before which each store holds everything; after `retire` the source is left as it was."""


class Owner(Protocol):
    """Looks after one move."""

    stunts: list[Stunt]
    """Not performed yet."""
    tries_left: int
    """How often something that was set back may be tried again."""
    patience_seconds: float
    """How long the whole move may take."""

    async def help(self, state: DomainState) -> None:
        """What people do meanwhile; asked again and again."""

    async def look_before(self, gate: GateName) -> None:
        """What people look at before they approve."""

    def close(self) -> None:
        """No more."""


class DomainOwner:
    """Of one of the four domains: works on the quarantine, and checks every write before the source is dropped."""

    def __init__(self, traveller: Traveller, desk: QuarantineDesk, place: Place) -> None:
        self._traveller, self._desk, self._place = traveller, desk, place
        self.stunts: list[Stunt] = [stunt() for stunt in STUNTS.get(traveller.domain, ())]
        self.tries_left, self.patience_seconds = TRIES, PATIENCE_SECONDS
        self.verdict: Verdict | None = None

    async def help(self, state: DomainState) -> None:
        """Mend and waive, while that matters."""
        if state.phase in WAIVED_FROM and state.stage not in (Stage.SHADOW, Stage.HOLD, Stage.TARGET):
            await self._desk.work()

    async def look_before(self, gate: GateName) -> None:
        """After the last gate there is nothing left to compare with."""
        if gate == "decommission":
            self.verdict = await asyncio.to_thread(check, self._place, self._traveller.domain)
            colour = "green" if self.verdict.ok else "red"
            self._traveller.say(
                f"[{colour}]checked[/{colour}] {self.verdict.acknowledged_writes:,} acknowledged writes, "
                f"{self.verdict.lost_writes} lost"
            )

    def close(self) -> None:
        """Close the journal."""
        self._desk.close()


class ShopOwner:
    """Of the loyalty application: adds what the plan cannot say, goes back once, and has both stores audited."""

    def __init__(self, traveller: Traveller, auditor: Auditor) -> None:
        self._traveller, self._auditor = traveller, auditor
        self.stunts: list[Stunt] = [RollBackFromTarget(auditor)]
        self.tries_left, self.patience_seconds = TRIES, PATIENCE_SECONDS
        self._constrained = False

    async def help(self, state: DomainState) -> None:
        """The team's own constraints, once everything is copied."""
        if state.phase is Phase.DARK_READ and not self._constrained:
            self._constrained = True
            await asyncio.to_thread(self._constrain)

    async def look_before(self, gate: GateName) -> None:
        """Is everything there? Both stores, as long as both are kept fresh."""
        await self._auditor.look(f"before {gate}", both=gate in BOTH_KEPT_FRESH)

    def close(self) -> None:
        """Nothing to close."""

    def _constrain(self) -> None:
        config = self._auditor.shop.config
        constrain(config.postgres, config.schema)
        self._traveller.say("the team's own constraints are in place")
