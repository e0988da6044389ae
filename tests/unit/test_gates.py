"""Gates judge evidence against limits; nothing else decides."""

from __future__ import annotations

import pytest

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
        ({"mismatches": 1}, "1 settled mismatches are open"),
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


def test_open_quarantine_shuts_only_the_cutover() -> None:
    evidence = GOOD.model_copy(update={"quarantine_open": 3, "quarantine_waived": 2})
    assert judge("ramp", evidence, LIMITS).go
    assert "3 documents are in quarantine" in judge("cutover", evidence, LIMITS).reasons[0]


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
