"""How one domain stands in this process: its route, until when it may be trusted, and the writes in flight under it."""

from __future__ import annotations

import asyncio
import threading

from midflight.clock import seconds
from midflight.core.phase import Stage
from midflight.core.routing import Route
from midflight.gateway.floors import Floors
from midflight.records import Beat


class Flight:
    """A write in flight: the route it obeys from its first look to its end."""

    __slots__ = ("_standing", "route", "since")

    def __init__(self, standing: Standing, route: Route) -> None:
        self._standing = standing
        self.route = route
        self.since = seconds()

    def land(self) -> bool:
        """The write has ended; whether somebody waits for that: a newer route is known, and this was the last older

        one. Repeating is safe.
        """
        return self._standing.end(self)


class Standing:
    """One lock around the route and the writes: whoever looks at the route is in flight before the next beat is taken.

    Otherwise a hold could be acknowledged between a write's look at the route and its entry here.
    """

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.floors = Floors(domain)
        self._lock = threading.Lock()
        self._flights: set[Flight] = set()
        self._known: tuple[Route | None, float] = (None, 0.0)
        self._registered_until = 0.0
        self._news = asyncio.Event()

    @property
    def route(self) -> Route | None:
        """The last route that may have been trusted, however old."""
        return self._known[0]

    @property
    def trusted(self) -> Route | None:
        """The route, while the lease lasts."""
        route, until = self._known
        return route if seconds() < until else None

    def enter(self) -> Flight | None:
        """A write begins under the route; None while the route is not trusted or writes are held."""
        with self._lock:
            route = self.trusted
            return None if route is None or route.stage is Stage.HOLD else self._begin(route)

    def enter_unled(self) -> Flight:
        """A write begins although the lease has run out: somebody has just seen that the source is not fenced."""
        with self._lock:
            route = self.route
            assert route is not None
            return self._begin(route)

    def end(self, flight: Flight) -> bool:
        """See `Flight.land`."""
        with self._lock:
            if flight not in self._flights:
                return False
            self._flights.remove(flight)
            route = self.route
            assert route is not None
            if flight.route.revision >= route.revision:
                return False
            return all(other.route.revision >= route.revision for other in self._flights)

    def beat(self, instance: str, lease_seconds: float) -> Beat:
        """What to tell the ledger: the revision obeyed from now on, and the oldest write in flight."""
        with self._lock:
            seen = self.route.revision if self.route else 0
            oldest = min(self._flights, key=lambda flight: (flight.route.revision, flight.since), default=None)
        if oldest is None:
            return Beat(instance, seen, lease_seconds)
        return Beat(instance, seen, lease_seconds, oldest.route.revision, seconds() - oldest.since)

    def adopt(self, route: Route, asked_at: float, lease_seconds: float) -> bool:
        """A poll that was sent at `asked_at` has brought this route; whether the ledger should hear of it at once.

        A lease counts from before the request. It begins to count only with the second poll: the controller may have
        looked for instances just before the first one registered us (or found us again after a lease had run out).
        """
        registered = asked_at < self._registered_until
        self._registered_until = asked_at + lease_seconds
        if not registered:
            return True
        with self._lock:
            before, until = self._known
            self._known = (route, asked_at + lease_seconds)
        changed = before is None or before.revision != route.revision
        if before is not None and before.epoch != route.epoch:
            self.floors.clear(route.epoch)
        self.floors.passed(route.applied_mark)
        if changed or seconds() >= until:
            self._tell()
        return changed

    async def news(self, at_most: float) -> None:
        """Wait until the route changes or is trusted again, or the time is over. Only on the engine's loop."""
        news = self._news
        try:
            async with asyncio.timeout(max(0.0, at_most)):
                await news.wait()
        except TimeoutError:
            return

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _begin(self, route: Route) -> Flight:
        flight = Flight(self, route)
        self._flights.add(flight)
        return flight
