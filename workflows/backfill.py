"""BackfillCollection: the partitions of one collection, a few at a time, paced and pausable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.workflow import ActivityHandle

with workflow.unsafe.imports_passed_through():
    from activities.backfill import BackfillActivities
    from midflight.contracts.backfill import (
        BackfillRequest,
        Copied,
        CopyPartition,
        Partitioned,
        PlanPartitions,
        Steer,
    )
    from midflight.core.pacing import is_open, until_change
    from workflows import options
    from workflows.steering import Steering, together


@workflow.defn
class BackfillCollection:
    """Copies what already exists in one collection."""

    @workflow.init
    def __init__(self, request: BackfillRequest) -> None:
        self._request = request
        self._pacing = request.pacing
        self._steering = Steering(paused=request.paused)
        self._paused = request.paused
        self._open = True
        self._total = Copied()
        self._committed: dict[int, int] = {}
        self._committed_before = 0
        self._at_work = 0

    @workflow.run
    async def run(self, request: BackfillRequest) -> Copied:  # noqa: ARG002 (given to __init__ too)
        """Every partition once, each from its committed cursor."""
        planned = await self._plan()
        self._committed_before = planned.committed
        clock = asyncio.create_task(self._keep_window())
        try:
            await self._copy_all(planned)
        finally:
            clock.cancel()
        return self.progress()

    @workflow.signal(description="Stand still or go on, and how fast; sent by the domain's workflow")
    def steer(self, steer: Steer) -> None:
        """Pause, resume or change the pacing."""
        self._paused, self._pacing = steer.paused, steer.pacing
        self._steering.renew()
        self._apply_pause()

    @workflow.query(description="Counts so far")
    def progress(self) -> Copied:
        """What finished slices have reported; the running ones are in their heartbeats."""
        return self._total.model_copy(update={"committed": self._committed_before + sum(self._committed.values())})

    async def _plan(self) -> Partitioned:
        request = PlanPartitions(ref=self._request.ref, collection=self._request.collection, pacing=self._pacing)
        return await workflow.execute_activity_method(
            BackfillActivities.plan_partitions,
            request,
            activity_id="plan-partitions",
            summary=f"cut {self._request.collection} into key ranges",
            **options.SHORT,
        )

    async def _copy_all(self, planned: Partitioned) -> None:
        await together(self._copy(number) for number in planned.open)

    async def _copy(self, number: int) -> None:
        def note(copied: Copied) -> None:
            self._total += copied
            self._committed[number] = copied.committed

        # Asked again after each wait: several may be woken for one place, and the pacing may have changed.
        while self._at_work >= self._pacing.parallel:
            await workflow.wait_condition(lambda: self._at_work < self._pacing.parallel)
        self._at_work += 1
        try:
            await self._steering.work(self._start(number), note)
        finally:
            self._at_work -= 1

    def _start(self, number: int) -> Callable[[], ActivityHandle[Copied]]:
        def start() -> ActivityHandle[Copied]:
            request = CopyPartition(
                ref=self._request.ref,
                collection=self._request.collection,
                partition=number,
                pacing=self._pacing,
                share=self._pacing.parallel,
            )
            return workflow.start_activity_method(
                BackfillActivities.copy_partition,
                request,
                summary=f"copy {self._request.collection}, partition {number}",
                **options.SLICE,
            )

        return start

    async def _keep_window(self) -> None:
        """Close and open the daily window. The clock is read when a window is given, and then only timers count."""
        window, now = self._pacing.window, workflow.now()
        while True:
            self._open = is_open(window, now)
            self._apply_pause()
            timeout = None if window is None else until_change(window, now)
            try:
                await workflow.wait_condition(
                    lambda: self._pacing.window != window,  # noqa: B023 (awaited before it changes)
                    timeout=timeout,
                    timeout_summary="until the daily window changes",
                )
            except TimeoutError:
                now += timeout or timedelta()
            else:
                window, now = self._pacing.window, workflow.now()

    def _apply_pause(self) -> None:
        if self._paused or not self._open:
            self._steering.pause()
        else:
            self._steering.resume()
