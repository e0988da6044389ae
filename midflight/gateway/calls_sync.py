"""How one call runs in a thread of the application: a read, a write, a unit of work. Its twin is `calls_async`.

The application's functions run in the calling thread, always: its connections may belong to it. What must be waited
for is waited for on the engine's loop, in the background thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from midflight.core.routing import Route, Side
from midflight.gateway.background import Background
from midflight.gateway.calls import Reading, Twins, answer, moved_away, refused
from midflight.gateway.floors import floor_here, known_floor
from midflight.gateway.looking import Look
from midflight.gateway.observing import Outcome
from midflight.gateway.standing import Flight, Standing
from midflight.gateway.units import Unit, unit_here

Function = Callable[..., Any]
Args = tuple[Any, ...]
Kwargs = dict[str, Any]


# --- reads ------------------------------------------------------------------------------------------------------------


def read_now(behind: Background, standing: Standing, twins: Twins[Function], args: Args, kwargs: Kwargs) -> Any:
    """Ask the side that is to be asked now; the source where the target fails and the source is the authority.

    A slow read at the target is not cut short: nobody can stop a function in a thread. Give its driver a timeout.
    """
    [entity] = twins.entity_bytes(args, kwargs)
    reading = Reading(behind.engine, standing, twins, entity, args, kwargs)
    found = reading.look() or _look_closely(behind, reading)
    outcome = _ask(reading, found.side)
    reading.served(found, outcome)
    if outcome.error is not None and found.may_fall_back:
        reading.fell_back(found)
        found = reading.source_at_once() or _look_closely(behind, reading, target_fails=True)
        found = replace(found, comparable=False)
        outcome = _ask(reading, found.side)
        reading.served(found, outcome)
    if found.comparable:
        this, other = (_aside(behind, partial(twins.at(side), *args, **kwargs)) for side in found.sides)
        reading.offer(found, outcome, other, this)
    return answer(outcome)


def _look_closely(behind: Background, reading: Reading[Function], *, target_fails: bool = False) -> Look:
    look = reading.engine.look_closely(reading.standing, reading.entity, known_floor(), target_fails=target_fails)
    return reading.check(behind.wait(look))


def _ask(reading: Reading[Function], side: Side) -> Outcome:
    started = perf_counter()
    try:
        value = reading.twins.at(side)(*reading.args, **reading.kwargs)
    except Exception as error:
        return Outcome(None, error, perf_counter() - started)
    return Outcome(value, None, perf_counter() - started)


def _aside(behind: Background, ask: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    """The same function in the small pool, in a copy of this context each time."""
    context = copy_context()
    return lambda: behind.in_pool(partial(context.copy().run, ask))


# --- writes -----------------------------------------------------------------------------------------------------------


def write_now(behind: Background, standing: Standing, twins: Twins[Function], args: Args, kwargs: Kwargs) -> Any:
    """Write where writes go now; once more where they go then, if a store refuses because the authority has moved."""
    outer = unit_here(standing)
    if outer is not None:
        return _write_in(behind, outer, twins, args, kwargs)
    unit = _begin(behind, standing)
    try:
        with _within(behind, unit):
            return _write_in(behind, unit, twins, args, kwargs)
    except Exception as error:
        if not _moved(behind, unit, error):
            raise
    # The store refused it, so it was not done.
    with _unmoved(behind, standing) as unit:
        return _write_in(behind, unit, twins, args, kwargs)


@contextmanager
def unit_now(behind: Background, standing: Standing) -> Iterator[Route]:
    """A unit of work, or the part of the one we are in."""
    outer = unit_here(standing)
    if outer is not None:
        yield outer.route
        return
    with _unmoved(behind, standing) as unit:
        yield unit.route


@contextmanager
def _unmoved(behind: Background, standing: Standing) -> Iterator[Unit]:
    """A unit that is not done again by us: what a store refuses becomes NotReady where the authority has moved."""
    unit = _begin(behind, standing)
    try:
        with _within(behind, unit):
            yield unit
    except Exception as error:
        if _moved(behind, unit, error):
            raise moved_away(standing.domain) from error
        raise


def _begin(behind: Background, standing: Standing) -> Unit:
    return Unit(standing, standing.enter() or _enter_closely(behind, standing), floor_here())


def _enter_closely(behind: Background, standing: Standing) -> Flight:
    entering = behind.submit(behind.engine.enter_closely(standing))
    try:
        return entering.result()
    except BaseException:
        entering.cancel()
        entering.add_done_callback(_land)  # an interrupt of this thread must not leave a write in flight for ever
        raise


def _land(entering: Future[Flight]) -> None:
    if not entering.cancelled() and entering.exception() is None:
        entering.result().land()


@contextmanager
def _within(behind: Background, unit: Unit) -> Iterator[None]:
    """In flight to the end of the block; what was written in it is brought to the target after that."""
    with behind.engine.during(unit):
        try:
            yield
        except BaseException:
            behind.engine.fall_behind(unit)  # a part of it may have been written
            raise
        finally:
            behind.engine.landed(unit)
        if unit.shadows:
            _follow_up(behind, unit)


def _follow_up(behind: Background, unit: Unit) -> None:
    try:
        behind.wait(behind.engine.follow_up(unit))
    except BaseException:
        behind.engine.fall_behind(unit)
        raise


def _write_in(behind: Background, unit: Unit, twins: Twins[Function], args: Args, kwargs: Kwargs) -> Any:
    with behind.engine.writing(unit, twins.name, twins.entity_bytes(args, kwargs)) as touches:
        value = twins.at(unit.side)(*args, **kwargs)
        unit.name_keys(twins.declared_keys(args, kwargs), touches)
    return value


def _moved(behind: Background, unit: Unit, error: Exception) -> bool:
    """Whether the store refused the write because writes go elsewhere now."""
    return refused(error, unit.side) and behind.wait(behind.engine.moved(unit.standing, unit.route, unit.side))
