"""The script of one move: it is attended until it is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from rich.markup import escape

from demo.owners import Owner
from demo.stunts import Stunt
from demo.traveller import LOOK_SECONDS, PERSONS, Stuck, Traveller, described
from midflight.contracts.domain import DomainReport
from midflight.core.phase import Phase
from midflight.core.plan import GateName

DEADLINE_SECONDS = 180.0
CUTOVERS_AGAIN = 2
Visit = tuple[GateName, int]
"""A gate, and how many phases had been entered: the same gate may be come to again."""


async def attend(traveller: Traveller, owner: Owner, task_queue: str) -> DomainReport:
    """Start the move and do all that people do until it is done. Stuck if it cannot be led to its end."""
    pending, seen = owner.stunts, set[Visit]()
    await traveller.start(task_queue)
    deadline, cutovers_left = time.monotonic() + DEADLINE_SECONDS, CUTOVERS_AGAIN
    while (state := await traveller.look()).phase is not Phase.DONE:
        if time.monotonic() > deadline:
            raise Stuck(f"not done after {DEADLINE_SECONDS:g} s. {described(state)}")
        if state.state == "attention":
            cutovers_left = await _try_again(traveller, cutovers_left)
        pending = await _perform(traveller, pending)
        await owner.help(state)
        await _approve(traveller, owner, seen)
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


async def _approve(traveller: Traveller, owner: Owner, seen: set[Visit]) -> None:
    """One person after another, until as many have approved as the gate wants; the owner looks once a visit."""
    gate = traveller.state.gate
    if gate is None or not gate.needs_approval or len(gate.approved_by) >= gate.persons:
        return
    visit = (gate.gate, len(traveller.state.spans))
    if visit not in seen:
        seen.add(visit)
        await owner.look_before(gate.gate)
    await traveller.approve(gate, PERSONS[len(gate.approved_by)])
