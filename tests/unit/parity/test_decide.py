"""One key at a time: what is settled, what is only suspect, what is cleared, and when the looks begin anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from midflight.parity.decide import HOT_RESETS, LOOKS_BEFORE_BARRIER, decide
from midflight.parity.records import (
    DELETED,
    QUARANTINED,
    Cause,
    Entry,
    FieldDifference,
    Kind,
    Mismatch,
    State,
)

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def entry(value: Any, version: bytes | None, token: int | None = None, **more: Any) -> Entry:
    return Entry(b"key", {"a": value}, version, token, **more)


def gone(token: int | None = None, version: bytes | None = None, **more: Any) -> Entry:
    return Entry(b"key", {}, version, token, unreadable=DELETED, **more)


def differing(source: Entry | None, target: Entry | None) -> tuple[FieldDifference, ...]:
    if source is None or target is None or source.unreadable or target.unreadable:
        return ()
    if source.fields["a"] == target.fields["a"]:
        return ()
    return (FieldDifference("a", Kind.VALUE, source.fields["a"], target.fields["a"]),)


def look(
    source: Entry | None,
    target: Entry | None,
    before: Mismatch | None = None,
    *,
    barrier: bool = False,
    frozen: bool = False,
    second: int = 0,
) -> Mismatch | None:
    now = START + timedelta(seconds=second)
    differences = differing(source, target)
    return decide(source, target, differences, before, entity="things", barrier_passed=barrier, frozen=frozen, now=now)


def seen(*looks: tuple[Entry | None, Entry | None]) -> Mismatch:
    """What is known after these looks, one a second, without a barrier."""
    before: Mismatch | None = None
    for second, (source, target) in enumerate(looks):
        before = look(source, target, before, second=second)
    assert before is not None
    return before


NEW, OLD = entry("new", b"2"), entry("old", b"1", 7)


def test_equal_values_are_no_mismatch_whatever_the_versions_say() -> None:
    assert look(entry("a", b"2"), entry("a", b"1", 7)) is None


@pytest.mark.parametrize("target", [None, gone(), gone(7), gone(7, faithful=False)])
@pytest.mark.parametrize("source", [None, gone()])
def test_a_key_that_is_absent_on_both_sides_is_no_mismatch(source: Entry | None, target: Entry | None) -> None:
    assert look(source, target) is None


def test_a_key_in_quarantine_is_left_to_its_own_gate() -> None:
    assert look(NEW, replace(OLD, fields={}, unreadable=QUARANTINED)) is None


def test_the_first_look_at_a_difference_gives_a_suspect_with_everything_that_was_seen() -> None:
    found = look(NEW, OLD, barrier=True)
    assert found == Mismatch(
        entity="things",
        key=b"key",
        kind=Kind.VALUE,
        fields=(FieldDifference("a", Kind.VALUE, "new", "old"),),
        cause=Cause.STALE,
        state=State.SUSPECT,
        first_seen=START,
        last_seen=START,
        rounds=1,
        source_version=b"2",
        target_version=b"1",
        token=7,
    )


def test_a_difference_is_settled_at_once_where_the_target_holds_the_very_image_of_the_source() -> None:
    found = look(entry("new", b"2"), entry("other", b"2", 7))
    assert found is not None
    assert found.state is State.SETTLED


def test_a_difference_is_settled_at_once_where_the_rows_are_not_what_was_applied() -> None:
    found = look(NEW, replace(OLD, faithful=False))
    assert found is not None
    assert (found.state, found.cause) == (State.SETTLED, Cause.ROGUE_WRITE)


@pytest.mark.parametrize("faithful", [True, None])
def test_faithful_rows_of_an_older_image_are_only_suspect(faithful: bool | None) -> None:
    found = look(NEW, replace(OLD, faithful=faithful))
    assert found is not None
    assert found.state is State.SUSPECT


def test_unknown_versions_do_not_count_as_the_same_image() -> None:
    found = look(entry("new", None), entry("old", None))
    assert found is not None
    assert found.state is State.SUSPECT


@pytest.mark.parametrize("before", [None, seen((NEW, OLD)), seen((entry("newer", b"3"), OLD))])
def test_everything_is_settled_in_one_look_when_frozen(before: Mismatch | None) -> None:
    found = look(NEW, OLD, before, frozen=True)
    assert found is not None
    assert (found.state, found.cause) == (State.SETTLED, Cause.LOST_UPDATE)


def test_a_suspect_that_rests_over_two_looks_and_a_barrier_is_settled_and_keeps_when_it_was_first_seen() -> None:
    found = look(NEW, OLD, seen((NEW, OLD), (NEW, OLD)), barrier=True, second=9)
    assert found is not None
    assert (found.state, found.cause, found.rounds) == (State.SETTLED, Cause.LOST_UPDATE, 3)
    assert (found.first_seen, found.last_seen) == (START, START + timedelta(seconds=9))


def test_one_look_before_the_barrier_does_not_settle() -> None:
    found = look(NEW, OLD, seen((NEW, OLD)), barrier=True)
    assert found is not None
    assert (found.state, found.rounds) == (State.SUSPECT, LOOKS_BEFORE_BARRIER)


def test_looks_alone_never_settle() -> None:
    assert seen(*[(NEW, OLD)] * 20).state is State.SUSPECT


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (entry("newer", b"3"), OLD),
        (NEW, entry("older", b"0", 8)),
        (NEW, replace(OLD, token=8)),
        (NEW, replace(OLD, version=b"0")),
        (None, OLD),
        (NEW, None),
        (NEW, gone(7)),
    ],
    ids=["source", "target", "token", "target's version", "source gone", "target gone", "rows gone"],
)
def test_a_change_on_either_side_begins_anew(source: Entry | None, target: Entry | None) -> None:
    found = look(source, target, seen((NEW, OLD), (NEW, OLD)), barrier=True, second=9)
    assert found is not None
    assert (found.state, found.rounds, found.resets) == (State.SUSPECT, 1, 1)
    assert found.first_seen == START + timedelta(seconds=9)


@pytest.mark.parametrize("changed", [(entry("c", None), entry("b", None)), (entry("a", None), entry("c", None))])
def test_without_versions_a_change_shows_in_the_values_that_differ(changed: tuple[Entry, Entry]) -> None:
    before = seen(*[(entry("a", None), entry("b", None))] * 2)
    found = look(*changed, before, barrier=True)
    assert found is not None
    assert (found.state, found.rounds) == (State.SUSPECT, 1)


def test_without_a_version_a_source_that_is_gone_begins_anew() -> None:
    found = look(None, OLD, seen(*[(entry("new", None), OLD)] * 2), barrier=True)
    assert found is not None
    assert (found.state, found.rounds) == (State.SUSPECT, 1)


def test_without_versions_values_that_rest_are_settled() -> None:
    sides = (entry("a", None), entry("b", None))
    found = look(*sides, seen(sides, sides), barrier=True)
    assert found is not None
    assert (found.state, found.cause) == (State.SETTLED, Cause.UNKNOWN)


def test_a_key_that_never_rests_is_hot_and_one_that_rests_again_is_settled() -> None:
    writes = [(entry(str(number), b"%d" % number), OLD) for number in range(HOT_RESETS + 1)]
    assert seen(*writes[:-1]).state is State.SUSPECT
    hot = seen(*writes)
    assert (hot.state, hot.resets) == (State.HOT, HOT_RESETS)
    resting = seen(*writes, writes[-1])
    assert resting.state is State.HOT
    settled = look(*writes[-1], resting, barrier=True)
    assert settled is not None
    assert settled.state is State.SETTLED


@pytest.mark.parametrize("state", [State.SUSPECT, State.HOT, State.SETTLED, State.CLEARED])
def test_a_mismatch_that_is_equal_now_is_cleared_and_keeps_what_was_seen(state: State) -> None:
    before = replace(seen((NEW, OLD)), state=state)
    found = look(NEW, entry("new", b"2", 8), before, second=9)
    assert found == replace(before, state=State.CLEARED, last_seen=START + timedelta(seconds=9))


def test_a_mismatch_that_was_repaired_and_is_equal_stays_repaired() -> None:
    found = look(NEW, entry("new", b"2", 8), replace(seen((NEW, OLD)), state=State.REPAIRED))
    assert found is not None
    assert found.state is State.REPAIRED


@pytest.mark.parametrize("state", [State.CLEARED, State.REPAIRED])
def test_a_key_that_was_cleared_or_repaired_and_differs_again_is_a_new_suspect(state: State) -> None:
    before = replace(seen((NEW, OLD), (NEW, OLD)), state=state)
    assert look(NEW, OLD, before, barrier=True, second=9) == look(NEW, OLD, second=9)


def test_what_is_settled_stays_settled_while_nothing_changes() -> None:
    settled = look(NEW, replace(OLD, faithful=False))
    again = look(NEW, OLD, settled)
    assert again is not None
    assert again.state is State.SETTLED


def test_what_was_settled_is_a_suspect_again_after_a_change() -> None:
    settled = look(NEW, replace(OLD, faithful=False))
    again = look(entry("newer", b"3"), OLD, settled)
    assert again is not None
    assert (again.state, again.cause) == (State.SUSPECT, Cause.STALE)


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        (None, OLD, Kind.EXTRA),
        (gone(), OLD, Kind.EXTRA),
        (NEW, None, Kind.MISSING),
        (NEW, gone(7), Kind.MISSING),
        (replace(NEW, unreadable="invalid UTF-8"), OLD, Kind.UNREADABLE),
        (NEW, replace(OLD, unreadable="no such type"), Kind.UNREADABLE),
    ],
)
def test_a_whole_key_that_differs_is_named_by_what_is_wrong_with_it(
    source: Entry | None, target: Entry | None, kind: Kind
) -> None:
    found = look(source, target)
    assert found is not None
    assert (found.kind, found.key, found.fields) == (kind, b"key", ())


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [
        ([Kind.NULL, Kind.NULL], Kind.NULL),
        ([Kind.ORDER], Kind.ORDER),
        ([Kind.NULL, Kind.TYPE], Kind.VALUE),
        ([Kind.MISSING], Kind.VALUE),
        ([Kind.EXTRA, Kind.TYPE], Kind.VALUE),
    ],
)
def test_a_key_whose_fields_differ_is_named_by_their_kind_where_all_have_the_same(
    kinds: list[Kind], kind: Kind
) -> None:
    fields = tuple(FieldDifference(str(place), one, "a", "b") for place, one in enumerate(kinds))
    found = decide(NEW, OLD, fields, None, entity="things", barrier_passed=False, frozen=False, now=START)
    assert found is not None
    assert found.kind is kind
