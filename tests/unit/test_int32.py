"""Whether BSON's `int` holds a number is asked for every key that is one: the answer must come at once."""

from __future__ import annotations

import pytest

from midflight.core.values import Int64, fits_int32


@pytest.mark.timeout(5)
@pytest.mark.parametrize("kind", [int, Int64])
def test_the_bounds_of_int32_are_found_without_counting_through_them(kind: type[int]) -> None:
    assert [fits_int32(kind(n)) for n in (-(2**31) - 1, -(2**31), 0, 2**31 - 1, 2**31)] == [
        False,
        True,
        True,
        True,
        False,
    ]
