"""Histograms of latencies: they add up, and a percentile is never below the true one."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from midflight.core.histogram import BOUNDS, add, empty, percentile, slot

LATENCIES = st.lists(st.floats(min_value=0.0001, max_value=20.0), min_size=1, max_size=200)


def of(latencies: list[float]) -> list[int]:
    counts = empty()
    for latency in latencies:
        counts[slot(latency)] += 1
    return counts


def test_the_bounds_are_what_stored_histograms_were_counted_with() -> None:
    """Rows of all versions lie in one table: a change of the bounds would make their sums nonsense."""
    assert (len(BOUNDS), BOUNDS[0], BOUNDS[1], BOUNDS[20], BOUNDS[-1]) == (56, 0.0001, 0.000125, 0.0086736, 21.3821177)


def test_an_empty_histogram_has_no_percentile() -> None:
    assert percentile(empty(), 0.99) is None
    assert percentile([], 0.99) is None


def test_a_latency_on_a_bound_belongs_to_it() -> None:
    assert slot(BOUNDS[7]) == 7
    assert slot(0.0) == 0


def test_what_is_longer_than_the_last_bound_counts_last() -> None:
    assert slot(1_000.0) == len(BOUNDS)
    assert percentile(of([1_000.0]), 0.5) == BOUNDS[-1]


def test_histograms_without_their_empty_end_give_the_same() -> None:
    assert percentile([0, 3, 1], 0.99) == percentile([0, 3, 1, *empty()[3:]], 0.99) == BOUNDS[2]


@given(LATENCIES, st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_the_true_one_or_at_most_a_quarter_above(latencies: list[float], share: float) -> None:
    true = sorted(latencies)[ceil(share * len(latencies)) - 1]
    found = percentile(of(latencies), share)
    assert found is not None
    assert true * 0.999 <= found <= max(true * 1.2501, BOUNDS[0])


@given(LATENCIES, LATENCIES)
def test_sums_of_histograms_are_the_histogram_of_all(one: list[float], other: list[float]) -> None:
    assert add(of(one), of(other)) == of([*one, *other])


def test_a_histogram_that_ends_early_is_added_from_the_front() -> None:
    assert add([1, 2], [1, 0, 5]) == add([1, 0, 5], [1, 2]) == [2, 2, 5]
