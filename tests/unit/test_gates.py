"""Gates judge evidence against limits; nothing else decides."""

from __future__ import annotations

from typing import Any

import pytest

from midflight.core.breach import ReadEvidence
from midflight.core.gates import Evidence, judge
from midflight.core.plan import GateName, Limits

GOOD = Evidence(
    gathered_at="2026-01-01T00:00:00Z",
    epoch=1,
    stage="ramp",
    parity_age_seconds=10.0,
    documents_compared=100,
    rebuilt_equal=100,
    lag_seconds=0.5,
    feed_window_seconds=90_000.0,
)
LIMITS = Limits(parity_fresh_seconds=60, lag_seconds=2.0, feed_window_seconds=3_600)


@pytest.mark.parametrize("gate", ["dark_read", "ramp", "cutover", "retire", "decommission"])
def test_good_evidence_opens_every_gate(gate: GateName) -> None:
    assert judge(gate, GOOD, LIMITS).go


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"parity_age_seconds": None}, "parity was never checked in full"),
        ({"parity_age_seconds": 61.0}, "parity is 61 s old, the limit is 60 s"),
        ({"mismatches": 1}, "1 mismatches are open"),
        ({"levels_failed": ("invariants",)}, "parity's level invariants failed: `midflight parity report` says where"),
        ({"rebuilt_equal": 99}, "the reverse mapping is not proven for every compared document"),
        ({"lag_seconds": None}, "the tail has not reported its lag yet"),
        ({"lag_seconds": 2.1}, "the tail lags 2.1 s, the limit is 2 s"),
        ({"feed_window_seconds": 100.0}, "the source holds only 100 s of changes, the limit is 3600 s"),
        ({"constraints_pending": 1}, "1 constraints or indexes of the plan are not valid yet"),
    ],
)
def test_each_shortfall_shuts_the_gates_before_the_flip(change: dict[str, object], reason: str) -> None:
    for gate in ("dark_read", "ramp", "cutover"):
        assert reason in judge(gate, GOOD.model_copy(update=change), LIMITS).reasons


def test_open_quarantine_shuts_the_gates_that_lead_reads_to_the_target() -> None:
    evidence = GOOD.model_copy(update={"quarantine_open": 3, "quarantine_waived": 2})
    assert judge("dark_read", evidence, LIMITS).go
    for gate in ("ramp", "cutover"):
        assert "3 documents are in quarantine" in judge(gate, evidence, LIMITS).reasons[0]


@pytest.mark.parametrize("gate", ["ramp", "cutover"])
def test_what_a_person_has_waived_shuts_no_gate(gate: GateName) -> None:
    assert judge(gate, GOOD.model_copy(update={"quarantine_waived": 2}), LIMITS).go


def test_an_unknown_feed_window_shuts_nothing() -> None:
    assert judge("cutover", GOOD.model_copy(update={"feed_window_seconds": None}), LIMITS).go


@pytest.mark.parametrize("age", [None, 61.0])
def test_stale_parity_asks_for_a_new_run(age: float | None) -> None:
    assert judge("cutover", GOOD.model_copy(update={"parity_age_seconds": age}), LIMITS).wants_parity
    assert not judge("cutover", GOOD, LIMITS).wants_parity


def test_any_change_of_the_evidence_changes_its_hash() -> None:
    changed = {GOOD.model_copy(update={"lag_seconds": lag}).hash for lag in (0.1, 0.2, 0.3)}
    assert len(changed) == 3
    assert GOOD.hash == GOOD.model_copy().hash


# --- what the application's reads show --------------------------------------------------------------------------------

READS = ReadEvidence(seconds=60.0, compared=100, source_reads=100, target_reads=100)
WATCHED = GOOD.model_copy(update={"instances": 2, "reads": READS})


def judged(gate: GateName, **changes: Any) -> tuple[str, ...]:
    return judge(gate, WATCHED.model_copy(update=changes), LIMITS).reasons


@pytest.mark.parametrize("gate", ["dark_read", "ramp", "cutover", "retire", "decommission"])
def test_good_reads_open_every_gate(gate: GateName) -> None:
    assert judged(gate) == ()


@pytest.mark.parametrize("gate", ["ramp", "cutover"])
def test_without_the_library_no_gate_waits_for_reads(gate: GateName) -> None:
    assert judged(gate, instances=0, reads=None) == ()


def test_the_ramp_waits_for_enough_dark_reads() -> None:
    assert judged("ramp", reads=None) == ("only 0 dark reads were compared, the limit is 100",)
    few = READS.model_copy(update={"compared": 99, "unclear": 7})
    assert judged("ramp", reads=few) == (
        "only 99 dark reads were compared, the limit is 100 (7 more ended in an error of the comparator: mend it)",
    )
    assert judged("ramp", reads=few, instances=0) != (), "reads were reported: the library ran a moment ago"
    assert judged("cutover", reads=few) == ()


def test_the_cutover_waits_for_enough_reads_at_the_target() -> None:
    few = READS.model_copy(update={"target_reads": 99})
    assert judged("cutover", reads=few) == ("only 99 reads were made at the target, the limit is 100",)
    assert judged("ramp", reads=few) == ()


@pytest.mark.parametrize("gate", ["ramp", "cutover"])
def test_reads_outside_the_limits_shut_the_gates(gate: GateName) -> None:
    assert judged(gate, reads=READS.model_copy(update={"mismatched": 1})) == (
        "1 of 100 compared reads differ (1 %), the limit is 0 %",
    )


def test_only_the_cutover_waits_for_instances_that_are_late() -> None:
    assert judged("cutover", instances_late=("a", "b")) == ("instances do not obey the newest stage yet: a, b",)
    assert judged("ramp", instances_late=("a",)) == ()


@pytest.mark.parametrize("gate", ["retire", "decommission"])
def test_a_late_write_shuts_what_comes_after_the_flip(gate: GateName) -> None:
    (reason,) = judged(gate, late_writes=2)
    assert reason.startswith("2 writes reached the source after the flip")


def test_what_the_source_refuses_shuts_only_retire() -> None:
    assert "3 documents cannot be written back" in judged("retire", reverse_refused=3)[0]
    assert judged("decommission", reverse_refused=3) == ()


@pytest.mark.parametrize("gate", ["retire", "decommission"])
def test_after_the_flip_nothing_of_before_matters(gate: GateName) -> None:
    assert judged(gate, parity_age_seconds=None, mismatches=9, lag_seconds=None, quarantine_open=3) == ()
