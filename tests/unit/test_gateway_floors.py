"""What the target may not have yet: entities that are behind, marks, and the tokens of contexts."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midflight.core.phase import Stage
from midflight.core.routing import Route, Side
from midflight.errors import SourceUnavailable
from midflight.gateway import floors as module
from midflight.gateway.floors import MANY, Floor, Floors, Level, above
from midflight.gateway.unproven import MANY_DOCUMENTS


def route(mark: int = 0, epoch: int = 1) -> Route:
    return Route("shop", Side.SOURCE, epoch, 1, False, Stage.RAMP, 0, 0, mark)


class Marks:
    """The source's marks: 10, 11, ... Each may be held back."""

    def __init__(self) -> None:
        self.last = 9
        self.fails = 0
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def write(self, domain: str) -> int:
        self.asked.set()
        await self.go.wait()
        if self.fails:
            self.fails -= 1
            raise SourceUnavailable("away")
        self.last += 1
        return self.last


async def test_an_entity_is_behind_until_a_mark_of_after_its_fall_has_passed() -> None:
    floors, marks = Floors("shop"), Marks()
    floors.fall([b"ada"], None, 1)
    assert floors.behind(b"ada", 99)
    await floors.mark_them(marks.write)
    assert (floors.behind(b"ada", 9), floors.behind(b"ada", 10), floors.behind(b"eve", 0)) == (True, False, False)
    floors.passed(10)
    assert not floors.behind(b"ada", 0)


async def test_a_mark_that_was_under_way_does_not_cover_a_later_fall() -> None:
    floors, marks = Floors("shop"), Marks()
    marks.go.clear()
    floors.fall([b"ada"], None, 1)
    marking = asyncio.create_task(floors.mark_them(marks.write))
    await marks.asked.wait()
    assert floors.behind(b"ada", 10)
    floors.fall([b"ada"], None, 1)
    marks.go.set()
    await marking
    assert floors.behind(b"ada", 10)
    assert not floors.behind(b"ada", 11)


async def test_marks_are_written_as_soon_as_the_source_takes_them(monkeypatch: object) -> None:
    floors, marks = Floors("shop"), Marks()
    marks.fails = 2
    retry, module.RETRY_SECONDS = module.RETRY_SECONDS, 0.001
    try:
        floors.fall([b"ada"], None, 1)
        await floors.mark_them(marks.write)
    finally:
        module.RETRY_SECONDS = retry
    assert floors.behind(b"ada", 9)
    assert not floors.behind(b"ada", 10)


async def test_nobody_tries_to_write_a_mark_of_an_epoch_that_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    floors, marks = Floors("shop"), Marks()
    marks.fails = 10**9
    floors.fall([b"ada"], Floor(), 1)
    marking = asyncio.create_task(floors.mark_them(marks.write))
    await marks.asked.wait()
    floors.clear(2)
    async with asyncio.timeout(2):
        await marking
    marks.asked.clear()
    floors.fall([b"ada"], Floor(), 1)  # a unit of work that ends late
    async with asyncio.timeout(2):
        await floors.mark_them(marks.write)
    assert not marks.asked.is_set()
    assert not floors.behind(b"ada", 0)


async def test_a_mark_that_comes_after_the_end_of_its_epoch_holds_nobody_back() -> None:
    floors, marks = Floors("shop"), Marks()
    marks.go.clear()
    floors.fall([b"ada"], None, 1)
    marking = asyncio.create_task(floors.mark_them(marks.write))
    await marks.asked.wait()
    floors.clear(2)
    marks.go.set()
    await marking
    assert not floors.behind(b"ada", 0)


@pytest.mark.parametrize(
    ("token", "authority", "waits"),
    [
        ("shop.2.0", Side.SOURCE, True),
        ("shop.2.7", Side.SOURCE, False),
        ("shop.1.0", Side.SOURCE, False),
        ("shop.3.0", Side.SOURCE, False),
        ("shop.2.0", Side.TARGET, False),
        ("", Side.SOURCE, False),
    ],
)
def test_a_token_without_a_mark_waits_for_one_only_in_its_own_epoch(token: str, authority: Side, waits: bool) -> None:
    assert Floor(token).unmarked(replace(route(epoch=2), authority=authority)) is waits


async def test_an_entity_is_behind_until_its_documents_are_known_to_be_out_of_quarantine() -> None:
    floors, marks = Floors("shop"), Marks()
    floors.fall([b"ada"], None, 1, {"purses": [b"1", b"2"], "notes": [b"3"]})
    await floors.mark_them(marks.write)
    assert floors.unproven(9) == {}
    floors.passed(10)
    assert floors.unproven(10) == {"purses": [b"1", b"2"], "notes": [b"3"]}
    floors.proven("purses", [b"1"], 10)
    floors.proven("notes", [b"3"], 10)
    assert (floors.behind(b"ada", 10), floors.behind(b"eve", 10)) == (True, False)
    floors.proven("purses", [b"2"], 10)
    assert not floors.behind(b"ada", 10)


async def test_a_document_that_was_written_again_waits_for_its_newer_mark() -> None:
    floors, marks = Floors("shop"), Marks()
    floors.fall([b"ada"], None, 1, {"purses": [b"1"]})
    await floors.mark_them(marks.write)
    floors.fall([b"eve"], None, 1, {"purses": [b"1"]})
    await floors.mark_them(marks.write)
    floors.proven("purses", [b"1"], 10)
    floors.passed(11)
    assert floors.unproven(10) == {}
    assert (floors.behind(b"ada", 11), floors.behind(b"eve", 11)) == (True, True)
    floors.proven("purses", [b"1"], 11)
    assert (floors.behind(b"ada", 11), floors.behind(b"eve", 11)) == (False, False)


async def test_where_nobody_says_whose_a_document_is_everybody_is_behind() -> None:
    floors, marks = Floors("shop"), Marks()
    floors.fall([], None, 1, {"purses": [b"1"]})
    await floors.mark_them(marks.write)
    floors.passed(10)
    assert floors.behind(b"somebody", 10)
    floors.clear(2)
    assert not floors.behind(b"somebody", 10)


async def test_beyond_very_many_documents_the_mark_alone_counts() -> None:
    floors, marks = Floors("shop"), Marks()
    keys = [b"%d" % number for number in range(MANY_DOCUMENTS)]
    floors.fall([b"ada"], None, 1, {"purses": keys})
    await floors.mark_them(marks.write)
    floors.fall([b"eve"], None, 1, {"purses": [b"one more"]})
    floors.fall([b"bob"], None, 1, {"purses": keys[:1]})
    await floors.mark_them(marks.write)
    floors.passed(11)
    assert len(floors.unproven(10)["purses"]) == MANY_DOCUMENTS - 1
    assert floors.unproven(11) == {"purses": keys}
    assert [floors.behind(name, 11) for name in (b"ada", b"bob", b"eve")] == [True, True, False]


async def test_where_very_many_fall_everything_is_behind() -> None:
    floors, marks = Floors("shop"), Marks()
    floors.fall([b"%d" % number for number in range(MANY + 1)], None, 1)
    await floors.mark_them(marks.write)
    assert floors.behind(b"somebody else", 9)
    floors.passed(10)
    assert not floors.behind(b"somebody else", 10)


async def test_a_floor_learns_its_mark() -> None:
    floors, marks, floor = Floors("shop"), Marks(), Floor()
    floors.fall([b"ada"], floor, 1)
    assert floor.token({}) == "shop.1.0"
    await floors.mark_them(marks.write)
    assert floor.token({}) == "shop.1.10"
    assert floor.token({"shop": route(9)}) == "shop.1.10"
    assert floor.token({"shop": route(10)}) == ""


def test_a_level_of_an_older_epoch_is_reached_and_one_of_a_newer_is_not() -> None:
    assert not above(Level(1, 99), route(0, epoch=2))
    assert above(Level(2, 1), route(99, epoch=1))


async def test_a_token_carries_the_higher_of_what_it_brought_and_what_was_written_since() -> None:
    floors, marks, floor = Floors("shop"), Marks(), Floor("shop.1.50~other.2.7")
    floors.fall([b"ada"], floor, 1)
    await floors.mark_them(marks.write)
    assert floor.token({}) == "other.2.7~shop.1.50"


@given(st.text(max_size=200))
def test_garbage_in_a_token_is_ignored(text: str) -> None:
    token = Floor(text).token({})
    assert re.fullmatch(r"[a-z0-9.~-]*", token)
    assert Floor(token).levels == Floor(text).levels
