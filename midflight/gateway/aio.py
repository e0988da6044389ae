"""The application's library for asyncio: one `AsyncGateway` a process, one `AsyncDomain` for each domain it uses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import wraps
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, cast

from midflight.core.routing import Route
from midflight.errors import GatewayMisused
from midflight.gateway.base import BaseGateway, known_route, touch
from midflight.gateway.calls import Twins, name_of, one
from midflight.gateway.calls_async import Function, read_now, unit_now, write_now
from midflight.gateway.compare import Comparator
from midflight.gateway.engine import Engine
from midflight.gateway.overriding import overridden
from midflight.gateway.policy import DEFAULT, Policy

K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")
Keys = Mapping[str, Iterable[Any]]
"""By collection: the `_id`s of the documents that a write touched at the source."""


class AsyncGateway(BaseGateway):
    """What a process of the application opens once. Nothing is opened before `start` or the first call."""

    def __init__(self, *, ledger: str, source: str, instance: str = "", policy: Policy = DEFAULT) -> None:
        """`ledger`: the DSN of the target; `source`: the URI of MongoDB; `instance`: how the ledger lists it."""
        super().__init__(ledger=ledger, source=source, instance=instance, policy=policy)
        self._domains: dict[str, AsyncDomain[Any]] = {}

    def domain(self, name: str, *, entity: type[K]) -> AsyncDomain[K]:  # noqa: ARG002 (K is for the type checker)
        """The handle of a domain whose entity keys are of this type; the same handle each time."""
        return cast("AsyncDomain[K]", self._domains.setdefault(name, AsyncDomain(self, name)))

    async def start(self) -> None:
        """Open connections and begin to poll; does not wait for the ledger. The first call of a domain does it too.

        Repeating is safe; after a fork it starts anew.
        """
        engine = self.engine()
        for name in self._domains:
            engine.standing(name)

    async def close(self) -> None:
        """Wait for writes, shadow writes, dark reads and reports (bounded), give up the lease, close connections."""
        engine = self._engine
        if engine is not None:
            await engine.close()
            self._engine = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def engine(self) -> Engine:
        """The engine of this process and loop, started if need be. GatewayMisused on a second loop."""
        engine, loop = self._engine, asyncio.get_running_loop()
        if engine is not None and engine.loop is loop:
            return engine
        if engine is not None and not engine.loop.is_closed():
            raise GatewayMisused(
                "An AsyncGateway belongs to the event loop on which it was first used.",
                next_step="Use the sync Gateway where there are several loops or threads.",
            )
        self._engine = self._make_engine()
        return self._engine


class AsyncDomain(Generic[K]):
    """One domain of a gateway. K is the entity key: the member, the account, whoever must see one store."""

    def __init__(self, gateway: AsyncGateway, name: str) -> None:
        self.name = name
        self._gateway = gateway

    @property
    def route(self) -> Route:
        """The route as it is known now; inside a unit of work the pinned one. NotReady before the first poll."""
        return known_route(self._gateway._engine, self.name)

    async def ready(self) -> Route:
        """Wait until the route is known. NotReady after `Policy.start_seconds`."""
        if self.name in overridden:
            return overridden[self.name]
        engine = self._gateway.engine()
        return await engine.first_route(engine.standing(self.name))

    def read(
        self,
        *,
        entity: Callable[P, K],
        target: Callable[P, Awaitable[R]],
        compare: Comparator[R] | None = None,
        name: str = "",
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Coroutine[Any, Any, R]]]:
        """Decorate the function that reads from the source; `target` is its twin, with the same parameters.

        `entity` says from the arguments whose data this is. `name` (by default the function's) is how reports call
        it. Raises what the chosen side raises; NotReady while nobody can say which store is in charge.
        """

        def decorate(source: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
            twins: Twins[Function] = Twins(name_of(source, name), source, target, one(entity), compare=compare)

            @wraps(source)
            async def read(*args: P.args, **kwargs: P.kwargs) -> R:
                if self.name in overridden:
                    return cast(R, await twins.read_overridden(self.name, args, kwargs))
                engine = self._gateway.engine()
                return cast(R, await read_now(engine, engine.standing(self.name), twins, args, kwargs))

            return read

        return decorate

    def write(
        self,
        *,
        entities: Callable[P, Iterable[K]],
        target: Callable[P, Awaitable[R]],
        keys: Callable[P, Keys] | None = None,
        name: str = "",
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Coroutine[Any, Any, R]]]:
        """Decorate the function that writes to the source; `target` is its twin, with the same parameters.

        `entities` says whose data changes, `keys` which documents; what only the function knows it tells by `touched`.
        The source function must be atomic, or safe to repeat: it may be refused and done again at the target. Raises
        what the authority's side raises; WritesHeld when a hold outlasts `Policy.park_seconds`; NotReady.
        """

        def decorate(source: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
            twins: Twins[Function] = Twins(name_of(source, name), source, target, entities, keys)

            @wraps(source)
            async def write(*args: P.args, **kwargs: P.kwargs) -> R:
                if self.name in overridden:
                    return cast(R, await twins.write_overridden(self.name, args, kwargs))
                engine = self._gateway.engine()
                return cast(R, await write_now(engine, engine.standing(self.name), twins, args, kwargs))

            return write

        return decorate

    def touched(self, collection: str, *keys: Any) -> None:
        """Inside a write at the source: these documents (`_id`s) were touched. At the target it does nothing."""
        touch(self._gateway._engine, self.name, collection, keys)

    def unit_of_work(self) -> AbstractAsyncContextManager[Route]:
        """Pin the route for everything inside; it counts as one write in flight, and waits at its entry while held.

        Its shadow writes are made when it ends. Refused in the middle it raises NotReady: begin it again.
        """
        if self.name in overridden:
            return nullcontext(overridden[self.name])
        engine = self._gateway.engine()
        return unit_now(engine, engine.standing(self.name))
