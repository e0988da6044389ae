"""Pacing: how long to rest after a batch, and when the daily window opens and closes. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from midflight.core.plan import DailyWindow, Pacing


def rest_seconds(documents: int, elapsed: float, pacing: Pacing, share: int = 1) -> float:
    """How long to rest so that `documents` in `elapsed` seconds keep to this partition's share of the rate."""
    if pacing.documents_per_second is None:
        return 0.0
    return max(0.0, documents * share / pacing.documents_per_second - elapsed)


def batch_size(pacing: Pacing, share: int = 1) -> int:
    """Documents a batch.

    At most half a second's worth at the paced rate, so that a pause is quick and the rate smooth.
    """
    if pacing.documents_per_second is None:
        return pacing.batch_size
    return max(1, min(pacing.batch_size, pacing.documents_per_second // (2 * share)))


def is_open(window: DailyWindow | None, now: datetime) -> bool:
    """Whether the backfill may run at `now` (UTC)."""
    if window is None:
        return True
    start, end, minute = _minutes(window.start), _minutes(window.end), now.hour * 60 + now.minute
    return start <= minute < end if start < end else minute >= start or minute < end


def until_change(window: DailyWindow, now: datetime) -> timedelta:
    """From `now` (UTC) to the next opening or closing of the window."""
    boundary = _minutes(window.end if is_open(window, now) else window.start)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = midnight + timedelta(minutes=boundary)
    return (moment if moment > now else moment + timedelta(days=1)) - now


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
