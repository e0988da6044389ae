"""What the full comparison came to. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from midflight.parity.records import EntityCounts, LevelOutcome, Verdict


def of_full(counts: Sequence[EntityCounts], done: bool) -> LevelOutcome:
    """The verdict over all entities; `done` is whether every range was walked to its end.

    Counts are those of the run's end: `suspects` are those still open, and every key of the source is one of
    `compared`, `skipped` or `quarantined`; one that is not was not looked at, whatever the reason.
    """
    totals = _totals(counts)
    verdict, reason = _judged(totals, done)
    return LevelOutcome("full", verdict, reason, totals)


def _judged(totals: dict[str, int], done: bool) -> tuple[Verdict, str]:
    if totals["settled"]:
        return Verdict.FAIL, f"{_keys(totals['settled'])} for good"
    if totals["hot"]:
        return Verdict.UNDECIDED, f"{_keys(totals['hot'])} whenever they are looked at, and never rest"
    if totals["suspects"]:
        return Verdict.UNDECIDED, f"{_keys(totals['suspects'])}, and the target may only be late"
    if not done:
        return Verdict.INCOMPLETE, "not every range was walked to its end"
    if totals["left_out"]:
        return Verdict.INCOMPLETE, f"{totals['left_out']} of the source's keys were not compared"
    return Verdict.PASS, ""


def _keys(number: int) -> str:
    return "1 key differs" if number == 1 else f"{number} keys differ"


def _totals(counts: Sequence[EntityCounts]) -> dict[str, int]:
    return {
        "compared": sum(one.compared for one in counts),
        "settled": sum(one.settled for one in counts),
        "hot": sum(one.hot for one in counts),
        "suspects": sum(one.suspects for one in counts),
        "left_out": sum(_left_out(one) for one in counts),
    }


def _left_out(counts: EntityCounts) -> int:
    return max(0, counts.source - counts.compared - counts.skipped - counts.quarantined)
