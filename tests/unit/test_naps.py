"""Long waits in pieces."""

from __future__ import annotations

from datetime import timedelta

import pytest

from workflows.story import NAP, naps


@pytest.mark.parametrize("seconds", [0.5, 3_600.0, 9_000.25])
def test_the_pieces_of_a_wait_are_the_wait(seconds: float) -> None:
    pieces = list(naps(seconds))
    assert sum(pieces, timedelta()) == timedelta(seconds=seconds)
    assert max(pieces) <= NAP


@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_a_wait_that_is_over_has_a_piece_all_the_same(seconds: float) -> None:
    """Red if the clock decides whether there is a timer: two workers may be told two times."""
    assert len(list(naps(seconds))) == 1
