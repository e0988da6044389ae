"""What a report says, before any format writes it: groups first, by cause, with counts and three samples each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from midflight.core.keys import key_bytes
from midflight.parity.forms.normal import EMPTY_ARRAY, MISSING, NULL
from midflight.parity.records import Cause, EntityCounts, Kind, LevelOutcome, State, Verdict
from midflight.parity.report import Report, build
from midflight.parity.report.groups import OTHER_FIELDS, SAMPLES, Group, by_cause
from midflight.parity.report.wording import age_label, duration, key_shown
from tests.fixtures.parity_report import ENDED, asked, clean, difference, history, mismatch, record, report


def group(found: Report, cause: Cause, field: str) -> Group:
    (one,) = [one for one in found.groups if (one.cause, one.field) == (cause, field)]
    return one


def test_the_most_frequent_cause_comes_first_and_in_it_the_largest_group() -> None:
    found = report()
    assert list(found.causes) == [cause for cause, _ in by_cause(found.groups)]
    assert list(found.causes.values()) == sorted(found.causes.values(), reverse=True)
    assert found.groups[0].field == "balance"
    assert found.causes[Cause.LOST_UPDATE] == 41


def test_a_group_counts_keys_and_elements_apart_and_shows_three_samples() -> None:
    lines = group(report(), Cause.PRECISION, "lines.*.price")
    assert (lines.keys, lines.differences) == (7, 14)
    assert len(lines.samples) == SAMPLES
    assert lines.samples[0].path == "lines.0.price"
    assert lines.samples[0].key == "50001"


def test_a_key_of_two_fields_is_in_both_groups_but_once_in_its_cause() -> None:
    found = report()
    both = [group(found, Cause.ROGUE_WRITE, name) for name in ("status", "email")]
    assert [one.keys for one in both] == [9, 9]
    assert found.causes[Cause.ROGUE_WRITE] == 9


def test_a_mapping_bug_keeps_what_its_values_look_like() -> None:
    found = group(report(), Cause.MAPPING_BUG, "legalName")
    assert found.patterns == {Cause.TRUNCATION: 23}
    assert found.looks == "truncation (23 keys)"


def test_a_lost_update_stays_one_whatever_its_values_look_like() -> None:
    cut = difference("name", Kind.VALUE, "abc", "ab", Cause.TRUNCATION)
    found = build(record(), [mismatch("members", 1, Cause.LOST_UPDATE, cut)], [], asked())
    assert [one.cause for one in found.groups] == [Cause.LOST_UPDATE]


def test_fields_of_one_key_that_look_differently_are_told_apart() -> None:
    cut = difference("name", Kind.VALUE, "abc", "ab", Cause.TRUNCATION)
    later = difference("at", Kind.VALUE, 1, 2, Cause.TIME_ZONE_SHIFT)
    plain = difference("note", Kind.VALUE, "a", "b")
    found = build(record(), [mismatch("members", 1, Cause.TRUNCATION, cut, later, plain)], [], asked())
    causes = {one.field: one.cause for one in found.groups}
    assert causes == {"name": Cause.TRUNCATION, "at": Cause.TIME_ZONE_SHIFT, "note": Cause.TRUNCATION}


def test_what_was_cleared_or_repaired_is_counted_and_not_shown() -> None:
    gone = [mismatch("members", state.value, Cause.STALE, state=state) for state in (State.CLEARED, State.REPAIRED)]
    found = build(clean(), gone, [], asked())
    assert found.groups == ()
    assert found.states == {State.CLEARED: 1, State.REPAIRED: 1}


def test_a_missing_key_is_one_difference_whatever_it_had() -> None:
    fields = [difference(name, Kind.MISSING, 1, MISSING) for name in "abc"]
    missing = mismatch("members", 1, Cause.LOST_UPDATE, *fields, kind=Kind.MISSING)
    (one,) = build(record(), [missing], [], asked()).groups
    assert (one.field, one.keys, one.differences) == ("", 1, 1)
    assert (str(one.samples[0].source), str(one.samples[0].target)) == ("present", "missing")


def test_missing_null_and_empty_are_said_though_values_are_redacted() -> None:
    fields = (
        difference("a", Kind.MISSING, EMPTY_ARRAY, MISSING),
        difference("b", Kind.NULL, NULL, "x"),
    )
    found = build(record(), [mismatch("members", 1, Cause.UNKNOWN, *fields, kind=Kind.VALUE)], [], asked())
    said = {one.field: (str(one.samples[0].source), str(one.samples[0].target)) for one in found.groups}
    assert said == {"a": ("empty", "missing"), "b": ("null", "text, 1 character")}


def test_fields_with_ever_new_names_do_not_fill_the_memory() -> None:
    many = [
        mismatch("members", number, Cause.UNKNOWN, difference(f"f{number}x", Kind.VALUE, 1, 2))
        for number in range(2_000)
    ]
    found = build(record(), many, [], asked())
    assert len(found.groups) == 501
    assert sum(one.keys for one in found.groups) == 2_000
    assert group(found, Cause.UNKNOWN, OTHER_FIELDS).keys == 1_500


def test_ages_are_told_at_the_runs_end() -> None:
    ages = {(one.from_seconds, one.to_seconds): dict(one.states) for one in report().ages}
    assert ages[0.0, 10.0] == {State.SETTLED: 0, State.HOT: 1, State.SUSPECT: 1}
    assert ages[86_400.0, None][State.SETTLED] == 26
    assert sum(sum(counts.values()) for counts in ages.values()) == 91


def test_a_run_without_an_end_ages_until_now() -> None:
    one = mismatch("members", 1, Cause.STALE, state=State.SUSPECT, first_seen=ENDED)
    found = build(record(finished_at=None), [one], [], asked(at=ENDED + timedelta(hours=2)))
    assert found.ages[4].states[State.SUSPECT] == 1


@pytest.mark.parametrize(
    ("lower", "upper", "said"),
    [(0.0, 10.0, "under 10 s"), (10.0, 60.0, "10 to 60 s"), (60.0, 600.0, "1 to 10 min"), (86_400.0, None, "over 1 d")],
)
def test_an_age_has_a_short_name(lower: float, upper: float | None, said: str) -> None:
    assert age_label(lower, upper) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3_725, "1 h 2 min"), (90_000, "1 d 1 h"), (-1, "0.0 s")],
)
def test_a_duration_has_two_parts_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_history_is_oldest_first_and_has_this_run_once() -> None:
    found = build(record(), [], [record(), *history()], asked())
    assert [one.started_at for one in found.history] == sorted(one.started_at for one in found.history)
    assert [one.run for one in found.history].count("nightly-2026-11-21") == 1
    assert len(found.history) == 15


def test_every_declared_rule_is_listed_with_its_reason_and_how_often_it_mattered() -> None:
    listed = {(one.entity, one.rule): (one.uses, one.reason) for one in report().overlooked}
    assert listed["members", "ignore lastSeen"] == (812, "written by the web servers only")
    assert listed["campaigns", "absolute budget"] == (0, "never needed so far")


def test_a_rule_that_was_used_is_listed_though_the_plan_at_hand_does_not_know_it() -> None:
    counts = (EntityCounts("members", by_rule={"rtrim city": 3}),)
    listed = build(clean(entities=counts), [], [], asked()).overlooked
    assert ("members", "rtrim city", 3) in [(one.entity, one.rule, one.uses) for one in listed]


def test_only_fields_whose_census_differs_are_shown() -> None:
    assert [(one.entity, one.path) for one in report().census] == [("merchants", "phone")]


# --- what to do -------------------------------------------------------------------------------------------------------


def test_a_pass_says_what_it_rests_on_and_asks_for_nothing() -> None:
    found = build(clean(), [], [], asked())
    assert found.headline == "Both sides say the same: 1,200 keys looked at, levels census, full."
    assert [str(step) for step in found.next_steps] == ["Nothing to do."]


def test_a_failure_names_a_step_for_every_cause_and_level() -> None:
    steps = [str(step) for step in report().next_steps]
    assert steps[0].startswith("Lost update, 41 keys: A change never reached the target.")
    assert any(
        step.startswith("Mapping bug, 23 keys: Most keys differ in this field. A repair is refused") for step in steps
    )
    assert "Level census: 1 field is null at one side only." in steps
    assert steps[-1] == "Run again after that: only a run that passes opens a gate."


def test_a_failed_level_without_a_settled_key_is_the_headline() -> None:
    wrong = [{"check": "primary key of members", "ok": False, "detail": "", "next_step": "Make the key again."}]
    structure = LevelOutcome("structure", Verdict.FAIL, "primary key of members", {"checks": 9, "wrong": wrong})
    levels = (structure, LevelOutcome("full", Verdict.PASS))
    found = build(clean(levels=levels), [], [], asked())
    assert found.headline == "No single key is settled as different, but this failed: structure."
    assert str(found.next_steps[0]) == "Level structure: primary key of members. Make the key again."


def test_neither_incomplete_nor_undecided_passes_for_a_pass() -> None:
    hot = mismatch("members", 1, Cause.STALE, state=State.HOT)
    undecided = clean(levels=(LevelOutcome("full", Verdict.UNDECIDED, "1 key differs whenever it is looked at"),))
    incomplete = clean(levels=(LevelOutcome("full", Verdict.INCOMPLETE, "not every range was walked to its end"),))
    for found in (build(undecided, [hot], [], asked()), build(incomplete, [], [], asked())):
        assert "This is not a pass." in found.headline
        assert "only a run that passes opens a gate" in str(found.next_steps[-1])


def test_a_run_without_an_end_can_be_resumed_and_is_no_pass() -> None:
    found = build(clean(finished_at=None), [], [], asked())
    assert "The run has not ended." in found.headline
    assert "Resume the run" in str(found.next_steps[-1])


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (key_bytes("m-1"), '"m-1"'),
        (key_bytes(42), "42"),
        (key_bytes("a\nb\x1b[31m\u202e"), '"a\\nb\\x1b[31m\\u202e"'),
        (b"plain text", "plain text"),
        (b"\xff\x00\x01", "0xff0001"),
        (b"", "0x"),
        (b"two\nlines", "0x74776f0a6c696e6573"),
    ],
)
def test_a_key_of_any_store_is_shown_and_steers_no_terminal(key: bytes, said: str) -> None:
    assert key_shown(key) == said


def test_a_difference_keeps_its_worst_case_in_the_states_of_its_group() -> None:
    settled = mismatch("members", 1, Cause.STALE, difference("a", Kind.VALUE, 1, 2))
    hot = replace(settled, key=key_bytes(2), state=State.HOT)
    (one,) = build(record(), [settled, hot], [], asked()).groups
    assert one.states == {State.SETTLED: 1, State.HOT: 1}
