"""Dark reads: bounded, never felt by the caller, and a difference only where it stays."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from midflight.core.keys import key_bytes
from midflight.core.phase import Stage
from midflight.core.routing import Route, Side
from midflight.gateway import dark
from midflight.gateway.compare import Comparator
from midflight.gateway.dark import DarkReads
from midflight.gateway.observing import Outcome, ReadCall
from midflight.gateway.policy import Policy
from midflight.records import ReadMismatch, ReadReport

POLICY = Policy(dark_seconds=0.2, dark_at_once=2, breaker_failures=3, breaker_seconds=60.0)
ROUTE = Route("members", Side.SOURCE, 1, 7, False, Stage.RAMP, 1_000, 500)
GOOD = {"points": 10}
Ask = Callable[[], Awaitable[Any]]


class NotFound(Exception):
    """What a repository raises."""


class Missing(Exception):
    """What the other repository raises for the same."""


def call(compare: Comparator[Any] | None = None) -> ReadCall:
    return ReadCall("balance", key_bytes("ada"), ROUTE, compare)


def gives(*answers: Any) -> Ask:
    """Each answer in turn, the last one for ever; errors are raised."""
    left = list(answers)

    async def ask() -> Any:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


def outcome(answer: Any) -> Outcome:
    return Outcome(None, answer, 0.001) if isinstance(answer, Exception) else Outcome(answer, None, 0.001)


@dataclass
class Watched:
    """An observer with short pauses; `read` is one read in the sample, dark read included."""

    policy: Policy = POLICY
    reads: DarkReads = field(init=False)

    def __post_init__(self) -> None:
        self.reads = DarkReads(self.policy, look_again_after=(0.001, 0.002))

    async def read(
        self, served: Any, other: Ask, again: Ask | None = None, *, side: Side = Side.SOURCE, **hooks: Any
    ) -> bool:
        work = self.reads.sampled(call(hooks.get("compare")), side, outcome(served), other, again)
        if work is not None:
            await work
        return work is not None

    def report(self) -> tuple[ReadReport, list[ReadMismatch]]:
        (found,) = self.reads.take()
        (report,) = found.reports
        return report, list(found.mismatches)

    def counts(self) -> dict[str, int]:
        report, _ = self.report()
        names = ("compared", "equal", "ignored", "unclear", "dropped")
        return {name: count for name in names if (count := getattr(report, name))}


@pytest.fixture
def watched() -> Watched:
    return Watched()


# --- what a comparison comes to ---------------------------------------------------------------------------------------


async def test_equal_answers_are_counted_with_the_time_of_the_dark_side(watched: Watched) -> None:
    assert await watched.read(GOOD, gives(dict(GOOD)))
    report, mismatches = watched.report()
    assert (report.operation, report.revision, report.compared, report.equal) == ("balance", 7, 1, 1)
    assert (sum(report.source_latency), sum(report.target_latency), mismatches) == (0, 1, [])


@pytest.mark.parametrize("side", list(Side))
async def test_a_difference_that_stays_is_a_mismatch_whoever_served(watched: Watched, side: Side) -> None:
    served, other = (GOOD, {"points": 11}) if side is Side.SOURCE else ({"points": 11}, GOOD)
    assert await watched.read(served, gives(other), gives(served), side=side)
    report, mismatches = watched.report()
    assert (report.compared, report.equal, report.causes) == (1, 0, {"points: different value": 1})
    assert mismatches == [ReadMismatch("balance", '"ada"', ("points",), "different value")]


async def test_values_are_kept_only_where_a_team_asked_for_them() -> None:
    keeping = Watched(Policy(keep_values=True))
    await keeping.read({"points": 1}, gives({"points": 2}), gives({"points": 1}))
    _, (mismatch,) = keeping.report()
    assert mismatch.sides == {"source": {"points": 1}, "target": {"points": 2}}


async def test_a_difference_that_heals_was_lag(watched: Watched) -> None:
    await watched.read(GOOD, gives({"points": 9}, {"points": 9}, GOOD), gives(GOOD))
    report, mismatches = watched.report()
    assert (report.compared, report.ignored, report.causes, mismatches) == (1, 1, {dark.LAG: 1}, [])


async def test_a_key_that_is_written_all_the_time_shows_no_mismatch(watched: Watched) -> None:
    """Every look finds the target one write behind: that is what lag looks like on a busy key."""
    source = gives(*({"points": n} for n in range(2, 100)))
    target = gives(*({"points": n} for n in range(200, 300)))
    await watched.read({"points": 1}, target, source)
    report, mismatches = watched.report()
    assert (report.ignored, report.causes, mismatches) == (1, {dark.LAG: 1}, [])


async def test_where_the_serving_side_cannot_be_asked_again_the_first_look_counts(watched: Watched) -> None:
    await watched.read(GOOD, gives({"points": 9}))
    assert len(watched.report()[1]) == 1


async def test_a_store_that_goes_away_between_the_looks_leaves_nothing_to_count(watched: Watched) -> None:
    await watched.read(GOOD, gives({"points": 9}, ConnectionError()), gives(GOOD))
    assert watched.counts() == {"dropped": 1}


# --- errors -----------------------------------------------------------------------------------------------------------


async def test_the_same_error_at_both_sides_is_equal(watched: Watched) -> None:
    await watched.read(NotFound("a"), gives(NotFound("b")))
    report, _ = watched.report()
    assert (report.equal, report.target_errors) == (1, 1)


@pytest.mark.parametrize(
    ("source", "target", "cause"),
    [
        (NotFound(), GOOD, "error at source only"),
        (GOOD, NotFound(), "error at target only"),
        (NotFound(), Missing(), "different error"),
    ],
)
async def test_an_error_at_one_side_or_another_one_is_a_mismatch(
    watched: Watched, source: Any, target: Any, cause: str
) -> None:
    await watched.read(source, gives(target), gives(source))
    report, (mismatch,) = watched.report()
    assert (mismatch.cause, mismatch.fields, report.causes) == (cause, ("(error)",), {f"(error): {cause}": 1})


async def test_a_hook_may_call_two_errors_the_same(watched: Watched) -> None:
    class Same(Comparator[Any]):
        def error_name(self, error: Exception) -> str:
            return "not found" if isinstance(error, NotFound | Missing) else super().error_name(error)

    await watched.read(NotFound(), gives(Missing()), compare=Same())
    assert watched.counts() == {"compared": 1, "equal": 1}


async def test_a_target_that_is_away_is_an_error_and_no_mismatch(watched: Watched) -> None:
    await watched.read(GOOD, gives(ConnectionRefusedError()), gives(GOOD))
    report, mismatches = watched.report()
    assert (report.dropped, report.compared, report.target_errors, mismatches) == (1, 0, 1, [])


# --- hooks ------------------------------------------------------------------------------------------------------------


async def test_clean_equal_and_ignore_always_get_source_and_target() -> None:
    seen: list[tuple[str, Any, Any]] = []

    class Hooked(Comparator[Any]):
        def clean(self, value: Any) -> Any:
            return {"side": value["side"]}

        def equal(self, source: Any, target: Any) -> bool:
            seen.append(("equal", source["side"], target["side"]))
            return False

        def ignore(self, source: Any, target: Any) -> bool:
            seen.append(("ignore", source["side"], target["side"]))
            return True

    for side in Side:
        watched = Watched()
        served, other = {"side": side.value, "noise": 1}, {"side": side.other.value, "noise": 2}
        await watched.read(served, gives(other), gives(served), side=side, compare=Hooked())
        assert watched.counts() == {"compared": 1, "ignored": 1}
    assert seen == [("equal", "source", "target"), ("ignore", "source", "target")] * 2


@pytest.mark.parametrize("hook", ["clean", "equal", "ignore", "error_name", "away"])
async def test_a_bug_in_a_hook_is_a_third_outcome_and_reaches_nobody(
    watched: Watched, hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: Any) -> Any:
        raise ZeroDivisionError("a bug of the team's")

    comparator = type("Buggy", (Comparator,), {hook: bug})()
    served = NotFound() if hook in ("error_name", "away") else GOOD
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await watched.read(served, gives({"points": 11}), gives(served), compare=comparator)
    assert watched.counts() == {"compared": 3, "unclear": 3}
    assert len(caplog.records) == 1, "told once, not with every read"
    assert await watched.read(GOOD, gives(GOOD)), "no room was lost"
    assert await watched.read(GOOD, gives(GOOD))


async def test_an_answer_that_cannot_be_copied_is_unclear(watched: Watched) -> None:
    await watched.read((n for n in range(3)), gives([0, 1, 2]))
    assert watched.counts() == {"compared": 1, "unclear": 1}


async def test_what_the_caller_does_to_its_answer_afterwards_changes_no_comparison(watched: Watched) -> None:
    answer = {"points": 10, "lines": [1, 2]}
    work = watched.reads.sampled(
        call(), Side.SOURCE, outcome(answer), gives({"points": 10, "lines": [1, 2]}), gives(answer)
    )
    answer["points"] = 0
    answer["lines"].clear()  # type: ignore[attr-defined]
    assert work is not None
    await work
    assert watched.counts() == {"compared": 1, "equal": 1}


# --- bounds -----------------------------------------------------------------------------------------------------------


async def never() -> Any:
    await asyncio.Event().wait()


async def test_a_candidate_that_never_answers_is_given_up_at_its_deadline(watched: Watched) -> None:
    began = time.monotonic()
    await watched.read(GOOD, never, gives(GOOD))
    assert time.monotonic() - began < 5.0
    report, mismatches = watched.report()
    assert (report.dropped, report.target_errors, mismatches) == (1, 1, [])


async def test_our_deadline_is_no_difference_even_where_a_hook_calls_timeouts_one(watched: Watched) -> None:
    class Strict(Comparator[Any]):
        def away(self, error: Exception) -> bool:
            return False

    await watched.read(GOOD, never, gives(GOOD), compare=Strict())
    assert watched.counts() == {"dropped": 1}


async def test_when_there_is_no_room_dark_reads_are_dropped_at_once_and_counted(watched: Watched) -> None:
    release = asyncio.Event()

    async def held() -> Any:
        await release.wait()
        return GOOD

    running = [asyncio.create_task(watched.read(GOOD, held)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not await watched.read(GOOD, gives(GOOD))
    release.set()
    assert await asyncio.gather(*running) == [True, True]
    assert await watched.read(GOOD, gives(GOOD)), "there is room again"
    assert watched.counts() == {"compared": 3, "equal": 3, "dropped": 1}


async def test_a_look_that_waits_takes_no_room_from_first_looks() -> None:
    watched, looked_again = Watched(), asyncio.Semaphore(0)
    watched.reads = DarkReads(POLICY, look_again_after=(60.0,))

    async def again() -> Any:
        looked_again.release()
        return GOOD

    waiting = [asyncio.create_task(watched.read(GOOD, gives({"points": 1}), again)) for _ in range(2)]
    for _ in waiting:
        await looked_again.acquire()
    assert await watched.read(GOOD, gives(GOOD))
    for task in waiting:
        task.cancel()


async def test_the_breaker_opens_and_only_for_the_side_that_fails(watched: Watched) -> None:
    for _ in range(3):
        assert await watched.read(GOOD, gives(ConnectionError()))
    assert not await watched.read(GOOD, gives(GOOD))
    assert await watched.read(GOOD, gives(GOOD), side=Side.TARGET)
    assert watched.counts() == {"compared": 1, "equal": 1, "dropped": 4}


async def test_errors_of_the_application_do_not_open_the_breaker(watched: Watched) -> None:
    for _ in range(9):
        assert await watched.read(NotFound(), gives(NotFound()))


async def test_a_served_read_that_found_its_store_away_is_compared_with_nothing(watched: Watched) -> None:
    assert not await watched.read(ConnectionError(), gives(GOOD))
    assert watched.counts() == {"dropped": 1}


# --- the rest of what an observer is told -----------------------------------------------------------------------------


def test_served_reads_fallbacks_and_skipped_shadow_writes_are_counted(watched: Watched) -> None:
    watched.reads.served(call(), Side.SOURCE, outcome(GOOD))
    watched.reads.served(call(), Side.TARGET, outcome(NotFound()))
    watched.reads.fell_back(call())
    watched.reads.shadow_skipped(ROUTE, "balance")
    report, _ = watched.report()
    assert (sum(report.source_latency), sum(report.target_latency), report.target_errors) == (1, 1, 1)
    assert (report.fallbacks, report.shadow_skipped) == (1, 1)
