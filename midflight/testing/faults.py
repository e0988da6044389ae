"""Faults on ports: hold a call, fail before it, or lose its answer after it. Costs production nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from midflight.parity.ports import ParityStores, RunStore
from midflight.ports import Source, Target

Hook = Callable[[int], Awaitable[None]]


class Faulty:
    """Any port, with hooks around one of its coroutine methods. A hook is told the number of the call, from 1.

    A hook `before` that raises keeps the call from happening; a hook `after` that raises loses the answer of a call
    that has happened.
    """

    def __init__(self, port: Any, method: str, *, before: Hook | None = None, after: Hook | None = None) -> None:
        self._port, self._method, self._before, self._after = port, method, before, after
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return self._surrounded(found) if name == self._method else found

    def _surrounded(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            number = self.calls
            if self._before is not None:
                await self._before(number)
            answer = await method(*args, **kwargs)
            if self._after is not None:
                await self._after(number)
            return answer

        return call


class FaultyStores:
    """Implements `midflight.parity.ports.ParityStores`: the given stores, with faults put on what they open."""

    def __init__(
        self,
        stores: ParityStores,
        *,
        source: Callable[[Source], Source] = lambda source: source,
        target: Callable[[Target], Target] = lambda target: target,
        runs: Callable[[RunStore], RunStore] = lambda runs: runs,
    ) -> None:
        self._stores, self._source, self._target, self._runs = stores, source, target, runs

    @asynccontextmanager
    async def source(self, store: str, database: str) -> AsyncIterator[Source]:
        """The source, with its faults."""
        async with self._stores.source(store, database) as source:
            yield self._source(source)

    @asynccontextmanager
    async def target(self, store: str) -> AsyncIterator[Target]:
        """The target, with its faults."""
        async with self._stores.target(store) as target:
            yield self._target(target)

    @asynccontextmanager
    async def runs(self, store: str) -> AsyncIterator[RunStore]:
        """The place where runs of parity are kept, with its faults."""
        async with self._stores.runs(store) as runs:
            yield self._runs(runs)


class Valve:
    """Holds the first call that comes through until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def hold(self, number: int) -> None:
        """A hook: the first call waits here."""
        if number == 1:
            self.reached.set()
            await self.opened.wait()


class LostAnswer(Exception):
    """Raised by `lose`: the call has happened, the caller will never know."""


def lose(at_call: int) -> Hook:
    """A hook for `after`: the answer of that call is lost."""

    async def hook(number: int) -> None:
        if number == at_call:
            raise LostAnswer(f"answer of call {number} lost")

    return hook
