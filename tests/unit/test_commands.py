"""What an operator may change: pure decisions on a state."""

from __future__ import annotations

import pytest

from midflight.contracts.domain import (
    Abandon,
    Approve,
    Command,
    DomainState,
    GateView,
    Handover,
    Pause,
    Resume,
    Rollback,
    SetPacing,
)
from midflight.core.gates import Evidence
from midflight.core.phase import Phase
from midflight.core.plan import DailyWindow, Pacing
from workflows.commands import approval_wanted, decide, described, new_pacing

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


# --- who may lead back, and until when --------------------------------------------------------------------------------

BACK = Rollback(person="ann", to=Phase.RAMP)


def answer(command: Command, **state: object) -> tuple[bool, str]:
    given = decide(DomainState(**state), command)
    return given.accepted, given.message


@pytest.mark.parametrize("phase", [Phase.SOAK, Phase.RETIRE, Phase.DECOMMISSION])
def test_a_rollback_is_accepted_from_the_target_until_it_drops(phase: Phase) -> None:
    assert answer(BACK, phase=phase, flipped=True)[0]


@pytest.mark.parametrize(("phase", "dropping"), [(Phase.DECOMMISSION, True), (Phase.DONE, True), (Phase.DONE, False)])
def test_behind_the_point_of_no_return_a_rollback_is_refused(phase: Phase, dropping: bool) -> None:
    accepted, message = answer(BACK, phase=phase, flipped=True, dropping=dropping)
    assert not accepted
    assert "point of no return" in message


@pytest.mark.parametrize("to", [Phase.SOAK, Phase.RETIRE, Phase.DECOMMISSION, Phase.DONE])
def test_a_rollback_leads_before_the_flip_or_nowhere(to: Phase) -> None:
    assert not answer(Rollback(person="ann", to=to), phase=Phase.DECOMMISSION, flipped=True)[0]


@pytest.mark.parametrize(
    ("flipped", "handing", "parked", "accepted"),
    [(True, "", True, True), (True, "", False, False), (False, "", True, False), (True, "back", True, False)],
)
def test_only_a_way_back_that_has_undone_nothing_can_be_withdrawn(
    flipped: bool, handing: Handover, parked: bool, accepted: bool
) -> None:
    state = {"phase": Phase.SOAK, "rollback": BACK, "flipped": flipped, "handing": handing, "parked": parked}
    assert answer(Resume(person="ann", withdraw=True), **state)[0] is accepted


def test_without_a_rollback_there_is_nothing_to_withdraw() -> None:
    assert not answer(Resume(person="ann", withdraw=True), phase=Phase.SOAK, parked=True, flipped=True)[0]


def test_pause_and_rollback_are_accepted_during_a_handover() -> None:
    for command in (Pause(person="ann"), BACK):
        assert answer(command, phase=Phase.CUTOVER, handing="over")[0]


@pytest.mark.parametrize(
    ("phase", "parked", "accepted"),
    [(Phase.PREPARE, True, True), (Phase.PREPARE, False, False), (Phase.BACKFILL, True, False)],
)
def test_only_what_stands_still_in_prepare_can_be_abandoned(phase: Phase, parked: bool, accepted: bool) -> None:
    assert answer(Abandon(person="ann"), phase=phase, parked=parked)[0] is accepted


def view(*approved_by: str) -> GateView:
    evidence = Evidence(gathered_at="", epoch=2, stage="target_only")
    return GateView(
        gate="decommission",
        evidence=evidence,
        evidence_hash="abc",
        needs_approval=True,
        persons=2,
        approved_by=approved_by,
    )


def test_a_second_approval_must_come_from_a_different_person() -> None:
    state = {"phase": Phase.DECOMMISSION, "gate": view("ann")}
    approve = {"gate": "decommission", "evidence": "abc"}
    assert not answer(Approve(person="ann", **approve), **state)[0]
    assert answer(Approve(person="bob", **approve), **state)[0]


def test_what_waits_for_two_persons_says_who_has_approved_and_that_nothing_leads_back() -> None:
    assert "by 2 different persons: after it there is no way back" in approval_wanted(view())
    assert "(given by ann)" in approval_wanted(view("ann"))
