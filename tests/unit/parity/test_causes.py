"""Why a key differs: what the versions prove goes before what the values look like."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from midflight.parity.causes import MAPPING_BUG_KEYS, by_group, cause_of
from midflight.parity.forms.normal import MISSING, ORPHAN
from midflight.parity.records import DELETED, Cause, Entry, FieldDifference, Kind, Mismatch, State

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SOURCE = Entry(b"key", {"a": 1}, b"2")
SAME, OLDER = Entry(b"key", {"a": 0}, b"2", 7), Entry(b"key", {"a": 0}, b"1", 7)
UNGUARDED, TOMBSTONED = Entry(b"key", {"a": 0}), Entry(b"key", {"a": 0}, None, 7)

OTHER = FieldDifference("a", Kind.VALUE, "one", "two")
CUT = FieldDifference("b", Kind.VALUE, "abcdef", "abc")
CUT_TOO = FieldDifference("c", Kind.VALUE, "uvwxyz", "uvw")
ROUNDED = FieldDifference("d", Kind.VALUE, 19.99, 20)


def gone(version: bytes | None = None, token: int | None = None, **more: Any) -> Entry:
    return Entry(b"key", {}, version, token, unreadable=DELETED, **more)


def settled(source: Entry | None, target: Entry | None, *differences: FieldDifference) -> Cause:
    return cause_of(source, target, differences, settled=True)[0]


@pytest.mark.parametrize(
    ("source", "target"), [(SOURCE, OLDER), (SOURCE, UNGUARDED), (None, OLDER), (SOURCE, None), (SOURCE, SAME)]
)
def test_what_is_not_settled_is_stale(source: Entry | None, target: Entry | None) -> None:
    assert cause_of(source, target, (CUT,), settled=False)[0] is Cause.STALE


@pytest.mark.parametrize("differences", [(OTHER,), (CUT,)])
def test_an_older_image_is_a_lost_update_whatever_the_values_look_like(differences: Any) -> None:
    assert settled(SOURCE, OLDER, *differences) is Cause.LOST_UPDATE


@pytest.mark.parametrize(
    "target", [replace(OLDER, faithful=False), replace(SAME, faithful=False), SAME, UNGUARDED, TOMBSTONED]
)
def test_rows_that_nothing_applied_explains_are_a_rogue_write(target: Entry) -> None:
    assert settled(SOURCE, target, OTHER) is Cause.ROGUE_WRITE


def test_a_pattern_in_rows_that_should_hold_this_image_goes_before_the_rogue_write() -> None:
    assert settled(SOURCE, replace(SAME, faithful=False), CUT) is Cause.TRUNCATION


def test_one_field_without_a_pattern_leaves_the_whole_key_a_rogue_write() -> None:
    assert settled(SOURCE, SAME, CUT, OTHER) is Cause.ROGUE_WRITE


def test_of_several_patterns_the_commonest_is_the_keys_cause() -> None:
    assert settled(SOURCE, SAME, ROUNDED, CUT, CUT_TOO) is Cause.TRUNCATION


def test_every_field_keeps_its_own_pattern() -> None:
    found = cause_of(SOURCE, OLDER, (OTHER, CUT, ROUNDED), settled=False)[1]
    assert [one.cause for one in found] == [Cause.UNKNOWN, Cause.TRUNCATION, Cause.PRECISION]
    assert [one.path for one in found] == ["a", "b", "d"]


@pytest.mark.parametrize(("differences", "cause"), [((OTHER,), Cause.UNKNOWN), ((OTHER, CUT), Cause.TRUNCATION)])
def test_stores_that_know_no_versions_have_the_pattern_or_nothing(differences: Any, cause: Cause) -> None:
    assert settled(replace(SOURCE, version=None), UNGUARDED, *differences) is cause


VOUCHED_FOR = replace(SAME, faithful=True)
COMPUTED = FieldDifference("lines.0.=low", Kind.VALUE, "one", "two")
STRAY = FieldDifference("lines.9.tags.0", Kind.EXTRA, MISSING, ORPHAN)


@pytest.mark.parametrize(
    ("differences", "cause"),
    [
        ((OTHER,), Cause.UNKNOWN),
        ((OTHER, CUT), Cause.UNKNOWN),
        ((CUT,), Cause.TRUNCATION),
        ((COMPUTED,), Cause.ROGUE_WRITE),
        ((STRAY,), Cause.ROGUE_WRITE),
        ((OTHER, COMPUTED), Cause.ROGUE_WRITE),
        ((replace(OTHER, path="a\\.=b"),), Cause.UNKNOWN),
    ],
)
def test_of_rows_that_rebuild_what_was_applied_nobody_can_tell_who_is_wrong(differences: Any, cause: Cause) -> None:
    """But for what is in no document: computed columns, and rows of elements that are not there."""
    assert settled(SOURCE, VOUCHED_FOR, *differences) is cause


def test_values_beside_each_other_in_another_order_show_nothing() -> None:
    swapped = replace(CUT, kind=Kind.ORDER)
    assert cause_of(SOURCE, SAME, (swapped,), settled=True) == (
        Cause.ROGUE_WRITE,
        (replace(swapped, cause=Cause.UNKNOWN),),
    )


def pattern_at(path: str, source: dict[str, Any], *lost: str) -> Cause:
    """The pattern of a zero at this path, where the source has these fields and the target lost some of them."""
    zero = FieldDifference(path, Kind.EXTRA, MISSING, 0)
    others = [FieldDifference(one, Kind.MISSING, source[one], MISSING) for one in lost]
    return cause_of(replace(SOURCE, fields=source), SAME, (zero, *others), settled=True)[1][0].cause


@pytest.mark.parametrize("path", ["b", "a.c", "lines.0.q", "lines.0.by.\\7", "deep.x.y"])
def test_a_zero_where_the_source_has_no_such_field_was_filled_in(path: str) -> None:
    assert pattern_at(path, {"a.b": 1, "lines.0.sku": "x"}) is Cause.DEFAULT_FILLED


@pytest.mark.parametrize(
    ("path", "lost"), [("lines.1", ()), ("lines.1.q", ()), ("lines.0.tags.0", ()), ("a", ("a.b",)), ("n.x", ("n",))]
)
def test_an_element_too_many_and_what_replaced_another_were_not_filled_in(path: str, lost: tuple[str, ...]) -> None:
    assert pattern_at(path, {"a.b": 1, "n": 1, "lines.0.sku": "x"}, *lost) is Cause.UNKNOWN


@pytest.mark.parametrize(
    ("source", "target", "differences", "cause"),
    [
        (SOURCE, UNGUARDED, (OTHER,), Cause.UNKNOWN),
        (SOURCE, UNGUARDED, (CUT,), Cause.TRUNCATION),
        (SOURCE, UNGUARDED, (OTHER, ROUNDED), Cause.PRECISION),
        (SOURCE, None, (), Cause.LOST_UPDATE),
        (None, UNGUARDED, (), Cause.UNKNOWN),
        (SOURCE, OLDER, (OTHER,), Cause.LOST_UPDATE),
        (None, OLDER, (), Cause.LOST_DELETE),
        (SOURCE, TOMBSTONED, (OTHER,), Cause.ROGUE_WRITE),
    ],
)
def test_where_the_target_notes_nothing_nobody_is_called_a_rogue_writer(
    source: Entry | None, target: Entry | None, differences: Any, cause: Cause
) -> None:
    assert cause_of(source, target, differences, settled=True, guarded=False)[0] is cause


@pytest.mark.parametrize("source", [None, gone()])
@pytest.mark.parametrize(
    ("target", "cause"),
    [
        (OLDER, Cause.LOST_DELETE),
        (replace(OLDER, faithful=True), Cause.LOST_DELETE),
        (replace(OLDER, faithful=False), Cause.ROGUE_WRITE),
        (TOMBSTONED, Cause.ROGUE_WRITE),
        (UNGUARDED, Cause.ROGUE_WRITE),
    ],
)
def test_rows_without_a_document_are_a_lost_delete_only_where_the_guard_still_knows_them(
    source: Entry | None, target: Entry, cause: Cause
) -> None:
    assert settled(source, target) is cause


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        (None, Cause.LOST_UPDATE),
        (gone(None, 7), Cause.LOST_UPDATE),
        (gone(b"2", 7, faithful=False), Cause.ROGUE_WRITE),
        (gone(b"1", 7, faithful=False), Cause.ROGUE_WRITE),
    ],
)
def test_a_document_without_rows_never_came_or_was_taken_away(target: Entry | None, cause: Cause) -> None:
    assert settled(SOURCE, target) is cause


# --- groups ---------------------------------------------------------------------------------------------------------


def mismatch(number: int, *fields: FieldDifference, **more: Any) -> Mismatch:
    known = Mismatch(
        entity="things",
        key=b"%d" % number,
        kind=Kind.VALUE,
        fields=fields or (OTHER,),
        cause=Cause.ROGUE_WRITE,
        state=State.SETTLED,
        first_seen=NOW,
        last_seen=NOW,
    )
    return replace(known, **more)


def alike(number: int, *fields: FieldDifference, **more: Any) -> list[Mismatch]:
    return [mismatch(one, *fields, **more) for one in range(number)]


def causes(mismatches: list[Mismatch]) -> set[Cause]:
    return {one.cause for one in mismatches}


def test_a_field_that_differs_in_most_keys_is_a_mapping_bug_and_keeps_its_pattern() -> None:
    cut = replace(CUT, cause=Cause.TRUNCATION)
    found = by_group(alike(MAPPING_BUG_KEYS, cut, cause=Cause.TRUNCATION), {"things": 19})
    assert causes(found) == {Cause.MAPPING_BUG}
    assert {one.fields for one in found} == {(cut,)}


@pytest.mark.parametrize(("keys", "compared"), [(MAPPING_BUG_KEYS - 1, 9), (MAPPING_BUG_KEYS, 20), (100, 200)])
def test_few_keys_or_no_more_than_half_are_no_mapping_bug(keys: int, compared: int) -> None:
    assert causes(by_group(alike(keys), {"things": compared})) == {Cause.ROGUE_WRITE}


def test_elements_of_an_array_count_as_one_field_and_once_a_key() -> None:
    lines = [FieldDifference(f"lines.{place}.sku", Kind.VALUE, "a", "b") for place in range(3)]
    found = by_group([mismatch(number, lines[number % 3]) for number in range(12)], {"things": 20})
    assert causes(found) == {Cause.MAPPING_BUG}
    several = by_group([mismatch(number, *lines) for number in range(4)], {"things": 6})
    assert causes(several) == {Cause.ROGUE_WRITE}


@pytest.mark.parametrize("cause", [Cause.LOST_UPDATE, Cause.LOST_DELETE, Cause.STALE])
def test_a_tail_that_stopped_is_no_mapping_bug(cause: Cause) -> None:
    assert causes(by_group(alike(100, cause=cause), {"things": 100})) == {cause}


@pytest.mark.parametrize("state", [State.SUSPECT, State.HOT, State.CLEARED, State.REPAIRED])
def test_only_settled_mismatches_make_a_mapping_bug(state: State) -> None:
    assert causes(by_group(alike(100, state=state), {"things": 100})) == {Cause.ROGUE_WRITE}


def test_the_others_of_the_entity_and_other_entities_keep_their_cause_and_the_order_stays() -> None:
    others = [mismatch(100, CUT), mismatch(101, entity="others"), mismatch(102, cause=Cause.LOST_UPDATE)]
    given = [others[0], *alike(12), *others[1:]]
    found = by_group(given, {"things": 15, "others": 100})
    assert [one.key for one in found] == [one.key for one in given]
    assert [found[0], *found[13:]] == others
    assert causes(found[1:13]) == {Cause.MAPPING_BUG}
