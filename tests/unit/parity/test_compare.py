"""Kinds of differences, and the rules by which something counts as equal although it is not the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from midflight.core.plan import Ignored, ParityRules, Plan, SourcePlace, TargetPlace, Tolerance
from midflight.parity.compare import Compared, compare
from midflight.parity.forms.normal import EMPTY_ARRAY, FALSE, MISSING, NAN, NULL, TRUE, unreadable
from midflight.parity.records import Entry, FieldDifference, Kind
from midflight.parity.rules import Rules
from tests.property.strategies import collection
from tests.unit.parity.corpus import WHEN


def entry(fields: Mapping[str, Any]) -> Entry:
    return Entry(b"k", fields)


def difference(source: Any, target: Any, rules: Rules | None = None) -> FieldDifference | None:
    """What comes of two values of one field."""
    left, right = ({} if value is MISSING else {"f": value} for value in (source, target))
    found = compare(entry(left), entry(right), rules or Rules()).differences
    assert len(found) <= 1
    return found[0] if found else None


KINDS: list[tuple[Any, Any, Kind]] = [
    (1, MISSING, Kind.MISSING),
    (MISSING, 1, Kind.EXTRA),
    (NULL, MISSING, Kind.NULL),
    (MISSING, NULL, Kind.NULL),
    (NULL, "", Kind.NULL),
    (0, NULL, Kind.NULL),
    (1, 2, Kind.VALUE),
    ("a", "b", Kind.VALUE),
    (TRUE, FALSE, Kind.VALUE),
    (NAN, 1, Kind.VALUE),
    (EMPTY_ARRAY, "x", Kind.VALUE),
    (1, "1", Kind.TYPE),
    (Decimal("1.50"), "1.5", Kind.TYPE),
    (TRUE, "true", Kind.TYPE),
    (TRUE, 1, Kind.TYPE),
    (WHEN, WHEN.isoformat(), Kind.TYPE),
    (("objectId", "ab"), "ab", Kind.TYPE),
    (1, "2", Kind.VALUE),
    ("1", "1.0", Kind.VALUE),
    (("binary", 0, b"x"), ("binary", 4, b"x"), Kind.VALUE),
    ("x", unreadable("no JSON"), Kind.UNREADABLE),
]


@pytest.mark.parametrize(("source", "target", "kind"), KINDS)
def test_each_kind_of_difference_is_told_from_the_others(source: Any, target: Any, kind: Kind) -> None:
    assert difference(source, target) == FieldDifference("f", kind, source, target)


def test_equal_entries_have_nothing_to_report() -> None:
    assert compare(entry({"a": 1, "b": NULL}), entry({"b": NULL, "a": 1}), Rules()) == Compared()


def test_types_that_drifted_are_listed_beside_the_differences() -> None:
    found = compare(entry({"a": 5, "b": 5.0, "c": 1}), entry({"c": 2, "b": 5, "a": 5}), Rules())
    assert ([one.path for one in found.differences], found.type_drift) == (["c"], ("b",))
    assert compare(entry({"b": Decimal(5)}), entry({"b": 5.0}), Rules()) == Compared(type_drift=("b",))


@pytest.mark.parametrize(("left", "right"), [("bad bytes", ""), ("", "no JSON"), ("bad bytes", "no JSON")])
def test_an_entry_that_cannot_be_read_is_one_difference(left: str, right: str) -> None:
    source, target = Entry(b"k", {}, unreadable=left), Entry(b"k", {}, unreadable=right)
    (only,) = compare(source, target, Rules()).differences
    assert (only.path, only.kind) == (".", Kind.UNREADABLE)
    assert only.source == (unreadable(left) if left else MISSING)
    assert only.target == (unreadable(right) if right else MISSING)


def test_an_order_that_differs_only_within_one_of_two_arrays_is_told_for_that_one() -> None:
    source = entry({"a.0": 1, "a.1": 2, "b.0": 1, "b.1": 2, "c.0.d.0": 1, "c.0.d.1": 2})
    target = entry({"a.0": 2, "a.1": 1, "b.0": 2, "b.1": 3, "c.0.d.0": 2, "c.0.d.1": 1})
    kinds = {one.path: one.kind for one in compare(source, target, Rules()).differences}
    order, value = Kind.ORDER, Kind.VALUE
    assert kinds == {"a.0": order, "a.1": order, "b.0": value, "b.1": value, "c.0.d.0": order, "c.0.d.1": order}


# --- rules ----------------------------------------------------------------------------------------------------------


def ignoring(*fields: str) -> Rules:
    return Rules(tuple(Ignored(collection="things", field=field, reason="legacy") for field in fields))


def tolerating(*rules: tuple[str, str], amount: float = 0.0) -> Rules:
    made = [{"collection": "things", "field": f, "rule": r, "amount": amount, "reason": "known"} for r, f in rules]
    return Rules(tolerated=tuple(Tolerance.model_validate(rule) for rule in made))


IGNORED: list[tuple[str, str, bool]] = [
    ("f", "f", True),
    ("f", "f.x", True),
    ("f", "ff", False),
    ("f", "g.f", False),
    ("f.x", "f", False),
    ("lines.sku", "lines.3.sku", True),
    ("lines.*.sku", "lines.3.sku", True),
    ("lines.*.sku", "lines.3.skus", False),
    ("lines.sku", "lines.3.inner.sku", False),
    ("lines.inner.n", "lines.3.inner.12.n", True),
    ("lines", "lines.3.sku", True),
    ("lines.3", "lines.3.sku", True),
    ("lines.3", "lines.4.sku", False),
    ("places.*.zip", "places.home.zip", True),
    ("places.*.zip", "places.a\\.b.zip", True),
    ("places.*.zip", "places.\\2024.zip", True),
    ("*.zip", "places.home.zip", False),
    ("a.b", "a\\.b", False),
    ("=upper", "=upper", True),
]


@pytest.mark.parametrize(("field", "path", "ignored"), IGNORED)
def test_a_rule_holds_for_its_field_and_all_inside(field: str, path: str, ignored: bool) -> None:
    found = compare(entry({path: 1, "k": 1}), entry({path: 2, "k": 1}), ignoring(field))
    assert found.by_rule == ((f"ignore {field}",) if ignored else ())
    assert [one.path for one in found.differences] == ([] if ignored else [path])


def test_an_ignored_field_that_is_equal_is_not_counted() -> None:
    assert compare(entry({"f": 1}), entry({"f": 1}), ignoring("f")).by_rule == ()


def test_an_ignored_field_may_be_missing_on_either_side() -> None:
    assert compare(entry({"f": 1}), entry({}), ignoring("f")).by_rule == ("ignore f",)
    assert compare(entry({}), entry({"f": 1}), ignoring("f")).by_rule == ("ignore f",)


TOLERATED: list[tuple[str, float, Any, Any, bool]] = [
    ("nfc", 0, "\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}", True),
    ("nfc", 0, "fi", "\N{LATIN SMALL LIGATURE FI}", False),
    ("nfc", 0, "x", "x ", False),
    ("rtrim", 0, "x", "x  ", True),
    ("rtrim", 0, "x", " x", False),
    ("rtrim", 0, "x", "x\t", False),
    ("rtrim", 0, "", MISSING, False),
    ("milliseconds", 0, WHEN, WHEN + timedelta(microseconds=999), True),
    ("milliseconds", 0, WHEN, WHEN + timedelta(milliseconds=1), False),
    ("milliseconds", 0, 1, 2, False),
    ("absolute", 0.1, Decimal("1.0"), Decimal("1.1"), True),
    ("absolute", 0.1, 1.0, Decimal("1.1000000000000000001"), False),
    ("absolute", 1, 5, 6.0, True),
    ("absolute", 1, 5, 7, False),
    ("absolute", 1, Decimal("Infinity"), 1, False),
    ("absolute", 1, NAN, 1, False),
    ("absolute", 1, TRUE, FALSE, False),
    ("absolute", 1, "1", "2", False),
    ("absolute", 1, 1, MISSING, False),
]


@pytest.mark.parametrize(("rule", "amount", "source", "target", "equal"), TOLERATED)
def test_a_tolerance_covers_what_it_says_and_no_more(
    rule: str, amount: float, source: Any, target: Any, equal: bool
) -> None:
    found = difference(source, target, tolerating((rule, "f"), amount=amount))
    assert (found is None) == equal


def test_a_tolerance_that_was_needed_is_named() -> None:
    rules = tolerating(("nfc", "f"), ("rtrim", "f"))
    assert compare(entry({"f": "x"}), entry({"f": "x "}), rules).by_rule == ("rtrim f",)
    found = compare(entry({"f": "é"}), entry({"f": "e\N{COMBINING ACUTE ACCENT} "}), rules)
    assert found == Compared(by_rule=("nfc f + rtrim f",))


def test_a_plans_rules_are_told_apart_by_collection() -> None:
    plan = Plan(
        domain="d",
        source=SourcePlace(store="s", database="d"),
        target=TargetPlace(store="t"),
        collections=(collection(),),
        parity=ParityRules(
            ignore=(
                Ignored(collection="things", field="a", reason="r"),
                Ignored(collection="others", field="b", reason="r"),
            ),
            tolerate=(Tolerance(collection="things", field="c", rule="nfc", reason="r"),),
        ),
    )
    rules = Rules.of(plan, "things")
    assert ([one.field for one in rules.ignored], [one.field for one in rules.tolerated]) == (["a"], ["c"])
    assert Rules.of(plan, "none").overlooks("a", 1, 2) == ""
