"""Bounded waits: for the tail to pass a mark, for instances to obey a revision, for work that may hang."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from midflight.clock import nap, seconds
from midflight.contracts.tail import Drained
from midflight.errors import DrainTimeout
from midflight.ports import Registry
from midflight.records import InstanceView
from midflight.sync import Bridge

LOOK_EVERY_SECONDS = 0.005
OBEYS_CANCEL_SECONDS = 0.5
"""So long a cancelled statement may take to end; a server that was stopped in the middle of one never answers."""

T = TypeVar("T")


async def drained(bridge: Bridge, within_seconds: float) -> Drained:
    """Write a mark to the source and wait until the tail has passed it, and so everything before it. DrainTimeout."""
    domain, began = bridge.plan.domain, seconds()
    mark = await bridge.source.feed.mark(domain)
    while seconds() - began < within_seconds:
        position = await bridge.target.ledger.position(domain)
        if position is not None and position.mark >= mark:
            return Drained(mark=mark, seconds=round(seconds() - began, 3))
        await nap(LOOK_EVERY_SECONDS)
    raise DrainTimeout(
        f"The tail of {domain} did not pass mark {mark} within {within_seconds:g} s.",
        next_step="See its lag in `status`; let it catch up, then try again.",
    )


async def late_instances(registry: Registry, domain: str, revision: int, within_seconds: float) -> tuple[str, ...]:
    """Wait until every live instance obeys the revision with no older write in flight.

    Returns those that do not when the time is over, by name, with what they do. An instance whose lease runs out
    meanwhile is not waited for any longer: the stores refuse what it may still try.
    """
    began = seconds()
    while True:
        late = [one for one in await registry.instances(domain) if not one.acknowledges(revision)]
        if not late or seconds() - began >= within_seconds:
            return tuple(_lateness(one, revision) for one in late)
        await nap(LOOK_EVERY_SECONDS)


def _lateness(instance: InstanceView, revision: int) -> str:
    if instance.seen_revision < revision:
        return f"{instance.instance}: has not seen revision {revision}, silent for {instance.silent_seconds:.1f} s"
    return f"{instance.instance}: write in flight for {instance.oldest_seconds or 0.0:.1f} s"


async def within(work: Coroutine[Any, Any, T], limit_seconds: float) -> T:
    """The work's result, or TimeoutError. Unlike asyncio's own timeout it does not wait for work that will not end."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_look_at)
    try:
        await asyncio.wait({task}, timeout=limit_seconds)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=OBEYS_CANCEL_SECONDS)
    if task.done() and not task.cancelled():
        return task.result()
    raise TimeoutError


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """The work's result, whoever cancels us meanwhile: for what must not be left half done."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    return task.result()


def _look_at(task: asyncio.Task[Any]) -> None:
    """Nobody may be waiting any more: asyncio would complain of an exception that nobody looked at."""
    if not task.cancelled():
        task.exception()
