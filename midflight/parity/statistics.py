"""What a sample says about all keys: how many to take, and what is known once they were looked at. Pure.

Keys are taken each with the same chance. A sample never finds "the one bad row"; only a full run does.
"""

from __future__ import annotations

import math

_STEPS = 80
_CONVERGED = 1e-14
_TINY = 1e-300
_TERMS = 100_000


def sample_size(rate: float, confidence: float) -> int:
    """How many keys without a mismatch show, with this confidence, that less than `rate` of all keys differ."""
    _between_0_and_1("rate", rate)
    _between_0_and_1("confidence", confidence)
    return math.ceil(math.log1p(-confidence) / math.log1p(-rate))


def bound(n: int, k: int, confidence: float) -> float:
    """The rate that is not exceeded, with this confidence, when `k` of `n` sampled keys differ (Clopper-Pearson).

    1.0 for an empty sample.
    """
    _between_0_and_1("confidence", confidence)
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} keys cannot differ: give 0 <= k <= n.")
    if k == n:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _incomplete_beta(k + 1, n - k, middle) < confidence:
            low = middle
        else:
            high = middle
    return high


def _between_0_and_1(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"The {name} is {value}: give a number between 0 and 1, both excluded.")


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function: the chance that more than `a - 1` of `a + b - 1` differ at rate x."""
    if x in (0.0, 1.0):
        return x
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_front) * _continued_fraction(a, b, x) / a
    return 1 - math.exp(log_front) * _continued_fraction(b, a, 1 - x) / b


def _continued_fraction(a: float, b: float, x: float) -> float:
    """Lentz's method; it needs about the square root of the larger parameter in terms."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / _not_zero(1 + term * d), _not_zero(1 + term / c)
            result *= d * c
        if abs(d * c - 1) < _CONVERGED:
            break
    return result


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
