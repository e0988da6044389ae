"""The engine of one process: connections, the poller, the shadow writer, reports; and the answers that need waiting.

It lives on one event loop: the application's own (`AsyncGateway`), or that of a background thread (`Gateway`).
Nothing here runs on a caller's path but what the caller must wait for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from midflight.clock import seconds
from midflight.core.phase import Stage
from midflight.core.routing import Route, Side
from midflight.errors import NotReady
from midflight.gateway.floors import Floor
from midflight.gateway.looking import Look, look
from midflight.gateway.observing import ReadObserver
from midflight.gateway.policy import Policy
from midflight.gateway.poller import Poller
from midflight.gateway.publisher import Publisher
from midflight.gateway.shadow import ShadowWriter
from midflight.gateway.sources import Sources
from midflight.gateway.standing import Flight, Standing
from midflight.gateway.units import Unit, enter_unit, held, leave_unit

PROBE_SECONDS = 0.25
"""How often those who wait for the ledger look at the fence again."""

CLOSE_SECONDS = 5.0
"""How long closing waits for what is under way."""

_log = logging.getLogger(__name__)


class Engine:
    """Made and used on one running event loop; `standing` and what it returns may be used from any thread."""

    def __init__(self, *, ledger: str, source: str, instance: str, policy: Policy, observer: ReadObserver) -> None:
        self.loop = asyncio.get_running_loop()
        self.policy = policy
        self.observer = observer
        self._standings: dict[str, Standing] = {}
        self._sources = Sources(source)
        self._poller = Poller(ledger, instance, policy, lambda: list(self._standings.values()))
        self._shadow = ShadowWriter(ledger, self._sources, self._poller.plans, policy)
        self._publisher = Publisher(ledger, instance, observer, policy)
        self._aside: set[asyncio.Task[Any]] = set()
        self._under_way: set[object] = set()
        self._marking: dict[str, asyncio.Task[None]] = {}
        runs = (self._poller.run(), self._shadow.run(), self._publisher.run())
        self._runs = [self.loop.create_task(run) for run in runs]

    def standing(self, domain: str) -> Standing:
        """How the domain stands; from now on its route is asked for. Thread-safe."""
        found = self._standings.get(domain)
        if found is None:
            found = self._standings.setdefault(domain, Standing(domain))
            self.call_soon(self._poller.wake)
        return found

    def routes(self) -> dict[str, Route]:
        """The routes known now. Thread-safe."""
        standings = list(self._standings.values())
        return {standing.domain: standing.route for standing in standings if standing.route is not None}

    def call_soon(self, callback: Callable[[], object]) -> None:
        """On the engine's loop, from any thread."""
        self.loop.call_soon_threadsafe(callback)

    # --- routes ---------------------------------------------------------------------------------------------------

    async def first_route(self, standing: Standing) -> Route:
        """The route, once there is one. NotReady after `Policy.start_seconds`."""
        until = seconds() + self.policy.start_seconds
        while standing.route is None:
            if seconds() >= until:
                raise self._not_ready(standing)
            await standing.news(until - seconds())
        return standing.route

    async def look_closely(
        self, standing: Standing, entity: bytes, floor: Floor | None, *, target_fails: bool = False
    ) -> Look:
        """Where a read goes when `look` cannot tell. NotReady after `Policy.park_seconds`."""
        route = await self.first_route(standing)
        until = seconds() + self.policy.park_seconds
        while True:
            if await self._fresh(standing):
                found = look(standing, entity, floor, fresh=True, target_fails=target_fails)
                if found is not None:
                    return found
            route = standing.route or route
            if self._poller.away and await self._source_in_charge(standing, route):
                return Look(route, Side.SOURCE)
            if seconds() >= until:
                raise self._not_ready(standing)
            await standing.news(min(PROBE_SECONDS, until - seconds()))

    async def enter_closely(self, standing: Standing) -> Flight:
        """A write begins when it may. WritesHeld or NotReady after `Policy.park_seconds`."""
        route = await self.first_route(standing)
        until = seconds() + self.policy.park_seconds
        while (flight := standing.enter()) is None:
            trusted, route = standing.trusted, standing.route or route
            if trusted is None:
                if not self._poller.away:
                    await self._poller.fresh()
                elif await self._source_in_charge(standing, route):
                    return standing.enter_unled()
            if seconds() >= until:
                raise held(standing.domain, self.policy.park_seconds) if trusted else self._not_ready(standing)
            # While held, the flip itself wakes us; without a ledger, nobody does.
            await standing.news(until - seconds() if trusted else min(PROBE_SECONDS, until - seconds()))
        return flight

    async def moved(self, standing: Standing, route: Route, side: Side) -> bool:
        """After a store refused a write: whether writes go elsewhere now. NotReady where nobody can say."""
        until = seconds() + self.policy.park_seconds
        while not await self._fresh(standing):
            if side is Side.SOURCE and await self._source_in_charge(standing, route):
                return False
            if seconds() >= until:
                raise self._not_ready(standing)
            await standing.news(min(PROBE_SECONDS, until - seconds()))
        now = standing.route or route
        return now.revision != route.revision or now.stage is Stage.HOLD

    # --- after a write --------------------------------------------------------------------------------------------

    async def follow_up(self, unit: Unit) -> None:
        """Bring what the unit wrote at the source to the target, or remember that it is behind there."""
        if not unit.shadows:
            return
        domain, route = unit.standing.domain, unit.route
        try:
            done = unit.keys_known and await self._shadow.write(domain, unit.documents(), route.revision)
        except asyncio.CancelledError:
            self.fall_behind(unit)
            raise
        if not done:
            self.observe(self.observer.shadow_skipped, route, unit.operation)
            marked = unit.standing.floors.next_mark
            self.fall_behind(unit)
            await _bounded(marked.wait(), self.policy.shadow_seconds)

    def fall_behind(self, unit: Unit) -> None:
        """What the unit wrote may be missing at the target. Thread-safe."""
        if unit.shadows:
            unit.standing.floors.fall(unit.changed, unit.floor, unit.route.epoch, unit.documents())
            self.call_soon(lambda: self._mark(unit.standing))

    def mark_floor(self, standing: Standing, floor: Floor) -> None:
        """Have a mark written for a floor that came without one. Thread-safe."""
        if standing.floors.join(floor):
            self.call_soon(lambda: self._mark(standing))

    @contextmanager
    def during(self, unit: Unit) -> Iterator[None]:
        """The caller is in the unit, or about what follows it: the engine does not close meanwhile. Thread-safe."""
        self._under_way.add(unit)
        enter_unit(unit)
        try:
            yield
        finally:
            self._under_way.discard(unit)

    @contextmanager
    def writing(self, unit: Unit, operation: str, entities: Iterable[bytes]) -> Iterator[int]:
        """A write in the unit; gives what to hand to `Unit.name_keys`. Thread-safe.

        A task may outlive the unit in which it was started: then its write keeps the unit in flight to its end.
        """
        write = object()
        self._under_way.add(write)
        touches = unit.begin_write(operation, entities)
        try:
            yield touches
        finally:
            if not unit.open:
                self.fall_behind(unit)  # nothing follows the unit any more
            if unit.end_write():
                self.call_soon(self._poller.wake)
            self._under_way.discard(write)

    def landed(self, unit: Unit) -> None:
        """The unit has ended: it is not in flight any more, once no write in it is under way. Thread-safe."""
        leave_unit(unit)
        if unit.end():
            self.call_soon(self._poller.wake)

    # --- aside ----------------------------------------------------------------------------------------------------

    def observe(self, tell: Callable[..., Any], *what: Any) -> Any:
        """Tell the observer; its errors are its own. Thread-safe."""
        try:
            return tell(*what)
        except Exception:
            _log.exception("the observer of reads failed")
            return None

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run it aside, on the engine's loop, until the engine closes. Thread-safe."""
        self.call_soon(lambda: self._spawn(work))

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Remember the task until it ends. Only on the engine's loop."""
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def close(self) -> None:
        """Wait (bounded) for writes, marks, dark reads; publish, give up the leases, close every connection."""
        await _bounded(self._ended_all(), CLOSE_SECONDS)
        await self._settled([*self._aside, *self._marking.values()])
        await self.observer.close()
        for run in self._runs:
            run.cancel()
        await asyncio.wait(self._runs)
        await self._publisher.close()
        await self._shadow.close()
        await self._poller.leave()
        await self._sources.close()

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _fresh(self, standing: Standing) -> bool:
        """Whether a poll after this call has brought a route that may be trusted."""
        return not self._poller.away and await self._poller.fresh() and standing.trusted is not None

    async def _source_in_charge(self, standing: Standing, route: Route) -> bool:
        """What the source itself says while the ledger is silent: it is fenced before any flip."""
        known = self._poller.plans.get(standing.domain)
        if route.authority is Side.TARGET or known is None:
            return False
        return not await self._sources.fenced(known.plan)

    def _mark(self, standing: Standing) -> None:
        running = self._marking.get(standing.domain)
        if running is None or running.done():
            self._marking[standing.domain] = self.loop.create_task(standing.floors.mark_them(self._write_mark))

    async def _write_mark(self, domain: str) -> int:
        known = self._poller.plans.get(domain)
        if known is None:
            raise NotReady(f"The plan of {domain} is not known yet.")
        return await (await self._sources.of(known.plan)).feed.mark(domain)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        self.keep(self.loop.create_task(_logged(work)))

    async def _ended_all(self) -> None:
        # They end in any thread, which no asyncio.Event hears of.
        while self._under_way:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def _settled(self, tasks: list[asyncio.Task[Any]]) -> None:
        if tasks:
            await asyncio.wait(tasks, timeout=self.policy.dark_seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _not_ready(self, standing: Standing) -> NotReady:
        why = self._poller.problem or "its lease has run out"
        return NotReady(
            f"Which store is in charge of {standing.domain} is not known: {why}.", next_step="Try again shortly."
        )


async def _logged(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Exception:
        _log.exception("work aside failed")


async def _bounded(wait: Coroutine[Any, Any, Any], at_most: float) -> None:
    try:
        async with asyncio.timeout(at_most):
            await wait
    except TimeoutError:
        return
