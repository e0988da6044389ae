"""No value leaves a report unless it was asked for and the plan lists its field. Seen red with `shown` unguarded."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from midflight.core.plan import ParityRules
from midflight.parity.forms.normal import unreadable
from midflight.parity.records import Cause, Kind, LevelOutcome, Verdict
from midflight.parity.report import Asked, as_html, as_json, as_jsonl, as_text, build
from midflight.parity.report.values import REDACTED, Showing
from tests.fixtures.parity_report import (
    RULES,
    SECRET,
    asked,
    clean,
    difference,
    history,
    mismatch,
    mismatches,
    record,
)

FORMATS: dict[str, Callable[..., str]] = {"json": as_json.render, "text": as_text.render, "html": as_html.render}


def everything(found: list[Any], question: Asked, run: Any = None) -> str:
    """All four formats of one run."""
    of = run or record()
    made = build(of, found, history(), question)
    return "\n".join([*(render(made) for render in FORMATS.values()), *as_jsonl.lines(of, found, question)])


@pytest.mark.parametrize("values", [False, True])
def test_no_secret_is_in_any_format(values: bool) -> None:
    """With values asked for, the fields that hold secrets are still not in the plan's list."""
    assert SECRET not in everything(mismatches(), asked(values=values))


def test_values_are_shown_when_asked_for_and_listed() -> None:
    assert "gold 0" not in everything(mismatches(), asked())
    text = as_text.render(build(record(), mismatches(), [], asked(values=True)))
    assert '"r-00000": "gold 0" → "silver"' in text
    assert "Values are redacted, except those of: status, lines.sku, phone." in text


def test_values_are_not_shown_when_asked_for_and_nothing_is_listed() -> None:
    assert "gold 0" not in everything(mismatches(), Asked(at=asked().at, rules=ParityRules(), values=True))


HIDDEN: list[Any] = [
    SECRET,
    unreadable(SECRET),
    ("code", SECRET, None),
    ("regex", SECRET, "i"),
    ("object", ("name", SECRET)),
    ("array", SECRET, SECRET),
    ("binary", 0, SECRET.encode()),
    ("objectId", "5ec1e7" * 4),
    (SECRET,),
    (SECRET, 1),
    ((SECRET,), 1),
    (),
    SECRET.encode(),
    [SECRET],
    {"a": SECRET},
    987_654_321_012,
    98_765.432_101_2,
    Decimal("987654321.012"),
    datetime(1987, 6, 5, 4, 32, 10, tzinfo=UTC),
    ("date", 987_654_321_012),
    ("timestamp", 987_654_321, 12),
]


@pytest.mark.parametrize("value", HIDDEN, ids=repr)
@pytest.mark.parametrize("values", [False, True])
def test_no_kind_of_value_shows_through(value: Any, values: bool) -> None:
    hidden = (difference("card", Kind.VALUE, value, 1), difference("extra.deep.0", Kind.TYPE, 1, value))
    written = everything([mismatch("members", 1, Cause.UNKNOWN, *hidden)], asked(values=values), clean())
    for part in (SECRET, "5ec1e7", "987654321", "987,654", "98765.4", "1987", "533EC123"):
        assert part not in written


@pytest.mark.parametrize("value", HIDDEN, ids=repr)
def test_every_kind_of_value_can_be_written_when_it_may_be_shown(value: Any) -> None:
    shown = difference("status", Kind.VALUE, value, 1)
    written = everything([mismatch("members", 1, Cause.UNKNOWN, shown)], asked(values=True), clean())
    assert "status" in written


@pytest.mark.parametrize(
    ("field", "allowed"),
    [
        ("status", True),
        ("status.inner", True),
        ("lines.*.sku", True),
        ("lines.3.sku", True),
        ("lines.*.price", False),
        ("lines", False),
        ("statusCode", False),
        ("other.status", False),
        ("status\\.other", False),
        ("", False),
    ],
)
def test_a_listed_field_allows_itself_and_what_is_in_it(field: str, allowed: bool) -> None:
    assert Showing.of(RULES, values=True).allows(field) is allowed
    assert not Showing.of(RULES, values=False).allows(field)


def test_the_details_of_a_level_keep_counts_and_names_and_lose_values() -> None:
    details = {
        "points": {"broken": 1, "labels": [f"member {SECRET}"], "undecided": 0},
        "rows": [{"label": SECRET, "source": 1, "target": SECRET}],
        "differing": ["members.balance"],
        "nothing": None,
        "bound": float("inf"),
    }
    outcome = LevelOutcome("invariants", Verdict.FAIL, "broken: points", details)
    found = build(clean(levels=(outcome,)), [], [], asked(values=True))
    assert found.details["invariants"] == {
        "points": {"broken": 1, "labels": REDACTED, "undecided": 0},
        "rows": REDACTED,
        "differing": ["members.balance"],
        "nothing": None,
        "bound": "inf",
    }
    assert as_json.render(found)


@pytest.mark.parametrize(("values", "labels"), [(True, ["gold"]), (False, REDACTED)])
def test_an_invariant_whose_name_is_listed_shows_its_labels_when_asked(values: bool, labels: object) -> None:
    details = {"points-per-tier": {"broken": 1, "labels": ["gold"], "undecided": 0}}
    levels = (LevelOutcome("invariants", Verdict.FAIL, "broken: points-per-tier", details),)
    question = asked(values=values, rules=ParityRules(show=("points-per-tier",)))
    found = build(clean(levels=levels), [], [], question)
    assert found.details["invariants"]["points-per-tier"]["labels"] == labels


def test_a_long_value_is_cut_and_an_invisible_one_is_spelled_out() -> None:
    fields = (
        difference("status", Kind.VALUE, "x" * 5_000, "caf\u00e9\u200b"),
        difference("phone", Kind.VALUE, "\x1b[2J", "\ud800"),
    )
    question = asked(values=True)
    written = everything([mismatch("members", 1, Cause.UNKNOWN, *fields)], question, clean())
    assert "x" * 300 not in written
    assert "\x1b" not in written
    assert "café\\u200b" in as_text.render(build(clean(), [mismatch("m", 1, Cause.UNKNOWN, *fields)], [], question))
    assert written.encode()


def test_the_json_says_which_fields_are_shown() -> None:
    assert json.loads(as_json.render(build(record(), [], [], asked())))["shown_fields"] == []
    shown = json.loads(as_json.render(build(record(), [], [], asked(values=True))))["shown_fields"]
    assert shown == list(RULES.show)
