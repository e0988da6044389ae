"""Reading ahead changes nothing but when things are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from midflight.parity.ahead import ahead


class Reading:
    """Numbers, with a note of how many were asked for and whether somebody closed them."""

    def __init__(self, count: int, fails_at: int | None = None) -> None:
        self.asked = 0
        self.closed = False
        self._count = count
        self._fails_at = fails_at

    async def items(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self._count):
                self.asked += 1
                await asyncio.sleep(0)
                if number == self._fails_at:
                    raise ConnectionError("the store is away")
                yield number
        finally:
            self.closed = True


async def test_the_items_are_the_same_in_the_same_order() -> None:
    reading = Reading(5)
    assert [item async for item in ahead(reading.items())] == [0, 1, 2, 3, 4]
    assert reading.closed


async def test_one_item_is_on_its_way_and_no_more() -> None:
    reading = Reading(5)
    items = ahead(reading.items())
    assert await anext(items) == 0
    for _ in range(10):
        await asyncio.sleep(0)
    assert reading.asked == 2
    await items.aclose()
    assert reading.closed


async def test_who_stops_early_closes_the_reading() -> None:
    reading = Reading(5)
    items = ahead(reading.items())
    await anext(items)
    await items.aclose()
    assert reading.closed


async def test_what_fails_ahead_fails_where_it_would_have_been_read() -> None:
    reading = Reading(5, fails_at=1)
    items = ahead(reading.items())
    assert await anext(items) == 0
    with pytest.raises(ConnectionError):
        await anext(items)
    assert reading.closed


async def test_a_cancelled_reader_closes_the_reading() -> None:
    reading, begun = Reading(1_000_000), asyncio.Event()

    async def read() -> None:
        async for _ in ahead(reading.items()):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reading.closed
