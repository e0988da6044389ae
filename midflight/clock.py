"""The clock of the edge: the only place in the library that reads the time. The core takes times as arguments."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The wall clock, aware, UTC."""
    return datetime.now(UTC)  # noqa: TID251 (this is the place)


def seconds() -> float:
    """A monotonic clock, for durations."""
    return time.monotonic()  # noqa: TID251 (this is the place)
