"""Sends what reads showed to the ledger, in batches; what could not be sent waits for the next time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

from midflight.gateway.links import Link
from midflight.gateway.observing import Observations, ReadObserver
from midflight.gateway.policy import Policy
from midflight.ports import Target

_log = logging.getLogger(__name__)


class Publisher:
    """One connection, opened with the first report."""

    def __init__(self, dsn: str, instance: str, observer: ReadObserver, policy: Policy) -> None:
        self._link = Link(dsn, policy.lease_seconds)
        self._instance = instance
        self._observer = observer
        self._policy = policy

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await asyncio.sleep(self._policy.publish_seconds)
            await _to_its_end(self._publish())

    async def close(self) -> None:
        """Publish what is left, and close. Call it after `run` has ended."""
        await self._publish()
        await self._link.close()

    async def _publish(self) -> None:
        waiting = self._observer.take()
        try:
            while waiting:
                await self._link.use(partial(self._send, waiting[0]), self._policy.lease_seconds)
                del waiting[0]
        except Exception as error:  # reports never harm the application
            _log.info("reports of reads could not be sent: %s", error)
        finally:
            for observations in waiting:
                self._observer.give_back(observations)

    async def _send(self, news: Observations, target: Target) -> None:
        await target.registry.publish(news.domain, self._instance, news.reports, news.mismatches)


async def _to_its_end(publishing: Coroutine[Any, Any, None]) -> None:
    """Cut in the middle, it could have been committed and be given back as well: everything would count twice."""
    task = asyncio.ensure_future(publishing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
