"""How one call runs on an event loop: a read, a write, a unit of work. `calls_sync` is the same for threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from midflight.core.routing import Route, Side
from midflight.gateway.calls import Reading, Twins, answer, moved_away, refused
from midflight.gateway.engine import Engine
from midflight.gateway.floors import floor_here, known_floor
from midflight.gateway.looking import Look
from midflight.gateway.observing import Outcome
from midflight.gateway.standing import Standing
from midflight.gateway.units import Unit, unit_here

Function = Callable[..., Awaitable[Any]]
Args = tuple[Any, ...]
Kwargs = dict[str, Any]


# --- reads ------------------------------------------------------------------------------------------------------------


async def read_now(engine: Engine, standing: Standing, twins: Twins[Function], args: Args, kwargs: Kwargs) -> Any:
    """Ask the side that is to be asked now; the source where the target fails and the source is the authority."""
    [entity] = twins.entity_bytes(args, kwargs)
    reading = Reading(engine, standing, twins, entity, args, kwargs)
    found = reading.look() or await _look_closely(reading)
    if not found.may_fall_back:
        return await _serve(reading, found)
    outcome = await _ask_bounded(reading, found.side)
    reading.served(found, outcome)
    if outcome.error is None:
        return _answer(reading, found, outcome)
    reading.fell_back(found)
    del outcome
    found = reading.source_at_once() or await _look_closely(reading, target_fails=True)
    return await _serve(reading, replace(found, comparable=False))


async def _serve(reading: Reading[Function], found: Look) -> Any:
    outcome = await _ask(reading, found.side)
    reading.served(found, outcome)
    return _answer(reading, found, outcome)


def _answer(reading: Reading[Function], found: Look, outcome: Outcome) -> Any:
    if found.comparable:
        this, other = (partial(reading.twins.at(side), *reading.args, **reading.kwargs) for side in found.sides)
        reading.offer(found, outcome, other, this)
    return answer(outcome)


async def _look_closely(reading: Reading[Function], *, target_fails: bool = False) -> Look:
    floor = known_floor()
    found = await reading.engine.look_closely(reading.standing, reading.entity, floor, target_fails=target_fails)
    return reading.check(found)


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


# --- writes -----------------------------------------------------------------------------------------------------------


async def write_now(engine: Engine, standing: Standing, twins: Twins[Function], args: Args, kwargs: Kwargs) -> Any:
    """Write where writes go now; once more where they go then, if a store refuses because the authority has moved."""
    outer = unit_here(standing)
    if outer is not None:
        return await _write_in(engine, outer, twins, args, kwargs)
    unit = await _begin(engine, standing)
    try:
        async with _within(engine, unit):
            return await _write_in(engine, unit, twins, args, kwargs)
    except Exception as error:
        if not await _moved(engine, unit, error):
            raise
    # The store refused it, so it was not done.
    async with _unmoved(engine, standing) as unit:
        return await _write_in(engine, unit, twins, args, kwargs)


@asynccontextmanager
async def unit_now(engine: Engine, standing: Standing) -> AsyncIterator[Route]:
    """A unit of work, or the part of the one we are in."""
    outer = unit_here(standing)
    if outer is not None:
        yield outer.route
        return
    async with _unmoved(engine, standing) as unit:
        yield unit.route


@asynccontextmanager
async def _unmoved(engine: Engine, standing: Standing) -> AsyncIterator[Unit]:
    """A unit that is not done again by us: what a store refuses becomes NotReady where the authority has moved."""
    unit = await _begin(engine, standing)
    try:
        async with _within(engine, unit):
            yield unit
    except Exception as error:
        if await _moved(engine, unit, error):
            raise moved_away(standing.domain) from error
        raise


async def _begin(engine: Engine, standing: Standing) -> Unit:
    flight = standing.enter() or await engine.enter_closely(standing)
    return Unit(standing, flight, floor_here())


@asynccontextmanager
async def _within(engine: Engine, unit: Unit) -> AsyncIterator[None]:
    """In flight to the end of the block; what was written in it is brought to the target after that."""
    with engine.during(unit):
        try:
            yield
        except BaseException:
            engine.fall_behind(unit)  # a part of it may have been written
            raise
        finally:
            engine.landed(unit)
        await engine.follow_up(unit)


async def _write_in(engine: Engine, unit: Unit, twins: Twins[Function], args: Args, kwargs: Kwargs) -> Any:
    with engine.writing(unit, twins.name, twins.entity_bytes(args, kwargs)) as touches:
        value = await twins.at(unit.side)(*args, **kwargs)
        unit.name_keys(twins.declared_keys(args, kwargs), touches)
    return value


async def _moved(engine: Engine, unit: Unit, error: Exception) -> bool:
    """Whether the store refused the write because writes go elsewhere now."""
    return refused(error, unit.side) and await engine.moved(unit.standing, unit.route, unit.side)
