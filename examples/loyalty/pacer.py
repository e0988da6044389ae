"""How fast the sessions go together, and a way to let them stand still for a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

ARREARS_SECONDS = 0.5
"""What could not be sent within this time is not sent later: a slow answer must not cause a burst."""


class Pacer:
    """Gives out turns at a rate."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1.0 / per_second
        self._next = time.monotonic()
        self._open = asyncio.Event()
        self._open.set()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.stopped = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One request and what follows it at once."""
        await self._wait()
        self._busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    def spend(self) -> None:
        """A request out of turn: the next turn comes so much later."""
        self._next += self._gap

    async def pause(self) -> None:
        """No new turns; returns when none is under way."""
        self._open.clear()
        await self._idle.wait()

    def resume(self) -> None:
        """Go on."""
        self._next = time.monotonic()
        self._open.set()

    def stop(self) -> None:
        """The sessions end after their turn."""
        self.stopped = True
        self._open.set()

    async def _wait(self) -> None:
        while not self.stopped:
            now = time.monotonic()
            self._next = max(self._next, now - ARREARS_SECONDS)
            mine, self._next = self._next, self._next + self._gap
            await asyncio.sleep(max(0.0, mine - now))
            if self._open.is_set():
                return
            await self._open.wait()
