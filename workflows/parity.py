"""CheckParity: compare both stores of a domain, look again at the suspects, repair what has settled as different.

A move runs it as a child; a schedule runs it by itself, every night while the way back is still open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.workflow import ActivityHandle

with workflow.unsafe.imports_passed_through():
    from activities.parity import ParityActivities
    from midflight.contracts.backfill import Steer
    from midflight.contracts.parity import (
        BeginParity,
        Compared,
        CompareRange,
        FinishParity,
        OpenRange,
        ParityBegun,
        ParityReport,
        ParityRequest,
        Repaired,
        RepairSettled,
        Settled,
        SettleSuspects,
    )
    from workflows import options
    from workflows.steering import Sliced, Steering, together

ROUNDS_AT_MOST = 10
"""A repair may find keys that have changed meanwhile: then there are suspects again."""
PASS = "pass"  # noqa: S105

S = TypeVar("S", bound=Sliced)


@workflow.defn
class CheckParity:
    """One full run."""

    @workflow.init
    def __init__(self, request: ParityRequest) -> None:
        self._request = request
        self._run = request.run or f"nightly-{workflow.info().start_time:%Y-%m-%d}-{workflow.info().run_id[:8]}"
        self._pacing = request.pacing
        self._steering = Steering(paused=request.paused)
        self._total = Compared()
        self._at_work = 0

    @workflow.run
    async def run(self, request: ParityRequest) -> ParityReport:
        """Compare, look again, repair, say what it came to."""
        begun = await self._begin()
        await together(self._compare(one) for one in begun.open)
        refused = await self._settle_all()
        report: ParityReport = await workflow.execute_activity_method(
            ParityActivities.finish_parity,
            FinishParity(ref=request.ref, run=self._run),
            summary="close the run with its verdicts",
            **options.SHORT,
        )
        report = report.model_copy(update={"refused": refused, "token": begun.token})
        if request.demand_pass and report.verdict != PASS:
            raise ApplicationError(_said(report), type="ParityNotPassed", non_retryable=True)
        return report

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

    async def _begin(self) -> ParityBegun:
        request = BeginParity(ref=self._request.ref, run=self._run, pacing=self._pacing, mode=self._request.mode)
        return await workflow.execute_activity_method(
            ParityActivities.begin_parity, request, summary="cut the collections into ranges", **options.SHORT
        )

    async def _compare(self, one: OpenRange) -> None:
        # Asked again after each wait: several may be woken for one place, and the pacing may have changed.
        while self._at_work >= self._pacing.parallel:
            await workflow.wait_condition(lambda: self._at_work < self._pacing.parallel)
        self._at_work += 1
        try:
            await self._steering.work(self._start(one), self._note)
        finally:
            self._at_work -= 1

    def _note(self, compared: Compared) -> None:
        total = self._total
        self._total = Compared(
            compared=total.compared + compared.compared,
            equal=total.equal + compared.equal,
            suspects=total.suspects + compared.suspects,
        )

    def _start(self, one: OpenRange) -> Callable[[], ActivityHandle[Compared]]:
        def start() -> ActivityHandle[Compared]:
            request = CompareRange(
                ref=self._request.ref,
                run=self._run,
                collection=one.collection,
                number=one.number,
                pacing=self._pacing,
                share=self._pacing.parallel,
            )
            return workflow.start_activity_method(
                ParityActivities.compare_range,
                request,
                summary=f"compare {one.collection}, range {one.number}",
                **options.SLICE,
            )

        return start

    async def _settle_all(self) -> int:
        """Until nothing is suspect, and nothing is left that a repair mends; how many keys it left alone."""
        refused = 0
        for _ in range(ROUNDS_AT_MOST):
            settled = await self._to_the_end(self._start_settling)
            if not (settled.settled and self._request.repair):
                break
            repaired = await self._to_the_end(self._start_repair)
            refused = repaired.refused
            if not repaired.repaired:
                break
        return refused

    async def _to_the_end(self, start: Callable[[], ActivityHandle[S]]) -> S:
        """The last slice's result: what is done is counted by the ledger, not by slices."""
        results: list[S] = []
        await self._steering.work(start, results.append)
        return results[-1]

    def _start_settling(self) -> ActivityHandle[Settled]:
        return workflow.start_activity_method(
            ParityActivities.settle_suspects,
            SettleSuspects(**self._about()),
            summary="look at the suspects again until they are decided",
            **options.SLICE,
        )

    def _start_repair(self) -> ActivityHandle[Repaired]:
        return workflow.start_activity_method(
            ParityActivities.repair_settled,
            RepairSettled(**self._about()),
            summary="repair what differs for good, through the door",
            **options.SLICE,
        )

    def _about(self) -> dict[str, Any]:
        barrier = options.DRAIN_BEFORE_PARITY.total_seconds()
        return {"ref": self._request.ref, "run": self._run, "barrier_seconds": barrier}


def _said(report: ParityReport) -> str:
    bad = [f"{one.level}: {one.verdict} ({one.reason})" for one in report.levels if one.verdict != PASS]
    return f"Parity run {report.run}: {report.verdict}. {'; '.join(bad)}. `midflight parity report` tells which keys."
