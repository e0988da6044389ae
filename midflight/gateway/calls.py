"""What both twins share: a function of the source and its twin at the target, the gateway without its waiting."""

from __future__ import annotations

import logging
import os
import socket
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Generic, TypeVar

from midflight.core.keys import key_bytes
from midflight.core.routing import Route, Side, write_side
from midflight.errors import NotReady, WritesHeld
from midflight.gateway.compare import Comparator
from midflight.gateway.engine import Engine
from midflight.gateway.floors import Floor, known_floor, use_floor
from midflight.gateway.looking import Look, look, look_within
from midflight.gateway.observing import Outcome, ReadCall, ReadObserver, Unobserved
from midflight.gateway.overriding import named, overridden
from midflight.gateway.policy import Policy
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

    def overridden(self, domain: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the side of a write under the route that a test has set, and note the documents. WritesHeld."""
        side = write_side(overridden[domain])
        if side is None:
            raise WritesHeld(f"Writes of {domain} are held: this test says so.")
        if side is Side.SOURCE:
            for collection, keys in (self.declared_keys(args, kwargs) or {}).items():
                _note(domain, collection, keys)
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
        """Where it goes, if that is known without waiting."""
        unit = unit_here(self.standing)
        if unit is not None:
            return look_within(unit, self.entity)
        return look(self.standing, self.entity, known_floor())

    def check(self, found: Look) -> Look:
        """A closer look may not lead out of the epoch of the unit of work."""
        unit = unit_here(self.standing)
        if unit is not None and unit.route.epoch != found.route.epoch:
            raise moved_away(self.standing.domain)
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
        """Where to fall back to after the target failed, if that is known without waiting."""
        unit = unit_here(self.standing)
        if unit is not None and self.standing.trusted is not None:
            return Look(unit.route, Side.SOURCE)
        return look(self.standing, self.entity, known_floor(), target_fails=True)


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


class BaseGateway:
    """What is the same for both twins: settings, floors, routes, and the engine that is made when it is needed."""

    def __init__(self, *, ledger: str, source: str, instance: str, policy: Policy) -> None:
        self._ledger = ledger
        self._source = source
        self._label = instance or socket.gethostname()
        self._policy = policy
        self._engine: Engine | None = None
        _gateways.add(self)

    def floor(self) -> str:
        """What this context wrote that the target may not have yet: '' or a token (letters, digits, `-.~`)."""
        floor = known_floor()
        return "" if floor is None else floor.token(self.routes())

    @contextmanager
    def with_floor(self, token: str) -> Iterator[None]:
        """A context that reads no older than the token says, and gathers its own writes; garbage is ignored."""
        before = known_floor()
        use_floor(Floor(token))
        try:
            yield
        finally:
            use_floor(before)

    def routes(self) -> dict[str, Route]:
        """The routes known now, by domain; empty before the first poll."""
        engine = self._engine
        return {**(engine.routes() if engine else {}), **overridden}

    def _make_engine(self) -> Engine:
        return Engine(
            ledger=self._ledger,
            source=self._source,
            # Two processes under one name would speak for one another: each process gets its own.
            instance=f"{self._label}-{os.getpid()}-{token_hex(3)}",
            policy=self._policy,
            observer=_observer(self._policy),
        )

    def _forked(self) -> None:
        """In a child: the parent's engine is not ours to use, nor to close."""
        if self._engine is not None:
            _of_the_parent.append(self._engine)
            self._engine = None


def known_route(engine: Engine | None, domain: str) -> Route:
    """The pinned route, or the one known now. NotReady before the first poll."""
    if domain in overridden:
        return overridden[domain]
    standing = engine.standing(domain) if engine is not None else None
    unit = unit_here(standing) if standing is not None else None
    route = unit.route if unit is not None else standing.route if standing is not None else None
    if route is None:
        raise NotReady(f"The route of {domain} is not known yet.", next_step="Wait for `ready`.")
    return route


def touch(engine: Engine | None, domain: str, collection: str, keys: Iterable[Any]) -> None:
    """Note what a write at the source touched; outside of a write there is nobody to note it."""
    if domain in overridden and write_side(overridden[domain]) is Side.SOURCE:
        _note(domain, collection, keys)
    if engine is None or domain in overridden:
        return
    unit: Unit | None = unit_here(engine.standing(domain))
    if unit is not None:
        unit.touch(collection, keys)


def _note(domain: str, collection: str, keys: Iterable[Any]) -> None:
    if domain in named:
        named[domain].extend((collection, key) for key in keys)


def _observer(_policy: Policy) -> ReadObserver:
    return Unobserved()


_gateways: weakref.WeakSet[BaseGateway] = weakref.WeakSet()
_of_the_parent: list[Engine] = []
"""Kept for ever, so that no finalizer of a child says goodbye on the parent's connections."""


def _after_fork() -> None:
    for gateway in list(_gateways):
        gateway._forked()


os.register_at_fork(after_in_child=_after_fork)
