"""Pairs of queries that must give the same, looked at until what differs was at rest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from midflight.core.plan import Invariant
from midflight.parity.ports import InvariantSide
from midflight.parity.records import LevelOutcome, Normal, Verdict
from midflight.parity.work import Work

ROUNDS = 4
NAMED_AT_MOST = 20

Points = Mapping[str, list[Normal]]
Unequal = dict[str, tuple[list[Normal], list[Normal]]]


@dataclass(frozen=True, slots=True)
class Held:
    """One invariant: labels at which it is broken for good, and labels that never rested."""

    name: str
    settled: Sequence[str]
    undecided: Sequence[str]


async def check_invariants(work: Work, invariants: Sequence[Invariant]) -> LevelOutcome:
    """The level's outcome. Its details give, by name, how many labels are broken and the first few of them."""
    if not invariants:
        return LevelOutcome("invariants", Verdict.PASS, "the plan has no invariants")
    source, target = work.source, work.target
    if not isinstance(source, InvariantSide) or not isinstance(target, InvariantSide):
        return LevelOutcome("invariants", Verdict.INCOMPLETE, "one side cannot answer the plan's queries")
    held = [await _check(work, source, target, invariant) for invariant in invariants]
    details = {one.name: _said(one) for one in held}
    broken = [one.name for one in held if one.settled]
    if broken:
        return LevelOutcome("invariants", Verdict.FAIL, f"broken: {', '.join(broken)}", details)
    if any(one.undecided for one in held):
        return LevelOutcome("invariants", Verdict.UNDECIDED, "some labels changed at every look", details)
    return LevelOutcome("invariants", Verdict.PASS, "", details)


async def _check(work: Work, source: InvariantSide, target: InvariantSide, invariant: Invariant) -> Held:
    """Labels that differ alike in two looks, and after the target has followed in a third, differ for good."""
    unequal = await _unequal(source, target, invariant)
    if work.frozen:
        return Held(invariant.name, sorted(unequal), ())
    settled: set[str] = set()
    for _ in range(ROUNDS):
        if not unequal.keys() - settled:
            break
        before = _same(unequal, await _unequal(source, target, invariant))
        if not await work.barrier.passed(work.policy.barrier_seconds):
            break
        unequal = await _unequal(source, target, invariant)
        settled |= _same(before, unequal).keys()
    return Held(invariant.name, sorted(settled), sorted(unequal.keys() - settled))


async def _unequal(source: InvariantSide, target: InvariantSide, invariant: Invariant) -> Unequal:
    ours, theirs = map(_by_label, await asyncio.gather(source.points(invariant), target.points(invariant)))
    labels = ours.keys() | theirs.keys()
    pairs = {label: (ours.get(label, []), theirs.get(label, [])) for label in labels}
    return {label: pair for label, pair in pairs.items() if pair[0] != pair[1]}


def _by_label(rows: Sequence[tuple[str, Normal]]) -> dict[str, list[Normal]]:
    """Several rows of one label are compared together, in an order of their own."""
    points: dict[str, list[Normal]] = {}
    for label, value in rows:
        points.setdefault(label, []).append(value)
    return {label: sorted(values, key=repr) if len(values) > 1 else values for label, values in points.items()}


def _same(before: Unequal, now: Unequal) -> Unequal:
    return {label: pair for label, pair in now.items() if before.get(label) == pair}


def _said(held: Held) -> dict[str, object]:
    return {
        "broken": len(held.settled),
        "labels": list(held.settled[:NAMED_AT_MOST]),
        "undecided": len(held.undecided),
    }
