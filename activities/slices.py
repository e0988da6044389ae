"""Long activities: how they notice that they must stop, and what they say meanwhile.

A pause comes as a cancellation *by the workflow*: the activity returns what it has done (a cursor kept only in
heartbeats would be lost). Every other cancellation (the server's own pause, a worker going down) must be raised, so
that the server
starts the next attempt, which goes on from the committed checkpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity
from temporalio.exceptions import ApplicationError

from midflight.clock import seconds

ROUNDING = 1
BEAT_SECONDS = 0.5


@asynccontextmanager
async def until_paused() -> AsyncIterator[None]:
    """The body ends early, without an error, when the workflow cancels the activity."""
    try:
        yield
    except asyncio.CancelledError:
        if not cancelled_by_workflow():
            raise


def cancelled_by_workflow() -> bool:
    """Whether the cancellation that is going on was asked for by the workflow."""
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


def stop_if_worker_stops() -> None:
    """Between two batches: make room if this worker is shutting down; another attempt goes on from the checkpoint."""
    if activity.is_worker_shutdown():
        raise ApplicationError("The worker is shutting down; the next attempt goes on from here.", type="WorkerStops")


@asynccontextmanager
async def beating(domain: str, doing: str) -> AsyncIterator[None]:
    """Beats while one long statement runs: it says that this process lives, so that its death is noticed."""
    progress = Progress(domain, doing)

    async def beat() -> None:
        while True:
            progress.beat()
            await asyncio.sleep(BEAT_SECONDS)

    ticker = asyncio.create_task(beat())
    try:
        yield
    finally:
        ticker.cancel()


class Progress:
    """Heartbeats of a long activity: a small dict, without keys' values, for people and for liveness."""

    def __init__(self, domain: str, doing: str, **fixed: str | int) -> None:
        self._fixed = {"domain": domain, "doing": doing, **fixed}
        self._began = seconds()
        self._documents = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return seconds() - self._began

    def beat(self, documents: int = 0, **more: float | None) -> None:
        """Say that `documents` more are done, and whatever else is worth a look."""
        self._documents += documents
        rate = round(self._documents / self.elapsed, ROUNDING) if self.elapsed > 0 else 0.0
        activity.heartbeat({**self._fixed, "documents": self._documents, "per_second": rate, **more})
