"""What each level came to. The comparison itself is done once, by the ranges; three levels read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, get_args

from midflight.parity import verdicts
from midflight.parity.census import alike
from midflight.parity.counting import Sum
from midflight.parity.policy import Policy
from midflight.parity.ports import Side, StructureSide
from midflight.parity.records import FieldCensus, Level, LevelOutcome, Verdict
from midflight.parity.statistics import bound
from midflight.parity.work import Work

LEVELS: tuple[Level, ...] = get_args(Level)
COMPARING: frozenset[Level] = frozenset(("sample", "full"))
"""The levels for which keys are always compared; for the census they are where the servers cannot count."""


def begun(levels: Iterable[Level], policy: Policy) -> tuple[LevelOutcome, ...]:
    """What a run begins with: by it is kept which levels were asked for, and how large the sample is to be."""
    asked = frozenset(levels)
    details = {"sample": {"rate": policy.sample_rate, "confidence": policy.sample_confidence}}
    names = [level for level in LEVELS if level in asked]
    return tuple(LevelOutcome(name, Verdict.INCOMPLETE, details=details.get(name, {})) for name in names)


def with_kept_sample(policy: Policy, levels: Iterable[LevelOutcome]) -> Policy:
    """The policy, with the size of sample that a run with these levels was begun with."""
    kept = next((one.details for one in levels if one.level == "sample"), {})
    if not kept.keys() >= {"rate", "confidence"}:
        return policy
    return replace(policy, sample_rate=kept["rate"], sample_confidence=kept["confidence"])


async def structure(*sides: Side) -> LevelOutcome:
    """Whether tables, columns, indexes and constraints are what they should be, as far as a side can tell."""
    able = [side for side in sides if isinstance(side, StructureSide)]
    if not able:
        return LevelOutcome("structure", Verdict.INCOMPLETE, "neither side knows what its structure should be")
    findings = [finding for side in able for finding in await side.structure()]
    wrong = [finding.check for finding in findings if not finding.ok]
    details = {"checks": len(findings), "wrong": [asdict(finding) for finding in findings if not finding.ok]}
    verdict = Verdict.FAIL if wrong else Verdict.PASS
    return LevelOutcome("structure", verdict, ", ".join(wrong), details)


def census(sums: Sequence[Sum], fields: Sequence[FieldCensus]) -> LevelOutcome:
    """Whether as many keys have each field, and null in it, on both sides; and as many keys are there at all."""
    details = _census_details(fields, [field for field in fields if not alike(field)])
    details["differing"] += [one.entity for one in sums if one.keys_of_one_side]
    details["sampled"] = any(one.sampled for one in sums)
    if details["differing"]:
        return _census_fails(details)
    compared = _compared(sums)
    if compared.verdict in (Verdict.INCOMPLETE, Verdict.UNDECIDED):
        return LevelOutcome("census", compared.verdict, compared.reason, details)
    return LevelOutcome("census", Verdict.PASS, "", details)


def counted_census(fields: Sequence[FieldCensus], settled: Sequence[FieldCensus]) -> LevelOutcome:
    """The same from the servers' counts."""
    details = _census_details(fields, settled)
    if settled:
        return _census_fails(details)
    if all(map(alike, fields)):
        return LevelOutcome("census", Verdict.PASS, "", details)
    return LevelOutcome("census", Verdict.UNDECIDED, "some counts changed at every look", details)


def _census_details(fields: Sequence[FieldCensus], differing: Sequence[FieldCensus]) -> dict[str, Any]:
    return {
        "fields": len(fields),
        "differing": [f"{field.entity}.{field.path}" for field in differing],
        "types_differ": [f"{one.entity}.{one.path}" for one in fields if one.source_types != one.target_types],
    }


def _census_fails(details: dict[str, Any]) -> LevelOutcome:
    places = len(details["differing"])
    return LevelOutcome("census", Verdict.FAIL, f"differs in {places} place{'s' if places > 1 else ''}", details)


def sample(work: Work, sums: Sequence[Sum]) -> LevelOutcome:
    """What the keys that were looked at say about all: `n` of them, `k` settled, at most `bound` of all differ."""
    outcome, policy = _compared(sums), work.policy
    counts = [one.counts() for one in sums]
    n, k = sum(one.compared for one in counts), sum(one.settled for one in counts)
    details = {
        "n": n,
        "k": k,
        "confidence": policy.sample_confidence,
        "bound": bound(n, min(n, k), policy.sample_confidence),
        "whole": not any(one.sampled for one in sums),
    }
    return LevelOutcome("sample", outcome.verdict, outcome.reason, details)


def full(work: Work, sums: Sequence[Sum], ground: str) -> LevelOutcome:
    """The verdict over every key. `ground` and `token` say what a later watch run may skip."""
    if any(one.sampled for one in sums):
        return LevelOutcome("full", Verdict.INCOMPLETE, "this run was begun for a sample: begin another one")
    outcome = _compared(sums)
    tokens = [one.total.token for one in sums]
    known = [token for token in tokens if token is not None]
    token = {"token": min(known)} if known and len(known) == len(tokens) else {}
    base = {"base": work.base.run} if work.base is not None else {}
    exact = {"exact": work.policy.exact}
    return replace(outcome, details={**outcome.details, "ground": ground, **exact, **token, **base})


def _compared(sums: Sequence[Sum]) -> LevelOutcome:
    """The verdict over the keys that were looked at, whole or sampled."""
    return verdicts.of_full([one.counts() for one in sums], all(one.done for one in sums))
