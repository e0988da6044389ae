"""What the target may not have yet: entities that are behind, and the floors of contexts (a session, a request).

After a write whose shadow write failed, our own mark is written to the source. The tail applies the mark after the
write: once the route's `applied_mark` has reached it, the target has the write too. Until then the entity is read from
the source. A floor says the same of everything a context wrote, as a short text that travels between processes.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

from midflight.core.routing import Route, Side
from midflight.errors import MidflightError
from midflight.gateway.unproven import Document, Unproven

NOT_MARKED = 0
"""In place of a mark: it is not written yet, so nothing can have passed it."""

MANY = 10_000
"""Beyond so many entities the whole domain counts as behind."""

RETRY_SECONDS = 0.5
LONGEST_TOKEN = 2_000
UNREACHED = 2**63
"""While a mark is being written."""

_PART = re.compile(r"([a-z][a-z0-9-]{0,40})\.(\d{1,9})\.(\d{1,19})")


class Level(NamedTuple):
    """How far the target must be, in which epoch."""

    epoch: int
    mark: int


class Floor:
    """The levels of one context, by domain. Shared by the tasks and threads that the context starts.

    `levels` came with a token, `own` are what this process wrote in the context: it knows those by entity, see Floors.
    """

    def __init__(self, token: str = "") -> None:
        self.levels: dict[str, Level] = {}
        self.own: dict[str, Level] = {}
        for part in token.split("~") if len(token) <= LONGEST_TOKEN else ():
            if found := _PART.fullmatch(part):
                self.levels[found[1]] = Level(int(found[2]), int(found[3]))

    def unmarked(self, route: Route) -> bool:
        """Whether it came from a process that could not write its mark, and still waits for one under this route."""
        level = self.levels.get(route.domain)
        return route.authority is Side.SOURCE and level == Level(route.epoch, NOT_MARKED)

    def token(self, routes: dict[str, Route]) -> str:
        """Letters, digits, `-.~`; '' where these routes show that the target has everything."""
        levels = [*self.levels.items(), *self.own.items()]
        above_routes = [(name, level) for name, level in levels if name not in routes or above(level, routes[name])]
        highest = {name: level for name, level in sorted(above_routes, key=lambda each: _height(each[1]))}
        return "~".join(f"{name}.{level.epoch}.{level.mark}" for name, level in sorted(highest.items()))


def above(level: Level | None, route: Route) -> bool:
    """Whether the target may not have reached this level. A change of authority drains: older epochs are reached."""
    if level is None or level.epoch < route.epoch:
        return False
    return level.epoch > route.epoch or level.mark == NOT_MARKED or route.applied_mark < level.mark


def _height(level: Level) -> tuple[int, int]:
    return level.epoch, UNREACHED if level.mark == NOT_MARKED else level.mark


_floor: ContextVar[Floor | None] = ContextVar("midflight_floor", default=None)


def floor_here() -> Floor:
    """The floor of this context; made where there is none."""
    found = _floor.get()
    if found is None:
        found = Floor()
        _floor.set(found)
    return found


def known_floor() -> Floor | None:
    """The floor of this context, if it has one."""
    return _floor.get()


def use_floor(floor: Floor | None) -> None:
    """From here on this is the floor of the context."""
    _floor.set(floor)


class Floors:
    """The entities of one domain that are behind, and what waits for the next mark. Thread-safe but for `mark_them`."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._lock = threading.Lock()
        self._epoch = 0
        self._marks: dict[bytes, int] = {}
        self._everything: int | None = None
        self._unproven = Unproven()
        self._waiting = _Fallen()
        self._marking = _Fallen()
        self.next_mark = asyncio.Event()
        """Set when the mark is written that covers what falls now; for the engine's loop."""

    def fall(
        self,
        entities: Iterable[bytes],
        floor: Floor | None,
        epoch: int,
        documents: Mapping[str, Iterable[bytes]] | None = None,
    ) -> None:
        """These entities are behind until a mark has passed that is written after this call; no entities: all are.

        Then, until these documents (keys by collection) are known to be out of quarantine. What was written in an
        epoch that is over was drained before it ended.
        """
        fallen = set(entities)
        with self._lock:
            if epoch < self._epoch:
                return
            self._waiting.entities |= fallen
            for document in ((name, key) for name, keys in (documents or {}).items() for key in keys):
                self._waiting.documents.setdefault(document, set()).update(fallen)
            self._waiting.everything |= not fallen or len(self._marks) + len(self._waiting.entities) > MANY
            if floor is not None:
                floor.own[self._domain] = Level(epoch, NOT_MARKED)
                self._waiting.floors.add(floor)

    def join(self, floor: Floor) -> bool:
        """Have a floor that came without a mark marked; whether that is new."""
        with self._lock:
            new = floor not in self._waiting.floors | self._marking.floors
            self._waiting.floors.add(floor)
            return new

    def behind(self, entity: bytes, applied_mark: int) -> bool:
        """Whether the target may lack a write of this entity."""
        nobody = not (self._marks or self._waiting.something or self._everything is not None)
        if nobody and not self._unproven.any:
            return False
        with self._lock:
            if self._waiting.everything or entity in self._waiting.entities or self._unproven.holds(entity):
                return True
            return max(self._marks.get(entity, 0), self._everything or 0) > applied_mark

    def passed(self, applied_mark: int) -> None:
        """Forget what the target has caught up with."""
        if not self._marks and self._everything is None:
            return
        with self._lock:
            self._marks = {entity: mark for entity, mark in self._marks.items() if mark > applied_mark}
            if self._everything is not None and self._everything <= applied_mark:
                self._everything = None

    def unproven(self, applied_mark: int) -> dict[str, list[bytes]]:
        """Keys by collection that the tail has passed with this mark: brought to the target, or put in quarantine."""
        with self._lock:
            return self._unproven.passed(applied_mark)

    def proven(self, collection: str, keys: Iterable[bytes], applied_mark: int) -> None:
        """These of the `unproven` ones are not in quarantine."""
        with self._lock:
            self._unproven.release(collection, keys, applied_mark)

    def clear(self, epoch: int) -> None:
        """This epoch has begun: the authority has moved, and everything was drained before."""
        with self._lock:
            self._epoch = epoch
            self._marks, self._everything, self._unproven = {}, None, Unproven()
            self._waiting, self._marking = _Fallen(), _Fallen()

    async def mark_them(self, write_mark: Callable[[str], Awaitable[int]]) -> None:
        """Write marks until nothing waits for one. One caller at a time, on the engine's loop."""
        while self._waiting.something:
            marked, self.next_mark = self.next_mark, asyncio.Event()
            with self._lock:
                batch = self._marking = self._waiting
                self._waiting = _Fallen()
                self._put(batch, UNREACHED)
            number = await self._written(batch, write_mark)
            with self._lock:
                if self._marking is batch:
                    self._put(batch, number)
                    self._marking = _Fallen()
            marked.set()

    async def _written(self, batch: _Fallen, write_mark: Callable[[str], Awaitable[int]]) -> int:
        """The mark. A source that is not the authority any more takes none: then nobody waits for it either."""
        while self._marking is batch:
            with suppress(MidflightError):
                return await write_mark(self._domain)
            await asyncio.sleep(RETRY_SECONDS)
        return UNREACHED

    def _put(self, batch: _Fallen, mark: int) -> None:
        if batch.everything:
            self._marks, self._everything = {}, mark
        self._marks |= dict.fromkeys(batch.entities, mark)
        self._unproven.hold(batch.documents, mark)
        if mark != UNREACHED:
            for floor in batch.floors - self._waiting.floors:
                for levels in (floor.levels, floor.own):
                    if self._domain in levels and levels[self._domain].mark == NOT_MARKED:
                        levels[self._domain] = Level(levels[self._domain].epoch, mark)


@dataclass(slots=True)
class _Fallen:
    """What one mark will cover."""

    entities: set[bytes] = field(default_factory=set)
    documents: dict[Document, set[bytes]] = field(default_factory=dict)
    floors: set[Floor] = field(default_factory=set)
    everything: bool = False

    @property
    def something(self) -> bool:
        return bool(self.entities or self.floors or self.everything)
