"""The library's own connections to the source, one a database: for shadow writes, marks, and the fence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Generic, TypeVar

from midflight.core.plan import Plan
from midflight.errors import MidflightError
from midflight.mongo.client import open_source
from midflight.ports import Source

T = TypeVar("T")


class Sources:
    """Opens a database when it is first asked for; the driver keeps its connections alive by itself."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._sources: dict[str, Source] = {}
        self._probes: dict[str, Shared[bool]] = {}

    async def of(self, plan: Plan) -> Source:
        """The source of the plan. SourceRefused where the address cannot be used."""
        name = plan.source.database
        async with self._opening:
            if name not in self._sources:
                self._sources[name] = await self._stack.enter_async_context(open_source(self._uri, name))
        return self._sources[name]

    async def fenced(self, plan: Plan) -> bool:
        """Whether the source refuses writes, asked after this call began; True where it does not say."""
        if plan.domain not in self._probes:
            self._probes[plan.domain] = Shared(lambda: self._probe(plan))
        return await self._probes[plan.domain].ask()

    async def close(self) -> None:
        """Close every connection."""
        await self._stack.aclose()

    async def _probe(self, plan: Plan) -> bool:
        try:
            source = await self.of(plan)
            return bool(await source.fence.fenced([entry.collection for entry in plan.collections]))
        except MidflightError:
            return True


class Shared(Generic[T]):
    """Work of which one run serves all who asked before it began."""

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._next: asyncio.Future[T] | None = None
        self._running: asyncio.Task[None] | None = None

    async def ask(self) -> T:
        """The result of a run that begins after this call."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        asked = self._next
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await asyncio.shield(asked)

    async def _run(self) -> None:
        while self._next is not None:
            mine, self._next = self._next, None
            try:
                mine.set_result(await self._work())
            except Exception as error:
                mine.set_exception(error)
                mine.exception()  # looked at: those who asked may all be gone
