"""The verdict of the full level: what fails goes before what is open, and what is open before what is not done."""

from __future__ import annotations

from typing import Any

import pytest

from midflight.parity.records import EntityCounts, Verdict
from midflight.parity.verdicts import of_full

CLEAN = EntityCounts("things", source=10, target=10, compared=10, equal=10)


def counts(**more: int) -> EntityCounts:
    known: dict[str, Any] = {"source": 10, "target": 10, "compared": 10}
    return EntityCounts("things", **(known | more))


@pytest.mark.parametrize(
    ("one", "done", "verdict", "reason"),
    [
        (counts(equal=10), True, Verdict.PASS, ""),
        (counts(cleared=3), True, Verdict.PASS, ""),
        (counts(repaired=3), True, Verdict.PASS, ""),
        (counts(compared=5, skipped=4, quarantined=1), True, Verdict.PASS, ""),
        (counts(compared=12, target=12), True, Verdict.PASS, ""),
        (counts(settled=1), True, Verdict.FAIL, "1 key differs for good"),
        (counts(settled=2, hot=1, suspects=1, compared=3), False, Verdict.FAIL, "2 keys differ for good"),
        (
            counts(hot=2, suspects=1),
            False,
            Verdict.UNDECIDED,
            "2 keys differ whenever they are looked at, and never rest",
        ),
        (counts(suspects=1), False, Verdict.UNDECIDED, "1 key differs, and the target may only be late"),
        (counts(equal=10), False, Verdict.INCOMPLETE, "not every range was walked to its end"),
        (counts(compared=7, equal=7), True, Verdict.INCOMPLETE, "3 of the source's keys were not compared"),
    ],
)
def test_the_worst_that_was_counted_is_the_verdict(
    one: EntityCounts, done: bool, verdict: Verdict, reason: str
) -> None:
    for entities in ([one], [CLEAN, one], [one, CLEAN]):
        outcome = of_full(entities, done)
        assert (outcome.level, outcome.verdict, outcome.reason) == ("full", verdict, reason)


def test_extra_keys_of_one_entity_do_not_make_up_for_keys_left_out_in_another() -> None:
    outcome = of_full([counts(compared=20), counts(compared=5)], True)
    assert outcome.verdict is Verdict.INCOMPLETE


def test_the_details_add_up_all_entities() -> None:
    outcome = of_full([counts(settled=2), counts(compared=8, hot=1, suspects=3)], True)
    assert outcome.details == {"compared": 18, "settled": 2, "hot": 1, "suspects": 3, "left_out": 2}


def test_a_domain_without_entities_has_nothing_that_fails() -> None:
    assert of_full([], True).verdict is Verdict.PASS
