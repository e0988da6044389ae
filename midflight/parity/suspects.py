"""Look at suspects again once the target has had the time to follow, until none is left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import groupby

from midflight.parity.decide import LOOKS_BEFORE_BARRIER
from midflight.parity.look import look_again
from midflight.parity.ports import RunStore
from midflight.parity.records import Mismatch, State
from midflight.parity.work import Work


async def settle(work: Work) -> bool:
    """Decide about every suspect. False where the target did not follow in time: then some are left."""
    for _ in range(work.policy.rounds):
        if not await _look_at_all(work, barrier_passed=False):
            return True
        if not await work.barrier.passed(work.policy.barrier_seconds):
            return False
        await _look_at_all(work, barrier_passed=True)
    await _call_hot(work)
    return True


async def pages_of(
    store: RunStore, domain: str, run: str, states: Sequence[State], at_most: int
) -> AsyncIterator[list[Mismatch]]:
    """The run's mismatches in these states (all where none is named), page by page; they may be judged meanwhile."""
    after = None
    while page := await store.mismatches(domain, run, states=states, after=after, at_most=at_most):
        yield page
        if len(page) < at_most:
            return
        after = (page[-1].entity, page[-1].key)


async def _look_at_all(work: Work, *, barrier_passed: bool) -> int:
    """How many are still suspect. Before a barrier only those are looked at that may have changed at the last look."""
    left = 0
    async for page in _suspects(work):
        due = [one for one in page if barrier_passed or one.rounds < LOOKS_BEFORE_BARRIER]
        left += len(page) - len(due) + await _look_at(work, due, barrier_passed=barrier_passed)
    return left


async def _look_at(work: Work, due: Sequence[Mismatch], *, barrier_passed: bool) -> int:
    looked: list[Mismatch] = []
    for entity, known in groupby(due, key=lambda one: one.entity):
        looked += await look_again(work, entity, list(known), barrier_passed=barrier_passed)
    if not looked:
        return 0
    await work.store.judge(work.domain, work.run, looked)
    left = sum(one.state is State.SUSPECT for one in looked)
    work.meter.add(due[0].entity, "suspects", keys=0, suspects=left - len(due))
    await work.pace.spend(len(due))
    return left


async def _call_hot(work: Work) -> None:
    """They changed between any two looks: nobody can say whether they would be equal at rest."""
    async for page in _suspects(work):
        await work.store.judge(work.domain, work.run, [replace(one, state=State.HOT) for one in page])


def _suspects(work: Work) -> AsyncIterator[list[Mismatch]]:
    return pages_of(work.store, work.domain, work.run, (State.SUSPECT,), work.policy.suspects_at_once)
