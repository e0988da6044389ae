"""What an operator may change: pure decisions on a state."""

from __future__ import annotations

from midflight.contracts.domain import SetPacing
from midflight.core.plan import DailyWindow, Pacing
from workflows.commands import described, new_pacing

NIGHT = DailyWindow(start="22:00", end="05:00")
BEFORE = Pacing(documents_per_second=5, batch_size=7, parallel=3, window=NIGHT)


def test_new_pacing_keeps_what_is_not_named() -> None:
    assert new_pacing(BEFORE, SetPacing(person="ann")) == BEFORE
    after = new_pacing(BEFORE, SetPacing(person="ann", parallel=4))
    assert after == BEFORE.model_copy(update={"parallel": 4})


def test_rate_and_window_can_be_lifted() -> None:
    after = new_pacing(BEFORE, SetPacing(person="ann", unlimited=True, always=True))
    assert (after.documents_per_second, after.window) == (None, None)


def test_a_window_can_be_set() -> None:
    assert new_pacing(Pacing(), SetPacing(person="ann", window=NIGHT)).window == NIGHT


def test_the_log_says_what_changed() -> None:
    command = SetPacing(person="ann", unlimited=True, batch_size=9, window=NIGHT)
    assert described(command) == "set pacing (documents/s unlimited, batch 9, window 22:00-05:00)"
    assert described(SetPacing(person="ann")) == "set pacing (no change)"
