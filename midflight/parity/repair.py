"""Carry a repair out: through the door only, every key looked at afterwards, all of it in the audit trail.

Repeating it is safe, also after it was broken off: the door takes only what is newer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from typing import Any

from midflight.core.mapping import mapper_for
from midflight.core.outcome import Applied, Batch
from midflight.parity.harness import Parity
from midflight.parity.look import Seen, decided, look, open_states
from midflight.parity.ports import RunStore
from midflight.parity.ranges import SAMPLE, TARGET_WALK
from midflight.parity.records import Mismatch, State
from midflight.parity.repair_plan import CopyAgain, RangeCount, Refused, RepairPlan, Requeue, plan_repair
from midflight.parity.work import Work
from midflight.sync import Bridge, map_block, sync_keys

__all__ = ["CopyAgain", "RangeCount", "Refused", "RepairPlan", "RepairReport", "Requeue"]
__all__ += ["plan_repair", "range_counts", "repair"]

KEYS_AT_ONCE = 500
DOCUMENTS_AT_ONCE = 2_000

BEGUN, DONE = "repair_begun", "repaired"
"""Kinds of entries in the audit trail. Each key's guard says path `repair` besides."""


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair came to. `remaining`: what differs still, or was not seen at rest since."""

    plan: RepairPlan
    executed: bool
    applied: Applied = field(default_factory=Applied)
    repaired: int = 0
    remaining: tuple[Mismatch, ...] = ()

    def details(self) -> dict[str, Any]:
        """Counts, JSON-ready."""
        applied = {"written": self.applied.written, "deleted": self.applied.deleted, "stale": self.applied.stale}
        counts = {"repaired": self.repaired, "remaining": len(self.remaining)}
        return {"plan": self.plan.hash, **applied, "quarantined": self.applied.quarantined, **counts}


async def range_counts(store: RunStore, domain: str, run: str, entities: Sequence[str]) -> list[RangeCount]:
    """The ranges of the source that the run walked: what `plan_repair` asks for."""
    return [
        RangeCount(entity, place.keys, place.compared)
        for entity in entities
        for place in await store.progress(domain, run, entity)
        if place.number != TARGET_WALK and place.keys != SAMPLE
    ]


async def repair(
    bridge: Bridge, plan: RepairPlan, parity: Parity, *, run: str, person: str, execute: bool = False
) -> RepairReport:
    """Carry the plan out, or only say what it would do. `run` is the one that found the mismatches.

    A key that is equal afterwards is judged repaired in the run. Raises AuthorityMoved where the source is not the
    authority: then the truth is the target, and there is nothing to repair from.
    """
    if not execute:
        return RepairReport(plan, executed=False)
    ledger, domain = bridge.target.ledger, bridge.plan.domain
    await ledger.record(domain, BEGUN, person, {"run": run, **plan.summary()})
    work = parity.at_work(run, frozen=False, census=False, base=None)
    applied = Applied()
    for action in plan.copy_again:
        applied += await _copy(bridge, action)
    for requeued in plan.requeue:
        for part in _parts(requeued.mismatches):
            applied += await sync_keys(bridge, {requeued.entity: [one.key for one in part]}, "repair")
    verified = await _verify(work, plan.mismatches)
    report = RepairReport(plan, True, applied, verified.repaired, tuple(verified.left))
    await ledger.record(domain, DONE, person, {"run": run, **report.details()})
    return report


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


@dataclass(slots=True)
class _Verified:
    """What looking at the keys afterwards has shown until now."""

    repaired: int = 0
    left: list[Mismatch] = field(default_factory=list)

    async def look(self, work: Work, known: Sequence[Mismatch], *, barrier_passed: bool) -> None:
        """Look at these keys, and keep what is known of them now."""
        for part in _parts(known):
            before = {mismatch.key: mismatch for mismatch in part}
            entity = part[0].entity
            seen = await look(work, entity, list(before))
            now = [_now(work, entity, one, before[one.key], barrier_passed=barrier_passed) for one in seen]
            await work.store.judge(work.domain, work.run, now)
            self.repaired += sum(one.state is State.REPAIRED for one in now)
            self.left += [one for one in now if one.state in open_states()]

    def take_suspects(self) -> list[Mismatch]:
        """Those that may only be late; they are no longer left."""
        suspects = [one for one in self.left if one.state is State.SUSPECT]
        self.left = [one for one in self.left if one.state is not State.SUSPECT]
        return suspects


async def _verify(work: Work, known: Sequence[Mismatch]) -> _Verified:
    """Look at each key until it is decided, beside live writes as a run does."""
    verified = _Verified()
    await verified.look(work, known, barrier_passed=False)
    for _ in range(work.policy.rounds):
        if not (suspects := verified.take_suspects()):
            break
        await verified.look(work, suspects, barrier_passed=False)
        if not await work.barrier.passed(work.policy.barrier_seconds):
            break
        await verified.look(work, verified.take_suspects(), barrier_passed=True)
    return verified


def _now(work: Work, entity: str, seen: Seen, before: Mismatch, *, barrier_passed: bool) -> Mismatch:
    """What is in quarantine now was not repaired: it is left to its own gate."""
    mismatch = decided(work, entity, seen, before, barrier_passed=barrier_passed)
    assert mismatch is not None
    equal = mismatch.state is State.CLEARED and not seen.quarantined
    return replace(mismatch, state=State.REPAIRED) if equal else mismatch


def _parts(mismatches: Sequence[Mismatch]) -> Iterator[list[Mismatch]]:
    """At most so many at once, all of one entity."""
    entities = (list(group) for _, group in groupby(mismatches, key=lambda one: one.entity))
    return chain.from_iterable(
        (of_one[start : start + KEYS_AT_ONCE] for start in range(0, len(of_one), KEYS_AT_ONCE)) for of_one in entities
    )
