"""The script of one move: it is attended until it is done."""

from __future__ import annotations

import asyncio
import time

from rich.markup import escape
from temporalio.service import RPCError

from demo.owners import Owner
from demo.traveller import LOOK_SECONDS, PERSONS, Stuck, Traveller, described
from midflight.contracts.domain import DomainReport
from midflight.core.phase import Phase
from midflight.core.plan import GateName
from midflight.errors import TargetUnavailable

SET_BACK = frozenset({Phase.RAMP, Phase.CUTOVER})
"""Phases that undo themselves, lose nothing by it, and wait for a person."""
AWAY = (RPCError, TargetUnavailable)
"""Somebody restarts Temporal or PostgreSQL: people try again."""
Visit = tuple[GateName, int]
"""A gate, and how many phases had been entered: the same gate may be come to again."""


async def attend(traveller: Traveller, owner: Owner, task_queue: str) -> DomainReport:
    """Start the move and do all that people do until it is done. Stuck if it cannot be led to its end."""
    seen = set[Visit]()
    await traveller.start(task_queue)
    deadline = time.monotonic() + owner.patience_seconds
    while (await traveller.look()).phase is not Phase.DONE:
        if time.monotonic() > deadline:
            raise Stuck(f"not done after {owner.patience_seconds:g} s. {described(traveller.state)}")
        try:
            await _one_look(traveller, owner, seen)
        except AWAY as error:
            traveller.say(f"[yellow]not now[/yellow]: {escape(str(error))}")
        await asyncio.sleep(LOOK_SECONDS)
    if owner.stunts:
        raise Stuck(f"{type(owner.stunts[0]).__name__} never had its moment")
    traveller.say("[bold green]done[/bold green]")
    return await traveller.handle.result()


async def _one_look(traveller: Traveller, owner: Owner, seen: set[Visit]) -> None:
    """What there is to do now."""
    if traveller.state.state == "attention":
        await _try_again(traveller, owner)
    for stunt in [stunt for stunt in owner.stunts if stunt.is_due(traveller)]:
        owner.stunts.remove(stunt)
        await stunt.perform(traveller)
    await owner.help(traveller.state)
    await _approve(traveller, owner, seen)


async def _try_again(traveller: Traveller, owner: Owner) -> None:
    """What missed its deadline or its limits was set back, and an operator tries again; all else is for people."""
    state = traveller.state
    if state.phase not in SET_BACK or not owner.tries_left:
        raise Stuck(f"it needs attention. {described(state)}")
    owner.tries_left -= 1
    traveller.say(f"[yellow]{escape(state.problem)}[/yellow]")
    await traveller.resume("once more")


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
