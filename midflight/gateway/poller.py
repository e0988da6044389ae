"""Asks the ledger for routes: on time, when woken, and at once when there is something to acknowledge."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from random import uniform

from midflight.clock import seconds
from midflight.core.plan import Plan
from midflight.core.routing import Route
from midflight.errors import MidflightError
from midflight.gateway.links import Link
from midflight.gateway.policy import Policy
from midflight.gateway.standing import Standing
from midflight.ports import Target

AGAIN_SECONDS = 0.1
"""The first wait after a failed poll; doubled up to `Policy.poll_seconds`."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlanInForce:
    """The plan as the ledger recorded it when the route had this revision."""

    plan: Plan
    revision: int


class Poller:
    """One connection, one poll at a time, for all domains together."""

    def __init__(self, dsn: str, instance: str, policy: Policy, standings: Callable[[], list[Standing]]) -> None:
        self._link = Link(dsn, policy.lease_seconds)
        self._instance = instance
        self._policy = policy
        self._standings = standings
        self._wake = asyncio.Event()
        self._next: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._failures = 0
        self.problem = "the ledger has not answered yet"
        self.plans: dict[str, PlanInForce] = {}

    @property
    def away(self) -> bool:
        """Whether the last poll failed."""
        return self._failures > 0

    def wake(self) -> None:
        """Poll now. Only on the engine's loop."""
        self._wake.set()

    async def fresh(self) -> bool:
        """Wait for a poll that began after this call; whether it was answered."""
        if not self.away:  # then it keeps its own time
            self._wake.set()
        return await asyncio.shield(self._next)

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            while True:
                self._wake.clear()
                if not await self._poll():
                    await self._pause()
        finally:
            self._next.set_result(False)

    async def leave(self) -> None:
        """Give up the leases and close. Call it after `run` has ended."""
        try:
            if self._link.up:
                await self._link.use(self._leave, self._policy.lease_seconds)
        except MidflightError as error:
            _log.info("left without word, the leases run out by themselves: %s", error)
        finally:
            await self._link.close()

    async def _poll(self) -> bool:
        """Whether to poll again at once."""
        mine, self._next = self._next, asyncio.get_running_loop().create_future()
        try:
            again = await self._link.use(self._exchange, self._policy.lease_seconds)
        except Exception as error:  # whatever it is, the next poll may succeed, and nobody else would poll
            self._failed(error)
            mine.set_result(False)
            return False
        except asyncio.CancelledError:
            mine.set_result(False)
            raise
        self._answered()
        mine.set_result(True)
        return again

    async def _exchange(self, target: Target) -> bool:
        standings = {standing.domain: standing for standing in self._standings()}
        asked_at, lease = seconds(), self._policy.lease_seconds
        beats = {name: standing.beat(self._instance, lease) for name, standing in standings.items()}
        routes = await target.registry.poll(beats) if beats else {}
        self.problem = (
            "" if len(routes) == len(beats) else f"the ledger does not know {', '.join(beats - routes.keys())}"
        )
        # Nobody gets a route before there is a plan: without it the fence of the source could not be looked at.
        await self._read_plans(target, [route for name, route in routes.items() if name not in self.plans])
        again = [standings[name].adopt(route, asked_at, lease) for name, route in routes.items()]
        if not any(again):
            await self._read_plans(target, list(routes.values()))
            for name, route in routes.items():
                await _prove(target, standings[name], route.applied_mark)
        return any(again)

    async def _read_plans(self, target: Target, routes: list[Route]) -> None:
        """A plan may be replaced while a domain is off; every stage after that has another revision."""
        for route in routes:
            known = self.plans.get(route.domain)
            if known is None or known.revision != route.revision:
                self.plans[route.domain] = PlanInForce(await target.ledger.plan(route.domain), route.revision)

    async def _pause(self) -> None:
        """Until it is time, the application wakes us, or the ledger says that a route has changed."""
        waits: set[asyncio.Future[bool]] = {asyncio.ensure_future(self._sleep())}
        if self._link.up:
            waits.add(asyncio.ensure_future(self._woken()))
        try:
            await asyncio.wait(waits, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)

    async def _sleep(self) -> bool:
        return await self._wake.wait()

    async def _woken(self) -> bool:
        """Where the ledger cannot tell us (a pooler in between), we wait in vain for as long as a pause lasts."""
        patience = self._policy.poll_seconds
        try:
            return await self._link.use(lambda target: target.registry.woken(patience), patience + 1)
        except MidflightError:
            return await asyncio.sleep(patience, True)

    def _patience(self) -> float:
        """Instances started together do not poll together. After a failure sooner, but never in a rush."""
        usual = self._policy.poll_seconds
        longest = min(usual, AGAIN_SECONDS * 2 ** min(self._failures - 1, 8)) if self._failures else usual
        return longest * uniform(0.75, 1.0)

    async def _leave(self, target: Target) -> None:
        for standing in self._standings():
            await target.registry.leave(standing.domain, self._instance)

    def _failed(self, error: Exception) -> None:
        self.problem = str(error)
        if not self._failures:
            _log.warning("the ledger does not answer: %s", error)
        self._failures += 1

    def _answered(self) -> None:
        if self._failures:
            _log.warning("the ledger answers again after %d failed polls", self._failures)
        self._failures = 0


async def _prove(target: Target, standing: Standing, applied_mark: int) -> None:
    """The tail has passed what was behind. What it put in quarantine on its way is not at the target all the same."""
    for collection, keys in standing.floors.unproven(applied_mark).items():
        missing = await target.rows.quarantined_keys(standing.domain, collection, keys)
        standing.floors.proven(collection, set(keys) - missing, applied_mark)
