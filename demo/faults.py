"""What goes wrong in a real system, done on purpose: kill -9 of a server or a process, and one that stands still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from demo.helper import Helper
from demo.shop import await_ready
from embedded import ServerFailed, Stack
from examples.loyalty.figures import Window

Server = Literal["postgres", "mongo", "temporal", "worker-1"]
AWAY_SECONDS = 2.0
START_ATTEMPTS = 5


async def kill_server(stack: Stack, name: Server, away_seconds: float = AWAY_SECONDS) -> None:
    """kill -9, stay away for a while, start again with the same data. The stack must not be ephemeral. ServerFailed."""
    stack.supervisor.child(name).kill()
    await asyncio.sleep(away_seconds)
    for attempt in range(1, START_ATTEMPTS + 1):
        child = stack.supervisor.start_again(name)  # on this thread: the kernel ties the child to it
        try:
            return await asyncio.to_thread(child.wait_ready)
        except ServerFailed:
            # What the killed one left behind (a port, a lock) may take a moment to go away.
            if attempt == START_ATTEMPTS:
                raise
            await asyncio.sleep(away_seconds)


async def kill_process(process: Helper, port: int, away_seconds: float = AWAY_SECONDS) -> None:
    """kill -9 of one process of the application, and another one in its place a while later. ShopFailed."""
    process.kill()
    await asyncio.sleep(away_seconds)
    process.start()
    await asyncio.to_thread(await_ready, port)


@asynccontextmanager
async def frozen(process: Helper, windows: list[Window]) -> AsyncIterator[None]:
    """One process stands still (SIGSTOP) for the block, then goes on as if nothing had happened; noted in `windows`."""
    began = time.time()
    process.freeze()
    try:
        yield
    finally:
        process.thaw()
        windows.append(Window(began, time.time()))
