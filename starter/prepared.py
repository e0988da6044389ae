"""Waits until the first phase of a move that was just started has found what it can find."""

from __future__ import annotations

import asyncio
import time

from pydantic import BaseModel
from temporalio.client import Client

from midflight.contracts.prepare import FindingView
from midflight.core.phase import Phase
from starter import moves
from starter.exits import NoWorker, ProblemFound
from starter.look import status_of
from starter.moves import Overview

LOOK_EVERY_SECONDS = 0.3
WORKER_SECONDS = 10.0
"""So long a worker may take to begin."""
UNTOUCHED_EVENTS = 2
"""A history of so many events: no worker has seen the workflow yet."""


class Prepared(BaseModel):
    """How `prepare` ended: left, or parked with findings that stand in the way."""

    domain: str
    phase: str = Phase.PREPARE.value
    parked: bool = False
    problem: str = ""
    findings: tuple[FindingView, ...] = ()


async def until_prepared(client: Client, domain: str, within: float) -> Prepared:
    """Wait until phase prepare is left or the move is parked. NoWorker, ProblemFound when that takes too long."""
    began = time.monotonic()
    while True:
        overview = await moves.overview(client, domain)
        if _settled(overview):
            return await _outcome(client, overview)
        waited = time.monotonic() - began
        if waited > min(WORKER_SECONDS, within) and overview.events <= UNTOUCHED_EVENTS:
            raise NoWorker(
                f"{overview.workflow_id} is started, but no worker has taken it up.",
                next_step="Start one (`midflight worker`) with the same task queue; nothing has to be started again.",
            )
        if waited > within:
            raise await _still_preparing(client, domain, within)
        await asyncio.sleep(LOOK_EVERY_SECONDS)


def _settled(overview: Overview) -> bool:
    return overview.phase != Phase.PREPARE or overview.state == "attention" or not overview.is_open


async def _outcome(client: Client, overview: Overview) -> Prepared:
    status = await status_of(client, overview.domain)
    return Prepared(
        domain=overview.domain,
        phase=overview.phase,
        parked=overview.phase == Phase.PREPARE,
        problem=overview.problem,
        findings=status.state.findings if status else (),
    )


async def _still_preparing(client: Client, domain: str, within: float) -> ProblemFound:
    failures = [work.failure for work in await moves.works(client, domain) if work.failure]
    what = f"After {within:g} s the checks of {domain} are not done"
    return ProblemFound(
        f"{what}; it is being tried again: {failures[0]}" if failures else f"{what}.",
        next_step=f"It goes on by itself; `midflight watch {domain}` shows it.",
    )
