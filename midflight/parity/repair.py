"""Carry a repair out: through the door only, every key looked at afterwards, all of it in the audit trail.

Repeating it is safe, also after it was broken off: the door takes only what is newer. Mismatches are read page by page.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from typing import Any

from midflight.core.mapping import mapper_for
from midflight.core.outcome import Applied, Batch
from midflight.core.plan import ParityRules
from midflight.core.routing import Side
from midflight.errors import AuthorityMoved
from midflight.parity.harness import Parity
from midflight.parity.look import Seen, decided, look, open_states
from midflight.parity.ports import RunStore
from midflight.parity.ranges import SAMPLE, TARGET_WALK
from midflight.parity.records import Mismatch, State
from midflight.parity.repair_plan import CopyAgain, RangeCount, Refused, RepairPlan, Requeue
from midflight.parity.repair_planner import Planner, plan_repair
from midflight.parity.suspects import pages_of
from midflight.parity.work import Work
from midflight.sync import Bridge, map_block, sync_keys

__all__ = ["CopyAgain", "RangeCount", "Refused", "RepairPlan", "RepairReport", "Requeue"]
__all__ += ["demand_source", "plan_of", "plan_repair", "range_counts", "repair"]

KEYS_AT_ONCE = 500
DOCUMENTS_AT_ONCE = 2_000
PAGE = 1_000

BEGUN, DONE = "repair_begun", "repaired"
"""Kinds of entries in the audit trail. Each key's guard says path `repair` besides."""


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair came to. `remaining`: keys that differ still; `undecided`: keys not seen at rest since."""

    plan: RepairPlan
    executed: bool
    applied: Applied = field(default_factory=Applied)
    repaired: int = 0
    remaining: int = 0
    undecided: int = 0

    def details(self) -> dict[str, Any]:
        """Counts, JSON-ready."""
        applied = {"written": self.applied.written, "deleted": self.applied.deleted, "stale": self.applied.stale}
        counts = {"repaired": self.repaired, "remaining": self.remaining, "undecided": self.undecided}
        return {"plan": self.plan.hash, **applied, "quarantined": self.applied.quarantined, **counts}


async def range_counts(store: RunStore, domain: str, run: str, entities: Sequence[str]) -> list[RangeCount]:
    """The ranges of the source that the run walked: what a plan of repair asks for."""
    return [
        RangeCount(entity, place.keys, place.compared)
        for entity in entities
        for place in await store.progress(domain, run, entity)
        if place.number != TARGET_WALK and place.keys != SAMPLE
    ]


async def plan_of(parity: Parity, run: str, rules: ParityRules) -> RepairPlan:
    """What to do about everything that the run has settled."""
    planner = Planner(rules, await range_counts(parity.store, parity.domain, run, parity.entities))
    async for page in _pages(parity.store, parity.domain, run, State.SETTLED):
        planner.add(page)
    return planner.plan()


async def demand_source(bridge: Bridge) -> None:
    """AuthorityMoved where the target is the authority: then the truth is the target, and the source follows it."""
    domain = bridge.plan.domain
    if (await bridge.target.ledger.authority(domain)).authority != Side.SOURCE:
        raise AuthorityMoved(
            f"The target is the authority of {domain}: what it says is the truth, and no repair overwrites it.",
            next_step="Where the source is wrong, update the row at the target, if only to what it says already: "
            "then it is written back.",
        )


async def repair(
    bridge: Bridge, plan: RepairPlan, parity: Parity, *, run: str, person: str, execute: bool = False
) -> RepairReport:
    """Carry the plan out, or only say what it would do. `run` is the one that found the mismatches.

    A key that is equal afterwards is judged repaired in the run. AuthorityMoved where the source is not the authority;
    where it ceases to be in the middle, what was done until then stays, and is right.
    """
    if not execute:
        return RepairReport(plan, executed=False)
    await demand_source(bridge)
    ledger, domain = bridge.target.ledger, bridge.plan.domain
    await ledger.record(domain, BEGUN, person, {"run": run, **plan.summary()})
    at_work = _Repair(bridge, plan, parity.at_work(run, frozen=False, census=False, base=None))
    await at_work.carry_out()
    report = at_work.report()
    await ledger.record(domain, DONE, person, {"run": run, **report.details()})
    return report


class _Repair:
    """A repair at work: what was applied, and what looking at the keys afterwards has shown until now."""

    def __init__(self, bridge: Bridge, plan: RepairPlan, work: Work) -> None:
        self._bridge, self._plan, self._work = bridge, plan, work
        self._applied = Applied()
        self._repaired = self._remaining = self._suspects = 0

    def report(self) -> RepairReport:
        """What it has come to until now."""
        return RepairReport(self._plan, True, self._applied, self._repaired, self._remaining, self._suspects)

    async def carry_out(self) -> None:
        """Ranges first, then key by key; each is looked at until it is decided, beside live writes as in a run."""
        for action in self._plan.copy_again:
            self._applied += await _copy(self._bridge, action)
        async for page in self._pages(State.SETTLED):
            for part in _parts(filter(self._plan.mends, page)):
                await self._requeue(part)
                self._suspects += await self._look(part, barrier_passed=False)
        await self._settle()

    async def _requeue(self, part: Sequence[Mismatch]) -> None:
        if keys := [one.key for one in part if self._plan.requeues(one)]:
            self._applied += await sync_keys(self._bridge, {part[0].entity: keys}, "repair")

    async def _settle(self) -> None:
        """Also those that a repair which was broken off has left."""
        policy = self._work.policy
        for _ in range(policy.rounds):
            await self._look_at_suspects(barrier_passed=False)
            if not self._suspects or not await self._work.barrier.passed(policy.barrier_seconds):
                return
            await self._look_at_suspects(barrier_passed=True)

    async def _look_at_suspects(self, *, barrier_passed: bool) -> None:
        left = 0
        async for page in self._pages(State.SUSPECT):
            for part in _parts(page):
                left += await self._look(part, barrier_passed=barrier_passed)
        self._suspects = left

    async def _look(self, known: Sequence[Mismatch], *, barrier_passed: bool) -> int:
        """Look at these keys of one entity, and keep what is known of them now. How many may only be late."""
        work, before = self._work, {mismatch.key: mismatch for mismatch in known}
        entity = known[0].entity
        seen = await look(work, entity, list(before))
        now = [_now(work, entity, one, before[one.key], barrier_passed=barrier_passed) for one in seen]
        await work.store.judge(work.domain, work.run, now)
        suspects = sum(one.state is State.SUSPECT for one in now)
        self._repaired += sum(one.state is State.REPAIRED for one in now)
        self._remaining += sum(one.state in open_states() for one in now) - suspects
        return suspects

    def _pages(self, state: State) -> AsyncIterator[list[Mismatch]]:
        return _pages(self._work.store, self._work.domain, self._work.run, state)


async def _copy(bridge: Bridge, action: CopyAgain) -> Applied:
    """Every document of the range. Keys that the source does not have are no part of it: those are requeued."""
    collection = bridge.plan.collection(action.entity)
    mapper, applied = mapper_for(collection), Applied()
    # One draw serves one cursor: drawn before it is opened, because the server may hold documents back.
    ticket = await bridge.target.door.draw(bridge.plan.domain)
    read = bridge.source.reader.read_range(action.entity, action.keys, above=None, batch_size=DOCUMENTS_AT_ONCE)
    async for block in read:
        outcomes = await asyncio.to_thread(map_block, mapper, block)
        applied += await bridge.target.door.apply(bridge.plan, ticket, Batch("repair", {action.entity: outcomes}))
    return applied


def _now(work: Work, entity: str, seen: Seen, before: Mismatch, *, barrier_passed: bool) -> Mismatch:
    """What is in quarantine now was not repaired: it is left to its own gate."""
    # Being seen equal once is enough here, so a key that changes all the time is worth another look: it is never hot.
    mismatch = decided(work, entity, seen, replace(before, resets=0), barrier_passed=barrier_passed)
    assert mismatch is not None
    equal = mismatch.state is State.CLEARED and not seen.quarantined
    return replace(mismatch, state=State.REPAIRED) if equal else mismatch


def _pages(store: RunStore, domain: str, run: str, state: State) -> AsyncIterator[list[Mismatch]]:
    return pages_of(store, domain, run, (state,), PAGE)


def _parts(mismatches: Iterable[Mismatch]) -> Iterator[list[Mismatch]]:
    """At most so many at once, all of one entity."""
    entities = (list(group) for _, group in groupby(mismatches, key=lambda one: one.entity))
    return chain.from_iterable(
        (of_one[start : start + KEYS_AT_ONCE] for start in range(0, len(of_one), KEYS_AT_ONCE)) for of_one in entities
    )
