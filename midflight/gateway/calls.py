"""What calls of both twins share: a function of the source and its twin at the target, and where a read stands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from midflight.core.keys import key_bytes
from midflight.core.routing import Route, Side, read_side, write_side
from midflight.errors import NotReady, WritesHeld
from midflight.gateway.compare import Comparator
from midflight.gateway.engine import Engine
from midflight.gateway.floors import known_floor
from midflight.gateway.looking import Look, look, look_within
from midflight.gateway.observing import Outcome, ReadCall
from midflight.gateway.overriding import named, overridden
from midflight.gateway.standing import Standing
from midflight.gateway.units import Unit, unit_here
from midflight.mongo import refusals as source_refusals
from midflight.postgres import refusals as target_refusals

F = TypeVar("F", bound=Callable[..., Any])
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Twins(Generic[F]):
    """Two functions that do the same at one side each. `entities` gives the entity keys of a call."""

    name: str
    source: F
    target: F
    entities: Callable[..., Iterable[Any]]
    keys: Callable[..., Mapping[str, Iterable[Any]]] | None = None
    compare: Comparator[Any] | None = None

    def at(self, side: Side) -> F:
        """The function of this side."""
        return self.source if side is Side.SOURCE else self.target

    def entity_bytes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[bytes]:
        """The entities of a call, as canonical key bytes."""
        return [key_bytes(entity) for entity in self.entities(*args, **kwargs)]

    def read_overridden(self, domain: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the side of a read under the route that a test has set."""
        [entity] = self.entity_bytes(args, kwargs)
        return self.at(read_side(overridden[domain], entity))(*args, **kwargs)

    def write_overridden(self, domain: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the side of a write under the route that a test has set, and note the documents. WritesHeld."""
        side = write_side(overridden[domain])
        if side is None:
            raise WritesHeld(f"Writes of {domain} are held: this test says so.")
        if side is Side.SOURCE:
            for collection, keys in (self.declared_keys(args, kwargs) or {}).items():
                note_named(domain, collection, keys)
        return self.at(side)(*args, **kwargs)

    def declared_keys(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Iterable[Any]] | None:
        """The documents a call says it touched. The write has happened: an error here must not hide that."""
        if self.keys is None:
            return None
        try:
            return {collection: list(keys) for collection, keys in self.keys(*args, **kwargs).items()}
        except Exception:
            _log.exception("the keys of %s could not be told", self.name)
            return None


def one(entity: Callable[..., Any]) -> Callable[..., tuple[Any]]:
    """The entities of a read: its only one."""
    return lambda *args, **kwargs: (entity(*args, **kwargs),)


def name_of(function: Callable[..., Any], name: str) -> str:
    """How reports call an operation."""
    return name or str(getattr(function, "__qualname__", type(function).__name__))


@dataclass(slots=True)
class Reading(Generic[F]):
    """One read of the application on its way."""

    engine: Engine
    standing: Standing
    twins: Twins[F]
    entity: bytes
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def look(self) -> Look | None:
        """Where it goes, if that is known without waiting. NotReady in a unit of work that has outlived its epoch."""
        unit = self._unit()
        if unit is not None:
            return look_within(unit, self.entity)
        found = look(self.standing, self.entity, known_floor())
        if found is not None:
            self._mark_floor(found.route)
        return found

    def check(self, found: Look) -> Look:
        """A closer look may not lead out of the epoch of the unit of work."""
        unit = unit_here(self.standing)
        if unit is not None and unit.route.epoch != found.route.epoch:
            raise moved_away(self.standing.domain)
        self._mark_floor(found.route)
        return found

    def call(self, found: Look) -> ReadCall:
        """What the observer is told of it."""
        return ReadCall(self.twins.name, self.entity, found.route, self.twins.compare)

    def served(self, found: Look, outcome: Outcome) -> None:
        """Tell the observer what one side answered."""
        self.engine.observe(self.engine.observer.served, self.call(found), found.side, outcome)

    def fell_back(self, found: Look) -> None:
        """Tell the observer that the source will be asked instead."""
        self.engine.observe(self.engine.observer.fell_back, self.call(found))

    def offer(self, found: Look, outcome: Outcome, other: Callable[[], Any], again: Callable[[], Any]) -> None:
        """Have the other side asked too, off the caller's path; `again` asks this side once more."""
        sampled = self.engine.observer.sampled
        work = self.engine.observe(sampled, self.call(found), found.side, outcome, other, again)
        if work is not None:
            self.engine.spawn(work)

    def source_at_once(self) -> Look | None:
        """Where to fall back to after the target failed, if that is known without waiting. NotReady as in `look`."""
        unit = self._unit()
        if unit is not None and self.standing.trusted is not None:
            return Look(unit.route, Side.SOURCE)
        return look(self.standing, self.entity, known_floor(), target_fails=True)

    def _mark_floor(self, route: Route) -> None:
        """A floor that came without a mark gets one."""
        floor = known_floor()
        if floor is not None and floor.unmarked(route):
            self.engine.mark_floor(self.standing, floor)

    def _unit(self) -> Unit | None:
        """The unit of work we are in. One whose lease had run out may be found again in another epoch."""
        unit, trusted = unit_here(self.standing), self.standing.trusted
        if unit is not None and trusted is not None and trusted.epoch != unit.route.epoch:
            raise moved_away(self.standing.domain)
        return unit


def answer(outcome: Outcome) -> Any:
    """The value, or the error raised."""
    try:
        if outcome.error is not None:
            raise outcome.error
        return outcome.value
    finally:
        del outcome  # the error holds this frame, which must not hold the error


def refused(error: BaseException, side: Side) -> bool:
    """Whether the store of this side refused a write as its fence does."""
    if side is Side.SOURCE:
        return source_refusals.refused_by_fence(error)
    return target_refusals.refused_by_fence(error)


def moved_away(domain: str) -> NotReady:
    """What to tell a unit of work that has outlived its route."""
    return NotReady(
        f"The authority of {domain} moved during this unit of work.", next_step="Begin the unit of work again."
    )


def note_named(domain: str, collection: str, keys: Iterable[Any]) -> None:
    """Tell the test that set the route which documents a write at the source named."""
    if domain in named:
        named[domain].extend((collection, key) for key in keys)
