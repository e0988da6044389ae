"""The script of the demonstration: four moves at once, each attended until it is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from rich.markup import escape

from demo.people import QuarantineDesk
from demo.stunts import PauseInBackfill, RollBackFromRamp, Stunt
from demo.traveller import LOOK_SECONDS, Stuck, Traveller, described
from midflight.contracts.domain import DomainReport, DomainState
from midflight.core.phase import Phase, Stage

DEADLINE_SECONDS = 180.0
CUTOVERS_AGAIN = 2
STUNTS: dict[str, tuple[type[Stunt], ...]] = {
    "members": (PauseInBackfill,),
    "merchants": (RollBackFromRamp,),
}
WAIVED_FROM = frozenset({Phase.DARK_READ, Phase.RAMP, Phase.CUTOVER})
"""Phases in which people look at the quarantine: the application's errors are mended by then."""


async def attend(traveller: Traveller, desk: QuarantineDesk, task_queue: str) -> DomainReport:
    """Start the move and do all that people do until it is done. Stuck if it cannot be led to its end."""
    pending: list[Stunt] = [stunt() for stunt in STUNTS.get(traveller.domain, ())]
    await traveller.start(task_queue)
    deadline, cutovers_left = time.monotonic() + DEADLINE_SECONDS, CUTOVERS_AGAIN
    while (state := await traveller.look()).phase is not Phase.DONE:
        if time.monotonic() > deadline:
            raise Stuck(f"not done after {DEADLINE_SECONDS:g} s. {described(state)}")
        if state.state == "attention":
            cutovers_left = await _try_again(traveller, cutovers_left)
        pending = await _perform(traveller, pending)
        await _help(traveller, desk, state)
        await asyncio.sleep(LOOK_SECONDS)
    if pending:
        raise Stuck(f"{type(pending[0]).__name__} never had its moment")
    traveller.say("[bold green]done[/bold green]")
    return await traveller.handle.result()


async def _try_again(traveller: Traveller, left: int) -> int:
    """A cutover that missed its deadline was undone, and an operator tries again; all else is for people to look at."""
    state = traveller.state
    if state.phase is not Phase.CUTOVER or not left:
        raise Stuck(f"it needs attention. {described(state)}")
    traveller.say(f"[yellow]{escape(state.problem)}[/yellow]")
    await traveller.resume("the cutover was undone: once more")
    return left - 1


async def _perform(traveller: Traveller, pending: Sequence[Stunt]) -> list[Stunt]:
    """Those stunts whose moment has not come yet."""
    left: list[Stunt] = []
    for stunt in pending:
        if stunt.is_due(traveller):
            await stunt.perform(traveller)
        else:
            left.append(stunt)
    return left


async def _help(traveller: Traveller, desk: QuarantineDesk, state: DomainState) -> None:
    if state.phase in WAIVED_FROM and state.stage not in (Stage.SHADOW, Stage.HOLD, Stage.TARGET):
        await desk.work()
    gate = state.gate
    if gate is not None and gate.needs_approval and state.approval is None:
        await traveller.approve(gate)
