"""Two streams read side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Protocol, TypeVar

T = TypeVar("T")


class _Numbered(Protocol):
    @property
    def number(self) -> int: ...


N = TypeVar("N", bound=_Numbered)


async def paired(
    source: AsyncGenerator[N, None], target: AsyncGenerator[N, None]
) -> AsyncGenerator[tuple[N | None, N | None], None]:
    """What both say of each number, None where one says nothing."""
    async with aclosing(source), aclosing(target):
        # The first answer comes when a server has read all its rows: both must do so at the same time.
        left, right = await both(anext(source, None), anext(target, None))
        while left is not None or right is not None:
            number = min(one.number for one in (left, right) if one is not None)
            here = left if left is not None and left.number == number else None
            there = right if right is not None and right.number == number else None
            yield here, there
            left = left if here is None else await anext(source, None)
            right = right if there is None else await anext(target, None)


async def both(one: Awaitable[T], other: Awaitable[T]) -> tuple[T, T]:
    """Both at the same time; if one fails, nobody goes on with the other."""
    tasks = [asyncio.ensure_future(_awaited(each)) for each in (one, other)]
    try:
        left, right = await asyncio.gather(*tasks)
        return left, right
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _awaited(each: Awaitable[T]) -> T:
    return await each
