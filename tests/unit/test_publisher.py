"""A publication that is under way when the engine closes is ended, not cut: cut, it could count twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from midflight.core.phase import Stage
from midflight.core.routing import Route, Side
from midflight.gateway.dark import DarkReads
from midflight.gateway.policy import Policy
from midflight.gateway.publisher import Publisher

POLICY = Policy(publish_seconds=0.001)
ROUTE = Route("members", Side.SOURCE, 1, 1, False, Stage.SHADOW, 0, 0)


class SlowLink:
    """Every publication arrives; its answer waits until it is let through."""

    def __init__(self) -> None:
        self.arrived, self.answered, self.skipped = asyncio.Event(), asyncio.Event(), 0
        self.registry = self

    async def publish(self, domain: str, instance: str, reports: list[Any], mismatches: list[Any]) -> None:
        self.skipped += sum(report.shadow_skipped for report in reports)
        self.arrived.set()
        await self.answered.wait()

    async def use(self, work: Callable[[Any], Awaitable[None]], at_most: float) -> None:
        await work(self)

    async def close(self) -> None:
        pass


async def test_what_is_on_its_way_when_the_engine_closes_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    link, reads = SlowLink(), DarkReads(POLICY)
    publisher = Publisher("", "a", reads, POLICY)
    monkeypatch.setattr(publisher, "_link", link)
    reads.shadow_skipped(ROUTE, "put")
    running = asyncio.create_task(publisher.run())
    await link.arrived.wait()
    running.cancel()
    await asyncio.sleep(0)
    link.answered.set()
    with suppress(asyncio.CancelledError):
        await running
    await publisher.close()
    assert link.skipped == 1
