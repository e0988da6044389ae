"""CheckParity: compare every document of a domain, look again at the suspects, repair what has settled as different."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from temporalio import workflow
from temporalio.workflow import ActivityHandle

with workflow.unsafe.imports_passed_through():
    from activities.parity import ParityActivities
    from midflight.contracts.backfill import Steer
    from midflight.contracts.parity import (
        BeginParity,
        Compared,
        CompareRange,
        FinishParity,
        ParityReport,
        ParityRequest,
        Recheck,
        Rechecked,
    )
    from workflows import options
    from workflows.steering import Steering, together

RECHECKS_AT_MOST = 200


@workflow.defn
class CheckParity:
    """One full run."""

    @workflow.init
    def __init__(self, request: ParityRequest) -> None:
        self._request = request
        self._pacing = request.pacing
        self._steering = Steering(paused=request.paused)
        self._total = Compared()
        self._token: int | None = None

    @workflow.run
    async def run(self, request: ParityRequest) -> ParityReport:
        """Compare, look again, repair, close."""
        for collection in request.collections:
            await self._compare_collection(collection)
        repaired, remaining = await self._recheck_all()
        await self._finish()
        return ParityReport(
            run=request.run,
            compared=self._total.compared,
            equal=self._total.equal,
            suspects=self._total.suspects,
            repaired=repaired,
            mismatches=remaining,
            token=self._token or 0,
        )

    @workflow.signal(description="Stand still or go on, and how fast; sent by the domain's workflow")
    def steer(self, steer: Steer) -> None:
        """Pause, resume or change the pacing."""
        self._pacing = steer.pacing
        if steer.paused:
            self._steering.pause()
        else:
            self._steering.renew()
            self._steering.resume()

    @workflow.query(description="Counts so far")
    def progress(self) -> Compared:
        """What finished slices have reported."""
        return self._total

    async def _compare_collection(self, collection: str) -> None:
        begun = await workflow.execute_activity_method(
            ParityActivities.begin_parity,
            BeginParity(ref=self._request.ref, run=self._request.run, collection=collection, pacing=self._pacing),
            summary=f"cut {collection} into ranges",
            **options.SHORT,
        )
        # The oldest token counts: what any collection changed since then was not yet compared for certain.
        self._token = begun.token if self._token is None else min(self._token, begun.token)
        places = asyncio.Semaphore(self._pacing.parallel)
        await together(self._compare(collection, number, places) for number in begun.open)

    async def _compare(self, collection: str, number: int, places: asyncio.Semaphore) -> None:
        async with places:
            await self._steering.work(self._start(collection, number), self._note)

    def _note(self, compared: Compared) -> None:
        total = self._total
        self._total = Compared(
            compared=total.compared + compared.compared,
            equal=total.equal + compared.equal,
            suspects=total.suspects + compared.suspects,
        )

    def _start(self, collection: str, number: int) -> Callable[[], ActivityHandle[Compared]]:
        def start() -> ActivityHandle[Compared]:
            request = CompareRange(
                ref=self._request.ref,
                run=self._request.run,
                collection=collection,
                number=number,
                batch_size=min(self._pacing.batch_size, 2_000),
            )
            return workflow.start_activity_method(
                ParityActivities.compare_range,
                request,
                summary=f"compare {collection}, range {number}",
                **options.SLICE,
            )

        return start

    async def _recheck_all(self) -> tuple[int, int]:
        """How many were repaired, and how many differ even so."""
        repaired = 0
        for _ in range(RECHECKS_AT_MOST):
            looked = Rechecked()

            def note(result: Rechecked) -> None:
                nonlocal looked
                looked = result

            await self._steering.work(self._start_recheck, note)
            repaired += looked.repaired
            if looked.suspects == looked.remaining:
                break
        return repaired, looked.remaining

    def _start_recheck(self) -> ActivityHandle[Rechecked]:
        request = Recheck(
            ref=self._request.ref,
            run=self._request.run,
            drain_seconds=options.DRAIN_BEFORE_PARITY.total_seconds(),
        )
        return workflow.start_activity_method(
            ParityActivities.recheck,
            request,
            summary="look at the suspects again, repair what still differs",
            **options.LOOK_AGAIN,
        )

    async def _finish(self) -> None:
        await workflow.execute_activity_method(
            ParityActivities.finish_parity,
            FinishParity(ref=self._request.ref, run=self._request.run),
            summary="close the run",
            **options.SHORT,
        )
