"""One connection to the target that survives the target: opened when needed, given up when it fails or hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from midflight.errors import TargetUnavailable
from midflight.ports import Target
from midflight.postgres.connection import open_target
from midflight.postgres.failures import Contended

T = TypeVar("T")

POLITE_SECONDS = 0.2
"""How long work that is cut may take to leave the connection usable; then the connection is given up."""


class Link:
    """At most one connection, used by one piece of work at a time."""

    def __init__(self, dsn: str, open_seconds: float) -> None:
        self._dsn = dsn
        self._open_seconds = open_seconds
        self._stack: AsyncExitStack | None = None
        self._target: Target | None = None
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def up(self) -> bool:
        """Whether there is a connection, as far as anybody knows."""
        return self._target is not None

    async def open(self) -> Target:
        """The target, connected. TargetUnavailable, TargetRefused."""
        if self._target is None:
            stack = AsyncExitStack()
            try:
                async with asyncio.timeout(self._open_seconds):
                    self._target = await stack.enter_async_context(open_target(self._dsn))
            except TimeoutError:
                raise TargetUnavailable("The target does not take the connection in time.") from None
            self._stack = stack
        return self._target

    async def use(self, work: Callable[[Target], Awaitable[T]], at_most: float) -> T:
        """The work's result. TargetUnavailable when it takes longer; after that, or a lost connection, it is closed."""
        target = await self.open()
        running = asyncio.ensure_future(work(target))
        try:
            await asyncio.wait({running}, timeout=at_most)
        except asyncio.CancelledError:
            await self._cut(running)
            raise
        if not running.done():
            await self._cut(running)
            raise TargetUnavailable(f"The target did not answer within {at_most:g} s.")
        try:
            return running.result()
        except (TargetUnavailable, OSError) as error:
            if not isinstance(error, Contended):
                self._give_up(running)
            raise

    async def close(self) -> None:
        """Close the connection, and wait for those that were given up."""
        stack, self._stack, self._target = self._stack, None, None
        if stack is not None:
            await stack.aclose()
        if self._endings:
            await asyncio.wait(self._endings, timeout=POLITE_SECONDS)

    async def _cut(self, running: asyncio.Future[T]) -> None:
        running.cancel()
        await asyncio.wait({running}, timeout=POLITE_SECONDS)
        if not running.done():
            self._give_up(running)
        elif not running.cancelled():
            running.exception()  # looked at: it came too late for anybody

    def _give_up(self, running: asyncio.Future[T]) -> None:
        stack, self._stack, self._target = self._stack, None, None
        ending = asyncio.create_task(_end(running, stack))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


async def _end(running: asyncio.Future[T], stack: AsyncExitStack | None) -> None:
    """The driver asks a hanging server to cancel, and waits; a second cancellation makes it close at once."""
    while not running.done():
        running.cancel()
        await asyncio.wait({running}, timeout=POLITE_SECONDS)
    if not running.cancelled():
        running.exception()
    if stack is not None:
        await stack.aclose()
