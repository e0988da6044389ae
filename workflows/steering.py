"""Steering: what makes running work stop, wait, go on or give way.

All waiting of the workflows goes through here, so that pause, new pacing, rollback and continue-as-new act at known
points. Work is an activity that returns early when it is cancelled, with `done` false, and is started again from its
committed checkpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, RetryState, is_cancelled_exception


class Interrupted(Exception):
    """The operator rolls back: leave the phase."""


class Parked(Exception):
    """Only an operator leads on: the reason is for people."""


class HistoryFull(Exception):
    """The history is long enough: leave the phase, continue as new, and come back to it."""


class Sliced(Protocol):
    """A result of work that may have ended early."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""


R = TypeVar("R")
S = TypeVar("S", bound=Sliced)


class Steering:
    """The state of the wheel. `turn` grows with everything that must stop what is running."""

    def __init__(self, *, paused: bool = False) -> None:
        self.paused = paused
        self.stopped = False
        self.turn = 0
        self.failure: BaseException | None = None

    def pause(self) -> None:
        """Stop what runs; nothing starts until `resume`."""
        if not self.paused:
            self.paused = True
            self.turn += 1

    def resume(self) -> None:
        """Go on; what runs is left alone."""
        if self.paused:
            self.paused = False
            self.turn += 1

    def renew(self) -> None:
        """Stop what runs and start it again, with new pacing."""
        self.turn += 1

    def stop(self) -> None:
        """Stop what runs; every wait raises Interrupted."""
        self.stopped = True
        self.turn += 1

    def fail(self, failure: BaseException) -> None:
        """Something in the background failed: every wait raises it."""
        self.failure = failure
        self.turn += 1

    def clear(self) -> None:
        """Ready for the next phase."""
        self.stopped = False
        self.failure = None

    def check(self) -> None:
        """Raise what stands in the way of going on."""
        if self.stopped:
            raise Interrupted
        if self.failure is not None:
            raise self.failure

    async def until(self, condition: Callable[[], bool], why: str, timeout: timedelta | None = None) -> bool:
        """Wait until the condition holds (True) or the time is over (False)."""
        try:
            await workflow.wait_condition(
                lambda: self.stopped or self.failure is not None or condition(),
                timeout=timeout,
                timeout_summary=why,
            )
        except TimeoutError:
            return False
        self.check()
        return True

    async def ready(self) -> None:
        """Wait while paused."""
        await self.until(lambda: not self.paused, "paused")

    async def work(self, start: Callable[[], workflow.ActivityHandle[S]], note: Callable[[S], Any]) -> None:
        """Run work until it is done; `note` takes each slice's result."""
        done = False
        while not done:
            await self.ready()
            result = await self._slice(start)
            if result is not None:
                note(result)
                done = result.done
            if not done:
                _check_cancelled()
                self.check()

    async def answer(self, start: Callable[[], workflow.ActivityHandle[R]]) -> R:
        """Run work that answers once, at its end; a pause cancels it, and it is started again afterwards."""
        result = None
        while result is None:
            await self.ready()
            result = await self._slice(start)
            if result is None:
                _check_cancelled()
                self.check()
        return result

    async def _slice(self, start: Callable[[], workflow.ActivityHandle[R]]) -> R | None:
        turn, handle = self.turn, start()
        try:
            await workflow.wait_condition(lambda: handle.done() or self.turn != turn)
        except asyncio.CancelledError:
            # This workflow is cancelled: it may not end before the activity has, which would go on writing.
            handle.cancel()
            await _result(handle)
            raise
        if not handle.done():
            handle.cancel()
        return await _result(handle)


def _check_cancelled() -> None:
    """A cancellation of this workflow that came while it waited for an activity it had cancelled itself is swallowed
    by that wait: without this look the work would go on, or wait to be resumed, for ever.
    """
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError


async def together(works: Iterable[Awaitable[None]]) -> None:
    """Wait for all of them, also when one fails or all are cancelled; only then raise the first failure.

    Nothing may still be writing when whoever waits here goes on.
    """
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


async def _result(handle: workflow.ActivityHandle[R]) -> R | None:
    """None if it was cancelled before any worker had it, or failed on its way to the end that was asked for."""
    try:
        return await handle
    except (ActivityError, asyncio.CancelledError) as error:
        if is_cancelled_exception(error) or _failed_while_cancelled(error):
            return None
        raise


def _failed_while_cancelled(error: BaseException) -> bool:
    """Its worker died or its store went away after the cancellation was asked for: Temporal does not try it again,
    and what it is started again from is committed.
    """
    return isinstance(error, ActivityError) and error.retry_state is RetryState.CANCEL_REQUESTED
