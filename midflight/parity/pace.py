"""How fast a run may go, and how far it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from midflight.clock import nap, seconds


class Pace:
    """Keeps all who share it to so many keys a second together."""

    def __init__(
        self,
        keys_per_second: float | None,
        *,
        clock: Callable[[], float] = seconds,
        rest: Callable[[float], Awaitable[None]] = nap,
    ) -> None:
        self._rate, self._clock, self._rest = keys_per_second, clock, rest
        self._free_at = 0.0

    async def spend(self, keys: int) -> None:
        """Rest until so many keys more are within the rate."""
        if self._rate is None:
            return
        now = self._clock()
        self._free_at = max(now, self._free_at) + keys / self._rate
        await self._rest(self._free_at - now)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `keys` and `of_about` count both walks, over the source and over the target's keys."""

    run: str
    entity: str
    phase: str
    keys: int
    of_about: int
    suspects: int
    documents_per_second: float
    seconds_left: float | None
    """None until there is a rate to tell it by."""


Listener = Callable[[Progress], None]


class Meter:
    """Counts what this process has done, and tells whoever listens."""

    def __init__(self, run: str, listener: Listener | None, clock: Callable[[], float] = seconds) -> None:
        self._run, self._listener, self._clock = run, listener, clock
        self._began = clock()
        self._already = self._done = self._suspects = self._of_about = 0

    def expect(self, of_about: int, already: int) -> None:
        """So many keys are to be looked at in all, and so many were before this process began."""
        self._of_about += of_about
        self._already += already

    def add(self, entity: str, phase: str, *, keys: int, suspects: int) -> None:
        """So many keys more were looked at, so many suspects more (or fewer) there are."""
        self._done += keys
        self._suspects += suspects
        if self._listener is not None:
            self._listener(self._progress(entity, phase))

    def _progress(self, entity: str, phase: str) -> Progress:
        elapsed, keys = self._clock() - self._began, self._already + self._done
        rate = self._done / elapsed if elapsed > 0 else 0.0
        of_about = max(self._of_about, keys)
        return Progress(
            run=self._run,
            entity=entity,
            phase=phase,
            keys=keys,
            of_about=of_about,
            suspects=self._suspects,
            documents_per_second=rate,
            seconds_left=(of_about - keys) / rate if rate else None,
        )
