"""The bounded waits of a handover, without servers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from midflight.records import InstanceView
from midflight.waiting import late_instances, to_the_end, within


class Instances:
    """A registry that shows one look after the other, the last one for ever."""

    def __init__(self, *looks: list[InstanceView]) -> None:
        self._looks = list(looks)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"not asked for: {name}")

    async def instances(self, domain: str) -> list[InstanceView]:
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]


def view(name: str, seen: int, oldest: int | None = None) -> InstanceView:
    return InstanceView(name, seen, oldest, 4.13 if oldest else None, lease_left=2.0, silent_seconds=0.26)


async def test_those_that_are_late_are_named_with_what_they_do() -> None:
    registry = Instances([view("web-1", 6), view("web-2", 7, 6), view("web-3", 7, 7), view("web-4", 8)])
    assert await late_instances(registry, "orders", 7, 0.0) == (
        "web-1: has not seen revision 7, silent for 0.3 s",
        "web-2: write in flight for 4.1 s",
    )


async def test_an_instance_that_obeys_or_is_gone_is_not_waited_for_any_longer() -> None:
    registry = Instances([view("web-1", 6), view("web-2", 7, 6)], [view("web-1", 7), view("web-2", 7, 6)], [])
    assert await late_instances(registry, "orders", 7, 5.0) == ()


async def test_work_that_is_done_in_time_gives_its_result_or_its_error() -> None:
    async def result() -> int:
        return 3

    async def error() -> None:
        raise KeyError("gone")

    assert await within(result(), 1.0) == 3
    with pytest.raises(KeyError):
        await within(error(), 1.0)


async def test_work_that_does_not_obey_a_cancellation_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midflight.waiting.OBEYS_CANCEL_SECONDS", 0.02)
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(within(stubborn(), 0.02), 2.0)
    released.set()


async def test_a_result_that_comes_with_the_cancellation_counts() -> None:
    async def last_moment() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 7
        raise AssertionError

    assert await within(last_moment(), 0.02) == 7


async def test_what_must_not_be_left_half_done_outlives_cancellations() -> None:
    opened, steps = asyncio.Event(), list[str]()

    async def undo() -> str:
        steps.append("begun")
        await opened.wait()
        steps.append("done")
        return "undone"

    task = asyncio.create_task(to_the_end(undo()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    opened.set()
    assert await task == "undone"
    assert steps == ["begun", "done"]
