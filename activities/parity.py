"""Parity of a domain as activities: a range at a time, then the suspects, then the repair, then the verdicts.

What is compared and decided is `midflight.parity`'s. A range's place and what was found on the way commit together, so
that each of these may be stopped anywhere, and goes on from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio import activity

from activities.opened import opened
from activities.slices import Progress, beating, stop_if_worker_stops, until_paused
from midflight.contracts.base import DomainRef
from midflight.contracts.parity import (
    BeginParity,
    Compared,
    CompareRange,
    FinishParity,
    LevelView,
    OpenRange,
    ParityBegun,
    ParityReport,
    Repaired,
    RepairSettled,
    Settled,
    SettleSuspects,
)
from midflight.core import pacing as paced
from midflight.core.plan import Pacing
from midflight.errors import DrainTimeout
from midflight.parity import pace
from midflight.parity.counting import group_causes, sum_up
from midflight.parity.domain import parity_of
from midflight.parity.harness import Parity
from midflight.parity.levels import LEVELS
from midflight.parity.policy import Policy
from midflight.parity.ports import ParityStores
from midflight.parity.ranges import TARGET_WALK, walk
from midflight.parity.records import RunRecord
from midflight.parity.repair import plan_of, repair
from midflight.parity.suspects import settle
from midflight.parity.work import Work
from midflight.sync import Bridge

BLOCK_AT_MOST = 2_000
REPAIRED_AT_MOST = 100_000
"""Where more differs for good than this, something is wrong that no repair of keys mends."""


class ParityActivities:
    """The activities of the parity check."""

    def __init__(self, stores: ParityStores) -> None:
        self._stores = stores

    @activity.defn
    async def begin_parity(self, request: BeginParity) -> ParityBegun:
        """Cut every collection into ranges for this run; a run that has begun keeps its ranges."""
        domain, policy = request.ref.domain, _policy(request.pacing)
        async with beating(domain, "cut into ranges"), self._run(request.ref, request.run, policy) as here:
            token = await here.bridge.target.rows.last_token(domain)
            await here.parity.begin(request.run, request.mode, LEVELS)
            ranges = [
                OpenRange(collection=entity, number=place.number)
                for entity, place in await here.parity.places(request.run)
                if not place.done
            ]
        return ParityBegun(open=tuple(ranges), token=token)

    @activity.defn
    async def compare_range(self, request: CompareRange) -> Compared:
        """Compare one range from its committed place; a pause returns what was done until then."""
        counted, done = _Counted(request), False
        policy = _policy(request.pacing, request.share)
        async with until_paused(), self._run(request.ref, request.run, policy, counted.note) as here:
            work = await here.work()
            places = await work.store.progress(work.domain, work.run, request.collection)
            await walk(work, request.collection, next(one for one in places if one.number == request.number))
            done = True
        return counted.compared(done)

    @activity.defn
    async def settle_suspects(self, request: SettleSuspects) -> Settled:
        """Decide about every suspect, and group what one bug of the mapping explains. DrainTimeout."""
        domain, result = request.ref.domain, Settled()
        policy = Policy(barrier_seconds=request.barrier_seconds, exact=True)
        async with until_paused(), beating(domain, "settle"), self._run(request.ref, request.run, policy) as here:
            work = await here.work()
            if not await settle(work):
                raise DrainTimeout(
                    f"The tail of {domain} did not pass the suspects of parity run {request.run}.",
                    next_step="See its lag in `status`; this is tried again.",
                )
            sums = await sum_up(work, here.parity.entities)
            await group_causes(work, sums)
            counts = [one.counts() for one in sums]
            result = Settled(settled=sum(one.settled for one in counts), hot=sum(one.hot for one in counts), done=True)
        return result

    @activity.defn
    async def repair_settled(self, request: RepairSettled) -> Repaired:
        """Repair what the plan's rules allow, through the door; everything is looked at afterwards."""
        result = Repaired()
        policy = Policy(barrier_seconds=request.barrier_seconds, exact=True)
        run, ref = request.run, request.ref
        async with until_paused(), beating(ref.domain, "repair"), self._run(ref, run, policy) as here:
            result = await _repair(here)
        return result

    @activity.defn
    async def finish_parity(self, request: FinishParity) -> ParityReport:
        """Close the run with its verdicts: it is the evidence now. A closed one is reported as it is kept."""
        domain, policy = request.ref.domain, Policy(exact=True)
        async with beating(domain, "close the run"), self._run(request.ref, request.run, policy) as here:
            record = await here.parity.store.record(domain, request.run)
            if record.finished_at is None:
                record = await here.parity.conclude(record, await here.work(), LEVELS)
        return _report(record)

    @asynccontextmanager
    async def _run(
        self, ref: DomainRef, run: str, policy: Policy, listener: pace.Listener | None = None
    ) -> AsyncIterator[_Here]:
        async with opened(self._stores, ref) as bridge, self._stores.runs(ref.target_store) as store:
            yield _Here(bridge, parity_of(bridge, store, policy=policy, listener=listener), run)


@dataclass(frozen=True, slots=True)
class _Here:
    """One run of an open domain."""

    bridge: Bridge
    parity: Parity
    run: str

    async def work(self) -> Work:
        """What the pieces of the run work with."""
        record = await self.parity.store.record(self.parity.domain, self.run)
        return await self.parity.work_on(record, LEVELS, frozen=False)


class _Counted:
    """Counts of one call, told in heartbeats after every block."""

    def __init__(self, request: CompareRange) -> None:
        self._of_target = request.number == TARGET_WALK
        doing = "verify keys" if self._of_target else "verify"
        self._progress = Progress(request.ref.domain, doing, collection=request.collection, range=request.number)
        self._keys = self._suspects = 0

    def note(self, progress: pace.Progress) -> None:
        """A block is committed."""
        self._progress.beat(progress.keys - self._keys, suspects=progress.suspects)
        self._keys, self._suspects = progress.keys, progress.suspects
        stop_if_worker_stops()

    def compared(self, done: bool) -> Compared:
        """What this call answers. The walk over the target's keys compares no documents."""
        if self._of_target:
            return Compared(suspects=self._suspects, done=done)
        return Compared(compared=self._keys, equal=self._keys - self._suspects, suspects=self._suspects, done=done)


def _policy(pacing: Pacing, share: int = 1) -> Policy:
    """Within the pacing of the move, of which `share` ranges have a part each."""
    rate = pacing.documents_per_second
    return Policy(
        batch_size=min(paced.batch_size(pacing, share), BLOCK_AT_MOST),
        range_size=pacing.partition_size,
        documents_per_second=None if rate is None else rate / share,
        exact=True,
    )


async def _repair(here: _Here) -> Repaired:
    plan = await plan_of(here.parity, here.run, here.bridge.plan.parity)
    settled, refused = plan.keys + plan.refused_keys, plan.refused_keys
    if settled > REPAIRED_AT_MOST:
        return Repaired(remaining=settled, refused=settled, done=True)
    report = await repair(here.bridge, plan, here.parity, run=here.run, person="midflight", execute=True)
    remaining = report.remaining + report.undecided + refused
    return Repaired(repaired=report.repaired, remaining=remaining, refused=refused, done=True)


def _report(record: RunRecord) -> ParityReport:
    """Names and counts; reasons name checks and levels, never keys."""
    counts = record.entities
    suspects = ("suspects", "settled", "hot", "cleared", "repaired")
    return ParityReport(
        run=record.run,
        verdict=record.verdict.value,
        compared=sum(one.compared for one in counts),
        equal=sum(one.equal for one in counts),
        suspects=sum(getattr(one, state) for one in counts for state in suspects),
        repaired=sum(one.repaired for one in counts),
        mismatches=sum(one.suspects + one.settled + one.hot for one in counts),
        quarantined=sum(one.quarantined for one in counts),
        levels=tuple(LevelView(level=one.level, verdict=one.verdict.value, reason=one.reason) for one in record.levels),
    )
