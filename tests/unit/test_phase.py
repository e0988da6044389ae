"""The order of the phases, and the stage each begins in."""

from __future__ import annotations

from midflight.core.phase import ORDER, STAGE_OF, UNDOABLE, Phase, after, at_least, precedes


def test_each_phase_is_followed_by_the_next_and_done_by_itself() -> None:
    assert [after(phase) for phase in ORDER] == [*ORDER[1:], Phase.DONE]


def test_everything_before_the_flip_can_be_undone_and_nothing_after() -> None:
    assert Phase.CUTOVER in UNDOABLE
    assert not UNDOABLE & {Phase.SOAK, Phase.RETIRE, Phase.DECOMMISSION, Phase.DONE}


def test_precedence_is_strict() -> None:
    assert precedes(Phase.CAPTURE, Phase.BACKFILL)
    assert not precedes(Phase.BACKFILL, Phase.BACKFILL)
    assert at_least(Phase.BACKFILL, Phase.BACKFILL)


def test_every_phase_has_a_stage() -> None:
    assert set(STAGE_OF) == set(Phase)
