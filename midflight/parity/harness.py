"""Parity of two stores: run the levels, watch, explain one key.

A run has a name. Its places and mismatches are kept on the way, so that a run that was killed goes on when it is begun
again under its name, and comes to what it would have come to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Literal

from midflight.clock import utc_now
from midflight.core.plan import Invariant
from midflight.errors import RunUnknown
from midflight.parity import levels as level
from midflight.parity.census import can_count, count_fields
from midflight.parity.counting import Sum, group_causes, sum_up
from midflight.parity.explain import Explanation, explain
from midflight.parity.invariants import check_invariants
from midflight.parity.levels import COMPARING, LEVELS
from midflight.parity.pace import Listener, Meter, Pace
from midflight.parity.policy import DEFAULT, Policy
from midflight.parity.ports import Barrier, RunStore, Side
from midflight.parity.ranges import SAMPLE, sampled, size_of_sample, to_walk, walk
from midflight.parity.records import FieldCensus, Level, LevelOutcome, RunRecord
from midflight.parity.rules import Rules
from midflight.parity.suspects import settle
from midflight.parity.watch import base_of, can_watch, ground_of
from midflight.parity.work import Base, Work
from midflight.records import KeyRange, ParityProgress

Mode = Literal["gate", "watch"]


@dataclass(frozen=True)
class Parity:
    """Compares the entities of a domain. It only reads; what it finds is in the store."""

    source: Side
    target: Side
    barrier: Barrier
    store: RunStore
    rules: Mapping[str, Rules]
    _: KW_ONLY
    domain: str
    entities: Sequence[str]
    policy: Policy = DEFAULT
    invariants: Sequence[Invariant] = ()
    plan_fingerprint: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    """Kept with the full level, JSON-ready: what a reader of the report should know (fields verified by same code)."""
    listener: Listener | None = None

    async def run(
        self, run: str, mode: Mode = "gate", levels: Sequence[Level] = LEVELS, frozen: bool = False
    ) -> RunRecord:
        """Run the levels, or go on with the run of this name; a finished one is returned as it is kept.

        A run goes on with the levels and the size of sample it was begun with, whatever is asked for then.
        `frozen`: nobody writes to the source, and the target has everything; then every difference is settled at once.
        A run that could not decide because the target did not follow in time comes back without an end: begin it again.
        """
        record = await self.begin(run, mode, levels)
        if record.finished_at is not None:
            return record
        levels = [outcome.level for outcome in record.levels] or levels
        work = await self.work_on(record, levels, frozen=frozen)
        await self._walk(work)
        return await self.conclude(record, work, levels, decided=await settle(work))

    async def explain(self, entity: str, key: bytes) -> Explanation:
        """Look closely at one key. It may wait for the target to follow."""
        return await explain(self.at_work("", frozen=False, census=False, base=None), entity, key)

    def at_work(self, run: str, *, frozen: bool, census: bool, base: Base | None) -> Work:
        """What the parts of a run work with: for whoever does them one by one."""
        return Work(
            source=self.source,
            target=self.target,
            barrier=self.barrier,
            store=self.store,
            rules=self.rules,
            policy=self.policy,
            domain=self.domain,
            run=run,
            frozen=frozen,
            census=census,
            base=base,
            pace=Pace(self.policy.documents_per_second),
            meter=Meter(run, self.listener),
        )

    # --- the steps of a run, for whoever does them apart, with `ranges.walk` and `suspects.settle` --------------------

    async def begin(self, run: str, mode: Mode, levels: Iterable[Level]) -> RunRecord:
        """Record the run with its levels and cut its ranges; a known run is returned as it stands."""
        try:
            return await self.store.record(self.domain, run)
        except RunUnknown:
            asked = level.begun(levels, self.policy)
            record = RunRecord(self.domain, run, mode, utc_now(), None, self.plan_fingerprint, asked)
            await self.store.begin(record, await self._ranges(levels))
            return await self.store.record(self.domain, run)

    async def work_on(self, record: RunRecord, levels: Iterable[Level], *, frozen: bool) -> Work:
        """What the steps of this run work with."""
        work = self.at_work(record.run, frozen=frozen, census="census" in levels, base=await self._base(record))
        return replace(work, policy=level.with_kept_sample(self.policy, record.levels))

    async def places(self, run: str) -> list[tuple[str, ParityProgress]]:
        """The ranges that the run walks, by entity, as they stand."""
        return [
            (entity, place)
            for entity in self.entities
            for place in to_walk(await self.store.progress(self.domain, run, entity))
        ]

    async def conclude(
        self, record: RunRecord, work: Work, levels: Iterable[Level], *, decided: bool = True
    ) -> RunRecord:
        """Judge every level, and close the run if all was walked and decided."""
        asked = frozenset(levels)
        sums = await sum_up(work, self.entities) if self._compares(asked) else []
        await group_causes(work, sums)
        outcomes = self._compared(work, asked, sums)
        fields = await self._census(work, sums, outcomes) if "census" in asked else []
        if "structure" in asked:
            outcomes.append(await level.structure(self.source, self.target))
        if "invariants" in asked:
            outcomes.append(await check_invariants(work, self.invariants))
        ordered = tuple(sorted(outcomes, key=lambda outcome: LEVELS.index(outcome.level)))
        counts = tuple(one.counts() for one in sums)
        concluded = replace(record, levels=ordered, entities=counts, census=tuple(fields))
        if not decided or not all(one.done for one in sums):
            return concluded
        finished = replace(concluded, finished_at=utc_now())
        await self.store.finish(finished)
        return finished

    # --- how it does them -------------------------------------------------------------------------------------------

    async def _ranges(self, levels: Iterable[Level]) -> dict[str, list[KeyRange]]:
        """By entity; first the walk over the target's keys. Where the whole is compared, no sample is needed."""
        if not self._compares(levels):
            return {}
        if "full" not in levels:
            return {entity: [KeyRange(), SAMPLE] for entity in self.entities}
        return {entity: [KeyRange(), *await self._cut(entity)] for entity in self.entities}

    async def _cut(self, entity: str) -> list[KeyRange]:
        parts = await self.source.count(entity) // self.policy.range_size + 1
        return await self.source.ranges(entity, parts)

    async def _base(self, record: RunRecord) -> Base | None:
        if record.mode == "gate" or not can_watch(self.source, self.target):
            return None
        return await base_of(self.store, self.domain, record.run, self._ground, self.entities)

    @property
    def _ground(self) -> str:
        return ground_of(self.plan_fingerprint, self.rules)

    async def _walk(self, work: Work) -> None:
        """Every range, a few at a time; if one fails, the others are given up, and the run can be begun again."""
        free = asyncio.Semaphore(self.policy.parallel)

        async def one(entity: str, place: ParityProgress) -> None:
            async with free:
                await walk(work, entity, place)

        places = await self.places(work.run)
        await self._expect(work, places)
        try:
            async with asyncio.TaskGroup() as tasks:
                for entity, place in places:
                    tasks.create_task(one(entity, place))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _expect(self, work: Work, places: Iterable[tuple[str, ParityProgress]]) -> None:
        """Tell the meter what is to come: the source's keys, or the sample, and the target's keys."""
        of_entity: dict[str, list[ParityProgress]] = {}
        for entity, place in places:
            of_entity.setdefault(entity, []).append(place)
        for entity, of_one in of_entity.items():
            keys = await self.source.count(entity)
            about = (
                min(keys, size_of_sample(work.policy)) if sampled(of_one) else keys + await self.target.count(entity)
            )
            work.meter.expect(about, sum(place.compared for place in of_one))

    def _compares(self, levels: Iterable[Level]) -> bool:
        """Whether keys are compared at all."""
        asked = frozenset(levels)
        return bool(asked & COMPARING) or ("census" in asked and not can_count(self.source, self.target))

    def _compared(self, work: Work, levels: frozenset[Level], sums: Sequence[Sum]) -> list[LevelOutcome]:
        outcomes = []
        if "sample" in levels:
            outcomes.append(level.sample(work, sums))
        if "full" in levels:
            full = level.full(work, sums, self._ground)
            outcomes.append(replace(full, details={**full.details, **self.details}))
        return outcomes

    async def _census(self, work: Work, sums: Sequence[Sum], outcomes: list[LevelOutcome]) -> list[FieldCensus]:
        """Add its outcome, and give its fields."""
        if sums:
            fields = [field for whole in sums for field in whole.census()]
            outcomes.append(level.census(sums, fields))
        else:
            fields, settled = await count_fields(work, self.entities)
            outcomes.append(level.counted_census(fields, settled))
        return fields
