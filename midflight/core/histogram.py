"""Latencies as counts over fixed bounds: they add up over instances and time, and give percentiles without samples."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import zip_longest

BOUNDS: tuple[float, ...] = tuple(round(0.0001 * 1.25**step, 7) for step in range(56))
"""Upper bounds in seconds, 0.1 ms to about 21 s, each a quarter above the one before; what is longer counts last."""


def empty() -> list[int]:
    """A histogram with nothing in it."""
    return [0] * (len(BOUNDS) + 1)


def slot(seconds: float) -> int:
    """The place of a latency in a histogram."""
    return bisect_left(BOUNDS, seconds)


def percentile(counts: Sequence[int], share: float) -> float | None:
    """The upper bound (seconds) below which `share` (0 to 1) of the latencies lie; None if there are none."""
    total = sum(counts)
    if not total:
        return None
    wanted, seen = share * total, 0
    for place, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return BOUNDS[min(place, len(BOUNDS) - 1)]
    return BOUNDS[-1]


def add(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Both together; what one of them leaves out at its end counts nothing."""
    return [a + b for a, b in zip_longest(one, other, fillvalue=0)]
