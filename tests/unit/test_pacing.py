"""Pacing: rates and daily windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from midflight.core.pacing import batch_size, is_open, rest_seconds, until_change
from midflight.core.plan import DailyWindow, Pacing

NIGHT = DailyWindow(start="22:00", end="05:30")
LUNCH = DailyWindow(start="12:00", end="13:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{text}:00").replace(tzinfo=UTC)


def test_an_unpaced_batch_needs_no_rest() -> None:
    assert rest_seconds(5_000, 0.1, Pacing()) == 0


def test_the_rest_fills_the_time_that_the_rate_demands() -> None:
    pacing = Pacing(documents_per_second=1_000)
    assert rest_seconds(500, 0.2, pacing) == pytest.approx(0.3)
    assert rest_seconds(500, 0.9, pacing) == 0


def test_partitions_at_work_share_the_rate() -> None:
    assert rest_seconds(500, 0.0, Pacing(documents_per_second=1_000), share=2) == pytest.approx(1.0)


@pytest.mark.parametrize(("rate", "share", "size"), [(None, 1, 2_000), (1_000, 1, 500), (1_000, 4, 125), (1, 4, 1)])
def test_a_paced_batch_is_at_most_half_a_seconds_worth(rate: int | None, share: int, size: int) -> None:
    assert batch_size(Pacing(documents_per_second=rate), share) == size


@pytest.mark.parametrize(
    ("window", "time", "is_it"),
    [
        (None, "03:00", True),
        (LUNCH, "12:00", True),
        (LUNCH, "12:59", True),
        (LUNCH, "13:00", False),
        (NIGHT, "23:00", True),
        (NIGHT, "05:29", True),
        (NIGHT, "05:30", False),
        (NIGHT, "12:00", False),
    ],
)
def test_the_window_is_open_from_start_until_end(window: DailyWindow | None, time: str, is_it: bool) -> None:
    assert is_open(window, at(time)) is is_it


@pytest.mark.parametrize(
    ("window", "time", "minutes"),
    [
        (LUNCH, "11:00", 60),
        (LUNCH, "12:15", 45),
        (LUNCH, "13:00", 23 * 60),
        (NIGHT, "23:30", 360),
        (NIGHT, "06:00", 960),
    ],
)
def test_the_next_change_of_the_window_is_always_ahead(window: DailyWindow, time: str, minutes: int) -> None:
    assert until_change(window, at(time)) == timedelta(minutes=minutes)
