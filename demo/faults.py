"""What goes wrong in a real system, done on purpose: kill -9 of a server or a process, and one that stands still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import psutil
from pymongo import MongoClient

from demo.helper import Helper
from demo.shop import await_ready
from embedded import ServerFailed, Stack
from examples.loyalty.figures import Window

Server = Literal["postgres", "mongo", "temporal", "worker-1"]
AWAY_SECONDS = 2.0
START_ATTEMPTS = 5
SETTLE_SECONDS = 0.1
OUTSIDE = frozenset({"hello", "ismaster", "ping", "commitTransaction", "abortTransaction", "endSessions", "getMore"})
LONGEST_TRANSACTION = timedelta(seconds=5)
"""A connection that was silent for so long before its process stopped has no transaction open."""


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
async def frozen(process: Helper, source: str, windows: list[Window]) -> AsyncIterator[None]:
    """One process stands still (SIGSTOP) for the block, then goes on as if nothing had happened; noted in `windows`.

    Not in the middle of a transaction at the source: MongoDB's `collMod`, which raises the fence, waits for open
    transactions, the embedded stand-in's does not, so one that sleeps over a cutover could commit behind the fence.
    """
    process.freeze()
    while await asyncio.to_thread(_in_transaction, process.pid, source):
        process.thaw()
        await asyncio.sleep(SETTLE_SECONDS)
        process.freeze()
    began = time.time()
    try:
        yield
    finally:
        process.thaw()
        windows.append(Window(began, time.time()))


def _in_transaction(pid: int, source: str) -> bool:
    """Whether the last that the server heard from any connection of the stopped process may be inside a transaction."""
    time.sleep(SETTLE_SECONDS)  # what was sent before the stop is still being worked on
    ports = {str(each.laddr.port) for each in psutil.Process(pid).net_connections("tcp")}
    with MongoClient[dict[str, Any]](source) as client:
        operations = client.admin.command("currentOp")["inprog"]
    return any(_may_be_inside(each) for each in operations if each.get("client", "").rpartition(":")[2] in ports)


def _may_be_inside(operation: dict[str, Any]) -> bool:
    age = datetime.now(UTC) - datetime.fromisoformat(operation["currentOpTime"])
    return operation["op"] not in OUTSIDE and age < LONGEST_TRANSACTION
