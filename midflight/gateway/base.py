"""What both gateways share: settings, floors, routes, and the engine that is made when it is needed."""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any

from midflight.core.routing import Route, Side, write_side
from midflight.errors import NotReady
from midflight.gateway.calls import note_named
from midflight.gateway.dark import DarkReads
from midflight.gateway.engine import Engine
from midflight.gateway.floors import Floor, known_floor, use_floor
from midflight.gateway.overriding import overridden
from midflight.gateway.policy import Policy
from midflight.gateway.units import Unit, unit_here


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
            observer=DarkReads(self._policy),
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
        note_named(domain, collection, keys)
    if engine is None or domain in overridden:
        return
    unit: Unit | None = unit_here(engine.standing(domain))
    if unit is not None:
        unit.touch(collection, keys)


_gateways: weakref.WeakSet[BaseGateway] = weakref.WeakSet()
_of_the_parent: list[Engine] = []
"""Kept for ever, so that no finalizer of a child says goodbye on the parent's connections."""


def _after_fork() -> None:
    for gateway in list(_gateways):
        gateway._forked()


os.register_at_fork(after_in_child=_after_fork)
