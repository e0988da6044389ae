"""Units of work: what belongs together under one pinned route. A single write is a unit too, a short one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from midflight.core.keys import key_bytes
from midflight.core.routing import Route, Side, shadows, write_side
from midflight.errors import WritesHeld
from midflight.gateway.floors import Floor
from midflight.gateway.standing import Flight, Standing


class Unit:
    """The pinned route, the entities whose data was written, and the documents touched at the source."""

    def __init__(self, standing: Standing, flight: Flight, floor: Floor) -> None:
        self.standing = standing
        self.route: Route = flight.route
        self.floor = floor
        self.open = True
        self.entities: set[bytes] = set()
        self.keys: dict[str, set[bytes]] = {}
        self.operation = ""
        self.touches = 0
        self._flight = flight
        self._lock = threading.Lock()
        self._under_way = 0
        self._writes = False
        self._writes_without_keys = 0
        self._writes_without_entities = False

    @property
    def side(self) -> Side:
        """Where its writes go."""
        side = write_side(self.route)
        if side is None:  # only while a lease has run out during a hold, see `Engine.enter_closely`
            return self.route.authority
        return side

    @property
    def shadows(self) -> bool:
        """Whether something is to be brought to the target when it ends."""
        return shadows(self.route) and bool(self._writes or self.keys)

    @property
    def keys_known(self) -> bool:
        """Whether every write in it said which documents it touched. One that failed or is under way has not."""
        return not self._writes_without_keys

    @property
    def changed(self) -> set[bytes]:
        """The entities whose data it may have changed; none where it may be anybody's."""
        return set() if self._writes_without_entities else self.entities

    def wrote(self, entity: bytes) -> bool:
        """Whether it may have changed this entity's data."""
        return entity in self.changed or (not self.changed and bool(self._writes or self.keys))

    def begin_write(self, operation: str, entities: Iterable[bytes]) -> int:
        """A write in it begins; returns what to hand to `name_keys`."""
        named = set(entities)
        with self._lock:
            self.operation = operation
            self.entities |= named
            self._writes = True
            self._writes_without_entities |= not named
            self._writes_without_keys += 1
            self._under_way += 1
        return self.touches

    def name_keys(self, keys: Mapping[str, Iterable[Any]] | None, touched_before: int) -> None:
        """A write in it has succeeded; `keys` is what its declaration says (None: nothing)."""
        for collection, touched in (keys or {}).items():
            self.touch(collection, touched)
        if keys is not None or self.touches != touched_before:
            with self._lock:
                self._writes_without_keys -= 1

    def end_write(self) -> bool:
        """A write in it has ended, however; whether the ledger waits to hear of it."""
        with self._lock:
            self._under_way -= 1
            over = not self.open and not self._under_way
        return over and self._flight.land()

    def touch(self, collection: str, keys: Iterable[Any]) -> None:
        """These documents were touched at the source."""
        touched = [key_bytes(key) for key in keys] if self.side is Side.SOURCE else []
        with self._lock:
            self.touches += 1
            if self.side is Side.SOURCE:
                self.keys.setdefault(collection, set()).update(touched)

    def documents(self) -> dict[str, set[bytes]]:
        """The documents touched so far, by collection: a write that outlives the unit may add to them."""
        with self._lock:
            return {collection: set(keys) for collection, keys in self.keys.items()}

    def end(self) -> bool:
        """Not in flight any more, but for writes under way in it; whether the ledger waits to hear of it."""
        with self._lock:
            self.open = False
            over = not self._under_way
        return over and self._flight.land()


_units: ContextVar[tuple[Unit, ...]] = ContextVar("midflight_units", default=())


def unit_here(standing: Standing) -> Unit | None:
    """The unit of this domain in which the caller is."""
    for unit in _units.get():
        if unit.standing is standing and unit.open:
            return unit
    return None


def enter_unit(unit: Unit) -> None:
    """From here on the caller is in the unit."""
    _units.set((*_units.get(), unit))


def leave_unit(unit: Unit) -> None:
    """The caller is not in it any more. Not by a token: a framework may end a unit in another context."""
    _units.set(tuple(each for each in _units.get() if each is not unit))


def held(domain: str, waited: float) -> WritesHeld:
    """What to tell whose write waited in vain."""
    return WritesHeld(
        f"Writes of {domain} have been held for {waited:g} s: its cutover is under way.", next_step="Try again shortly."
    )
