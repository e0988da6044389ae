"""Read ahead: the next item is on its way while the last one is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")
_END = object()


@asynccontextmanager
async def closing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Give up what a reading holds (a session, a transaction) also when the walk ends in the middle."""
    try:
        yield items
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


async def ahead(items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """The same items. One is read ahead; the reading is closed at the end."""
    async with closing(items):
        coming = asyncio.ensure_future(anext(items, _END))
        try:
            while (item := await coming) is not _END:
                coming = asyncio.ensure_future(anext(items, _END))
                yield item  # type: ignore[misc]
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
