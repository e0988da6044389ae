"""What runs beside the phases of a move, slice after slice: the tail, the reverse tail, the watch over reads."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Protocol

from temporalio import workflow
from temporalio.exceptions import ActivityError
from temporalio.workflow import ActivityHandle

with workflow.unsafe.imports_passed_through():
    from activities.reads import ReadActivities
    from activities.reverse import ReverseActivities
    from activities.tail import TailActivities
    from midflight.contracts.base import DomainRef
    from midflight.contracts.cutover import Watched, WatchReads
    from midflight.contracts.domain import DomainState, MigrateRequest
    from midflight.contracts.reverse import FollowBack, FollowedBack
    from midflight.contracts.tail import Follow, Followed
    from midflight.core.phase import Phase, Stage
    from workflows import options
    from workflows.steering import Interrupted, Parked, Steering


class Move(Protocol):
    """What they need of the move they belong to."""

    request: MigrateRequest
    state: DomainState
    steering: Steering

    @property
    def ref(self) -> DomainRef:
        """How activities find the domain."""

    @property
    def still(self) -> bool:
        """Whether nothing may be written now."""

    def enter(self, phase: Phase) -> None:
        """Leave the phase and enter another."""


class Beside:
    """One of them. If it fails for good, the phase that is running hears of it."""

    pausable: ClassVar[bool] = True

    def __init__(self, move: Move) -> None:
        self._move = move
        self._task: asyncio.Task[None] | None = None
        self.steering = Steering()

    def wanted(self) -> bool:
        """Whether it belongs to this part of the move, as the state remembers it."""
        raise NotImplementedError

    def want(self, on: bool) -> None:
        """Remember it in the state, so that it survives continue-as-new."""
        raise NotImplementedError

    async def work(self) -> None:
        """Slice after slice, until nothing is left to do."""
        raise NotImplementedError

    def start(self) -> None:
        """Go on from what is committed; once is enough."""
        self.want(True)
        if self._task is None or self._task.done():
            self.steering = Steering(paused=self.pausable and self._move.still)
            self._task = asyncio.create_task(self._run())

    def steer(self) -> None:
        """Stand still or go on, as the move does."""
        if self.pausable and self._move.still:
            self.steering.pause()
        else:
            self.steering.resume()

    async def halt(self) -> None:
        """Stop; everything stays where the last commit put it."""
        self.steering.stop()
        if self._task is not None:
            await self._task
            self._task = None

    async def stop(self) -> None:
        """Stop for good."""
        self.want(False)
        await self.halt()

    async def _run(self) -> None:
        try:
            await self.work()
        except Interrupted:
            return
        except (ActivityError, Parked) as failure:
            self._move.steering.fail(failure)
        else:
            self.want(False)


class Tail(Beside):
    """Follows the source from `capture` on; after the flip it is the tripwire, until the source is dropped."""

    def wanted(self) -> bool:
        """From `capture` on."""
        return self._move.state.tailing

    def want(self, on: bool) -> None:
        """Remember it."""
        self._move.state.tailing = on

    async def work(self) -> None:
        """Follow."""
        await self.steering.work(self._slice, lambda _: None)

    def _slice(self) -> ActivityHandle[Followed]:
        request = Follow(ref=self._move.ref, slice_seconds=self._move.request.tail_slice_seconds)
        return workflow.start_activity_method(
            TailActivities.follow, request, summary=f"tail of {self._move.ref.domain}", **options.SLICE
        )


class ReverseTail(Beside):
    """Keeps the source fresh from the flip until `retire`, and during the way back."""

    def wanted(self) -> bool:
        """From the flip on."""
        return self._move.state.tailing_back

    def want(self, on: bool) -> None:
        """Remember it."""
        self._move.state.tailing_back = on

    async def work(self) -> None:
        """Write back."""
        await self.steering.work(self._slice, lambda _: None)

    def _slice(self) -> ActivityHandle[FollowedBack]:
        request = FollowBack(ref=self._move.ref, slice_seconds=self._move.request.tail_slice_seconds)
        return workflow.start_activity_method(
            ReverseActivities.follow_back, request, summary=f"reverse tail of {self._move.ref.domain}", **options.SLICE
        )


class Watch(Beside):
    """Watches the application's reads while some of them go to the target: in a pause and at a gate too."""

    pausable = False

    def wanted(self) -> bool:
        """While the stage is `ramp`."""
        return self._move.state.watching

    def want(self, on: bool) -> None:
        """Remember it."""
        self._move.state.watching = on

    async def work(self) -> None:
        """Watch until stopped. Parked when reads were set back; the ledger's audit trail has that already."""
        while True:
            await self.steering.work(self._slice, self._note)

    def _slice(self) -> ActivityHandle[Watched]:
        request = WatchReads(ref=self._move.ref, seconds=self._move.request.tail_slice_seconds)
        return workflow.start_activity_method(
            ReadActivities.watch_reads, request, summary=f"watch reads of {self._move.ref.domain}", **options.SLICE
        )

    def _note(self, watched: Watched) -> None:
        if watched.breaches:
            self._set_back()
            raise Parked(
                f"Reads were set back to the source: {'; '.join(watched.breaches)}. "
                "Find the cause (`mismatches` shows differences), then `resume`: the ramp begins again at its gate."
            )

    def _set_back(self) -> None:
        """The activity has moved the stage; remember it at once, so that nothing goes on from what was before."""
        state = self._move.state
        state.watching = False
        state.stage, state.reads_percent = Stage.DARK_READ, 0.0
        state.ramp_step, state.soak_until = 0, None
        self._move.enter(Phase.RAMP)
