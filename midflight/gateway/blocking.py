"""The application's library for threads: the same names as `midflight.gateway.aio`, plain functions.

Polling, shadow writes and reports run in one background thread with an event loop of its own; the application's
functions always run in the thread that calls them. What may wait raises GatewayMisused inside a running event loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, cast

from midflight.core.routing import Route
from midflight.gateway.aio import Keys
from midflight.gateway.background import Background, refuse_in_loop
from midflight.gateway.base import BaseGateway, known_route, touch
from midflight.gateway.calls import Twins, name_of, one
from midflight.gateway.calls_sync import Function, read_now, unit_now, write_now
from midflight.gateway.compare import Comparator
from midflight.gateway.overriding import overridden
from midflight.gateway.policy import DEFAULT, Policy

K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")


class Gateway(BaseGateway):
    """What a process of the application opens once. Nothing is opened before `start` or the first call."""

    def __init__(self, *, ledger: str, source: str, instance: str = "", policy: Policy = DEFAULT) -> None:
        """`ledger`: the DSN of the target; `source`: the URI of MongoDB; `instance`: how the ledger lists it."""
        super().__init__(ledger=ledger, source=source, instance=instance, policy=policy)
        self._domains: dict[str, Domain[Any]] = {}
        self._lock = threading.Lock()
        self._background: Background | None = None

    def domain(self, name: str, *, entity: type[K]) -> Domain[K]:  # noqa: ARG002 (K is for the type checker)
        """The handle of a domain whose entity keys are of this type; the same handle each time."""
        return cast("Domain[K]", self._domains.setdefault(name, Domain(self, name)))

    def start(self) -> None:
        """Open connections and begin to poll; does not wait for the ledger. The first call of a domain does it too.

        Repeating is safe; after a fork it starts anew.
        """
        engine = self.background().engine
        for name in list(self._domains):
            engine.standing(name)

    def close(self) -> None:
        """Wait for writes, shadow writes, dark reads and reports (bounded), give up the lease, close connections."""
        refuse_in_loop()
        with self._lock:
            background, self._background = self._background, None
        if background is not None:
            background.close()
            self._engine = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def background(self) -> Background:
        """The engine of this process in its thread, started if need be. GatewayMisused inside a running event loop."""
        refuse_in_loop()
        background = self._background
        if background is not None:
            return background
        with self._lock:
            if self._background is None:
                self._background = Background(self._make_engine, 2 * self._policy.dark_at_once)
                self._engine = self._background.engine
            return self._background

    def _forked(self) -> None:
        super()._forked()
        # Whoever held the lock does not live here.
        self._lock, self._background = threading.Lock(), None


class Domain(Generic[K]):
    """One domain of a gateway. K is the entity key: the member, the account, whoever must see one store."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.name = name
        self._gateway = gateway

    @property
    def route(self) -> Route:
        """The route as it is known now; inside a unit of work the pinned one. NotReady before the first poll."""
        return known_route(self._gateway._engine, self.name)

    def ready(self) -> Route:
        """Wait until the route is known. NotReady after `Policy.start_seconds`."""
        if self.name in overridden:
            return overridden[self.name]
        behind = self._gateway.background()
        return behind.wait(behind.engine.first_route(behind.engine.standing(self.name)))

    def read(
        self,
        *,
        entity: Callable[P, K],
        target: Callable[P, R],
        compare: Comparator[R] | None = None,
        name: str = "",
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate the function that reads from the source; `target` is its twin, with the same parameters.

        `entity` says from the arguments whose data this is. `name` (by default the function's) is how reports call
        it. Raises what the chosen side raises; NotReady while nobody can say which store is in charge.
        """

        def decorate(source: Callable[P, R]) -> Callable[P, R]:
            twins: Twins[Function] = Twins(name_of(source, name), source, target, one(entity), compare=compare)

            @wraps(source)
            def read(*args: P.args, **kwargs: P.kwargs) -> R:
                if self.name in overridden:
                    return cast(R, twins.read_overridden(self.name, args, kwargs))
                behind = self._gateway.background()
                return cast(R, read_now(behind, behind.engine.standing(self.name), twins, args, kwargs))

            return read

        return decorate

    def write(
        self,
        *,
        entities: Callable[P, Iterable[K]],
        target: Callable[P, R],
        keys: Callable[P, Keys] | None = None,
        name: str = "",
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate the function that writes to the source; `target` is its twin, with the same parameters.

        `entities` says whose data changes, `keys` which documents; what only the function knows it tells by `touched`.
        The source function must be atomic, or safe to repeat: it may be refused and done again at the target. Raises
        what the authority's side raises; WritesHeld when a hold outlasts `Policy.park_seconds`; NotReady.
        """

        def decorate(source: Callable[P, R]) -> Callable[P, R]:
            twins: Twins[Function] = Twins(name_of(source, name), source, target, entities, keys)

            @wraps(source)
            def write(*args: P.args, **kwargs: P.kwargs) -> R:
                if self.name in overridden:
                    return cast(R, twins.write_overridden(self.name, args, kwargs))
                behind = self._gateway.background()
                return cast(R, write_now(behind, behind.engine.standing(self.name), twins, args, kwargs))

            return write

        return decorate

    def touched(self, collection: str, *keys: Any) -> None:
        """Inside a write at the source: these documents (`_id`s) were touched. At the target it does nothing."""
        touch(self._gateway._engine, self.name, collection, keys)

    def unit_of_work(self) -> AbstractContextManager[Route]:
        """Pin the route for everything inside; it counts as one write in flight, and waits at its entry while held.

        Its shadow writes are made when it ends. Refused in the middle it raises NotReady: begin it again.
        """
        if self.name in overridden:
            return nullcontext(overridden[self.name])
        behind = self._gateway.background()
        return unit_now(behind, behind.engine.standing(self.name))
