"""What a sample says: sizes and bounds, against tables and the plain binomial sum."""

from __future__ import annotations

import math

import pytest

from midflight.parity.statistics import bound, sample_size


@pytest.mark.parametrize(
    ("rate", "at_95", "at_99"),
    [
        (1e-2, 299, 459),
        (1e-3, 2_995, 4_603),
        (1e-4, 29_956, 46_050),
        (1e-5, 299_572, 460_515),
        (1e-6, 2_995_731, 4_605_168),
    ],
)
def test_the_sample_sizes_are_those_of_the_tables(rate: float, at_95: int, at_99: int) -> None:
    assert (sample_size(rate, 0.95), sample_size(rate, 0.99)) == (at_95, at_99)


@pytest.mark.parametrize("rate", [0.5, 0.1, 1e-3, 1e-6])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_a_clean_sample_of_that_size_and_no_smaller_one_shows_the_rate(rate: float, confidence: float) -> None:
    size = sample_size(rate, confidence)
    assert bound(size, 0, confidence) <= rate * (1 + 1e-9)
    assert bound(size - 1, 0, confidence) > rate * (1 - 1e-9)


@pytest.mark.parametrize(
    ("mismatches", "factor"), [(0, 2.996), (1, 4.744), (2, 6.296), (3, 7.754), (5, 10.513), (10, 16.962)]
)
def test_the_bounds_of_a_large_sample_are_those_of_the_tables(mismatches: int, factor: float) -> None:
    assert bound(1_000_000, mismatches, 0.95) * 1e6 == pytest.approx(factor, abs=1e-3)


@pytest.mark.parametrize("n", [1, 2, 7, 30, 100])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_at_the_bound_so_few_mismatches_are_as_unlikely_as_asked(n: int, confidence: float) -> None:
    for k in range(n):
        p = bound(n, k, confidence)
        chance = math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))
        assert chance == pytest.approx(1 - confidence, abs=1e-9)


def test_the_bound_grows_with_the_mismatches_and_shrinks_with_the_sample() -> None:
    assert bound(100, 0, 0.95) < bound(100, 1, 0.95) < bound(100, 50, 0.95) < bound(100, 100, 0.95) == 1.0
    assert bound(10_000, 1, 0.95) < bound(1_000, 1, 0.95) < bound(1_000, 1, 0.99)


def test_the_bound_of_millions_is_right_and_of_nothing_is_everything() -> None:
    assert bound(3_000_000, 1_500_000, 0.95) == pytest.approx(0.500475, abs=1e-6)
    assert bound(0, 0, 0.95) == 1.0


@pytest.mark.parametrize("arguments", [(0.0, 0.95), (1.0, 0.95), (0.1, 0.0), (0.1, 1.0), (-1.0, 0.5)])
def test_a_size_for_no_chance_or_for_certainty_is_refused(arguments: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        sample_size(*arguments)


@pytest.mark.parametrize(("n", "k"), [(10, -1), (10, 11), (0, 1)])
def test_more_mismatches_than_keys_are_refused(n: int, k: int) -> None:
    with pytest.raises(ValueError, match="cannot differ"):
        bound(n, k, 0.95)
