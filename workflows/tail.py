"""The tail of a move: one long activity, started again slice by slice, from `capture` until the flip."""

from __future__ import annotations

import asyncio
from typing import Protocol

from temporalio import workflow
from temporalio.exceptions import ActivityError
from temporalio.workflow import ActivityHandle

with workflow.unsafe.imports_passed_through():
    from activities.tail import TailActivities
    from midflight.contracts.base import DomainRef
    from midflight.contracts.domain import DomainState, MigrateRequest
    from midflight.contracts.tail import Follow, Followed
    from workflows import options
    from workflows.steering import Interrupted, Steering


class Move(Protocol):
    """What the tail needs of the move it belongs to."""

    request: MigrateRequest
    state: DomainState
    steering: Steering

    @property
    def ref(self) -> DomainRef:
        """How activities find the domain."""


class Tail:
    """Runs beside the phases; if it fails for good, the phase that is running hears of it."""

    def __init__(self, move: Move) -> None:
        self._move = move
        self._task: asyncio.Task[None] | None = None
        self.steering = Steering(paused=move.steering.paused)

    def start(self) -> None:
        """Follow the feed from the recorded position; once is enough."""
        self._move.state.tailing = True
        if self._task is None or self._task.done():
            self.steering = Steering(paused=self._move.steering.paused)
            self._task = asyncio.create_task(self._run())

    async def halt(self) -> None:
        """Stop following; the position stays where the last commit put it."""
        self.steering.stop()
        if self._task is not None:
            await self._task
            self._task = None

    async def stop(self) -> None:
        """Stop following for good."""
        self._move.state.tailing = False
        await self.halt()

    async def _run(self) -> None:
        try:
            await self.steering.work(self._slice, lambda _: None)
        except Interrupted:
            return
        except ActivityError as failure:
            self._move.steering.fail(failure)
        else:
            self._move.state.tailing = False

    def _slice(self) -> ActivityHandle[Followed]:
        request = Follow(ref=self._move.ref, slice_seconds=self._move.request.tail_slice_seconds)
        return workflow.start_activity_method(
            TailActivities.follow, request, summary=f"tail of {self._move.ref.domain}", **options.SLICE
        )
