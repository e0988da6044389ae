"""Breaches of the limits on reads: said in words with numbers, never judged on too few reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midflight.core.breach import ReadEvidence, breaches
from midflight.core.plan import Limits

LIMITS = Limits(
    mismatch_rate=0.01, error_rate_difference=0.02, p95_difference_ms=50, p99_difference_ms=200, minimum_sample=100
)
GOOD = ReadEvidence(
    seconds=60.0,
    compared=1_000,
    mismatched=10,
    source_reads=1_000,
    target_reads=1_000,
    source_errors=5,
    target_errors=25,
    source_p95_ms=10.0,
    target_p95_ms=60.0,
    source_p99_ms=20.0,
    target_p99_ms=220.0,
)
BAD: list[tuple[dict[str, Any], str]] = [
    ({"mismatched": 11}, "11 of 1000 compared reads differ (1.1 %), the limit is 1 %"),
    ({"target_errors": 26}, "the target fails 2.6 % of reads, the source 0.5 %: the limit for the difference is 2 %"),
    (
        {"target_p95_ms": 60.1},
        "the target's p95 is 60.1 ms, the source's 10.0 ms: the limit for the difference is 50 ms",
    ),
    (
        {"target_p99_ms": 221.0},
        "the target's p99 is 221.0 ms, the source's 20.0 ms: the limit for the difference is 200 ms",
    ),
]


def changed(**changes: Any) -> ReadEvidence:
    return GOOD.model_copy(update=changes)


def test_reads_at_the_limits_break_none() -> None:
    assert breaches(GOOD, LIMITS) == ()


@pytest.mark.parametrize(("change", "reason"), BAD)
def test_each_limit_is_broken_alone_and_said_with_numbers(change: dict[str, Any], reason: str) -> None:
    assert breaches(changed(**change), LIMITS) == (reason,)


def test_every_broken_limit_is_said() -> None:
    everything = {name: value for change, _ in BAD for name, value in change.items()}
    assert breaches(changed(**everything), LIMITS) == tuple(reason for _, reason in BAD)


def test_the_most_frequent_causes_are_named() -> None:
    causes = {"balance: different value": 9, "name: extra at target": 3, "a: order": 3, "z: order": 1}
    (reason,) = breaches(changed(mismatched=16, causes=causes), LIMITS)
    assert reason.endswith("(most: balance: different value: 9, a: order: 3, name: extra at target: 3)")


@pytest.mark.parametrize("few", ["source_reads", "target_reads"])
def test_rates_and_percentiles_wait_until_both_sides_were_read_often_enough(few: str) -> None:
    bad: dict[str, Any] = {"target_errors": 99, "target_p95_ms": 1_000.0, "target_p99_ms": 1_000.0}
    assert breaches(changed(**bad, **{few: 99}), LIMITS) == ()
    assert len(breaches(changed(**bad, **{few: 100}), LIMITS)) == 3


def test_a_mismatch_waits_for_the_sample_too() -> None:
    assert breaches(changed(compared=99, mismatched=99), LIMITS) == ()
    assert breaches(changed(compared=100, mismatched=99), LIMITS)


def test_a_side_that_was_faster_or_failed_less_breaks_nothing() -> None:
    better = {"target_errors": 0, "source_errors": 900, "target_p95_ms": 1.0, "target_p99_ms": 1.0}
    assert breaches(changed(**better, source_p95_ms=900.0, source_p99_ms=900.0), LIMITS) == ()


counts = st.integers(min_value=0, max_value=99)
milliseconds = st.none() | st.floats(min_value=0, max_value=1e5)


@given(counts, counts, counts, milliseconds, milliseconds)
def test_nothing_is_ever_judged_below_the_minimum_sample(
    compared: int, source: int, target: int, source_ms: float | None, target_ms: float | None
) -> None:
    reads = ReadEvidence(
        seconds=1.0,
        compared=compared,
        mismatched=compared,
        source_reads=source,
        target_reads=target,
        target_errors=target,
        source_p95_ms=source_ms,
        target_p95_ms=target_ms,
        source_p99_ms=source_ms,
        target_p99_ms=target_ms,
    )
    assert breaches(reads, LIMITS) == ()


def test_a_minimum_of_nothing_divides_by_nothing() -> None:
    assert breaches(ReadEvidence(seconds=0.0), Limits(minimum_sample=0)) == ()
