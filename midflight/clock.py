"""The clock of the edge: only here the library reads the time, or lets it pass. The core takes times as arguments."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The wall clock, aware, UTC."""
    return datetime.now(UTC)  # noqa: TID251 (this is the place)


def seconds() -> float:
    """A monotonic clock, for durations."""
    return time.monotonic()  # noqa: TID251 (this is the place)


async def nap(seconds: float) -> None:
    """Let others work for so long, before the next look at a condition."""
    await asyncio.sleep(seconds)  # noqa: TID251 (this is the place)
