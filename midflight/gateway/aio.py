"""The application's library for asyncio: one `AsyncGateway` a process, one `AsyncDomain` for each domain it uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial, wraps
from time import perf_counter
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, cast

from midflight.core.routing import Route, Side, read_side
from midflight.errors import GatewayMisused
from midflight.gateway.calls import (
    BaseGateway,
    Reading,
    Twins,
    answer,
    known_route,
    moved_away,
    name_of,
    refused,
    touch,
)
from midflight.gateway.compare import Comparator
from midflight.gateway.engine import Engine
from midflight.gateway.floors import floor_here, known_floor
from midflight.gateway.looking import Look
from midflight.gateway.observing import Outcome
from midflight.gateway.overriding import overridden
from midflight.gateway.policy import DEFAULT, Policy
from midflight.gateway.units import Unit, enter_unit, leave_unit, unit_here

K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")
Function = Callable[..., Awaitable[Any]]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]
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
            one = _one(entity)
            twins: Twins[Function] = Twins(name_of(source, name), source, target, one, compare=compare)

            @wraps(source)
            async def read(*args: P.args, **kwargs: P.kwargs) -> R:
                return cast(R, await self._read(twins, args, kwargs))

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
                return cast(R, await self._write(twins, args, kwargs))

            return write

        return decorate

    def touched(self, collection: str, *keys: Any) -> None:
        """Inside a write at the source: these documents (`_id`s) were touched. At the target it does nothing."""
        touch(self._gateway._engine, self.name, collection, keys)

    def unit_of_work(self) -> AbstractAsyncContextManager[Route]:
        """Pin the route for everything inside; it counts as one write in flight, and waits at its entry while held.

        Its shadow writes are made when it ends. Refused in the middle it raises NotReady: begin it again.
        """
        return self._unit_of_work()

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _read(self, twins: Twins[Function], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        [entity] = twins.entity_bytes(args, kwargs)
        if self.name in overridden:
            return await twins.at(read_side(overridden[self.name], entity))(*args, **kwargs)
        engine = self._gateway.engine()
        reading = Reading(engine, engine.standing(self.name), twins, entity, args, kwargs)
        found = reading.look() or await self._look_closely(reading)
        if not found.may_fall_back:
            return await self._serve(reading, found)
        outcome = await _ask_bounded(reading, found.side)
        reading.served(found, outcome)
        if outcome.error is None:
            return self._answer(reading, found, outcome)
        reading.fell_back(found)
        del outcome
        found = reading.source_at_once() or await self._look_closely(reading, target_fails=True)
        return await self._serve(reading, replace(found, comparable=False))

    async def _serve(self, reading: Reading[Function], found: Look) -> Any:
        outcome = await _ask(reading, found.side)
        reading.served(found, outcome)
        return self._answer(reading, found, outcome)

    def _answer(self, reading: Reading[Function], found: Look, outcome: Outcome) -> Any:
        if found.comparable:
            this, other = (partial(reading.twins.at(side), *reading.args, **reading.kwargs) for side in found.sides)
            reading.offer(found, outcome, other, this)
        return answer(outcome)

    async def _look_closely(self, reading: Reading[Function], *, target_fails: bool = False) -> Look:
        floor = known_floor()
        found = await reading.engine.look_closely(reading.standing, reading.entity, floor, target_fails=target_fails)
        return reading.check(found)

    async def _write(self, twins: Twins[Function], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.name in overridden:
            return await twins.overridden(self.name, args, kwargs)
        entities = twins.entity_bytes(args, kwargs)
        engine = self._gateway.engine()
        outer = unit_here(engine.standing(self.name))
        if outer is not None:
            return await _write_in(outer, twins, entities, (args, kwargs))
        unit = await self._begin(engine)
        try:
            async with _within(engine, unit):
                return await _write_in(unit, twins, entities, (args, kwargs))
        except Exception as error:
            if not await _moved(engine, unit, error):
                raise
        # The store refused it, so it was not done; once more, where writes go now.
        async with self._unmoved_unit(engine) as unit:
            return await _write_in(unit, twins, entities, (args, kwargs))

    @asynccontextmanager
    async def _unit_of_work(self) -> AsyncIterator[Route]:
        if self.name in overridden:
            yield overridden[self.name]
            return
        engine = self._gateway.engine()
        outer = unit_here(engine.standing(self.name))
        if outer is not None:
            yield outer.route
            return
        async with self._unmoved_unit(engine) as unit:
            yield unit.route

    @asynccontextmanager
    async def _unmoved_unit(self, engine: Engine) -> AsyncIterator[Unit]:
        """A unit that cannot be done again by us: what a store refuses becomes NotReady where the authority moved."""
        unit = await self._begin(engine)
        try:
            async with _within(engine, unit):
                yield unit
        except Exception as error:
            if await _moved(engine, unit, error):
                raise moved_away(self.name) from error
            raise

    async def _begin(self, engine: Engine) -> Unit:
        standing = engine.standing(self.name)
        flight = standing.enter() or await engine.enter_closely(standing)
        return Unit(standing, flight, floor_here())


@asynccontextmanager
async def _within(engine: Engine, unit: Unit) -> AsyncIterator[None]:
    """In flight to the end of the block; what was written in it is brought to the target after that."""
    enter_unit(unit)
    try:
        yield
    except BaseException as error:
        if not refused(error, unit.side):
            engine.fall_behind(unit)  # a part of it may have been written
        raise
    finally:
        leave_unit(unit)
        engine.landed(unit)
    await engine.follow_up(unit)


async def _write_in(unit: Unit, twins: Twins[Function], entities: list[bytes], arguments: Arguments) -> Any:
    args, kwargs = arguments
    touches = unit.begin_write(twins.name, entities)
    value = await twins.at(unit.side)(*args, **kwargs)
    unit.end_write(twins.declared_keys(args, kwargs), touches)
    return value


async def _moved(engine: Engine, unit: Unit, error: Exception) -> bool:
    """Whether the store refused the write because writes go elsewhere now."""
    return refused(error, unit.side) and await engine.moved(unit.standing, unit.route, unit.side)


async def _ask(reading: Reading[Function], side: Side) -> Outcome:
    started = perf_counter()
    try:
        value = await reading.twins.at(side)(*reading.args, **reading.kwargs)
    except Exception as error:
        return Outcome(None, error, perf_counter() - started)
    return Outcome(value, None, perf_counter() - started)


async def _ask_bounded(reading: Reading[Function], side: Side) -> Outcome:
    """As `_ask`, but never longer than `Policy.target_read_seconds`: a driver may take its time to be cancelled."""
    at_most = reading.engine.policy.target_read_seconds
    running = asyncio.ensure_future(_ask(reading, side))
    try:
        await asyncio.wait({running}, timeout=at_most)
    except asyncio.CancelledError:
        running.cancel()
        await asyncio.wait({running}, timeout=at_most)
        raise
    if not running.done():
        running.cancel()
        reading.engine.keep(running)
    if not running.done() or running.cancelled():
        return Outcome(None, TimeoutError(f"no answer within {at_most:g} s"), at_most)
    return running.result()


def _one(entity: Callable[P, Any]) -> Callable[P, tuple[Any]]:
    def entities(*args: P.args, **kwargs: P.kwargs) -> tuple[Any]:
        return (entity(*args, **kwargs),)

    return entities
