"""The torture corpus: every difference of every kind is found and named by field, and equal things never differ."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId

from midflight.core.documents import read_document
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Mapped, Row
from midflight.core.plan import Child, CollectionMap, KeyMap
from midflight.parity.compare import compare
from midflight.parity.forms.normal import MISSING, NULL, TRUE
from midflight.parity.forms.source_form import SourceForm
from midflight.parity.forms.target_form import TargetForm, Unreadable
from midflight.parity.records import Cause, Entry, FieldDifference, Kind
from midflight.parity.rules import Rules
from tests.property.strategies import (
    FLAT,
    FLAT_TYPES,
    NESTED,
    NO_REST,
    TRANSFORMED,
    collection,
    field,
    through_postgres,
)
from tests.unit.parity.chain import Named, guard_of, judged, seeded
from tests.unit.parity.corpus import GROUPS, OID, WHEN, compared, rows_of, source, target

OWN = collection()
"""Nothing mapped: every value lies in the rest column."""
JSON = collection(fields=(field("f", "jsonb"),))
NOTHING = "<nothing>"
"""No field at all. No value of the corpus says this."""
STATES: list[list[Any]] = [[NOTHING], *GROUPS]


def document(value: Any, path: str = "f") -> dict[str, Any]:
    body = {"_id": OID, "other": 1}
    return body if value is NOTHING else {**body, path: value}


@pytest.mark.parametrize("plan", [OWN, JSON], ids=["rest column", "jsonb column"])
def test_each_value_differs_from_each_other_one_and_from_none(plan: CollectionMap) -> None:
    """All pairs: the source has the one, the rows were made of the other."""
    sources = [source(plan, document(group[0])) for group in STATES]
    targets = [target(plan, rows_of(plan, document(group[0]))) for group in STATES]
    wrong = []
    for (i, left), (j, right) in product(enumerate(sources), enumerate(targets)):
        differences = compare(left, right, Rules()).differences
        if bool(differences) != (i != j) or not all(one.path.split(".")[0] == "f" for one in differences):
            wrong.append((STATES[i], STATES[j], differences))
    assert wrong == []


@pytest.mark.parametrize("plan", [OWN, JSON], ids=["rest column", "jsonb column"])
def test_forms_of_one_value_never_differ(plan: CollectionMap) -> None:
    alarms = [
        (left, right)
        for group in GROUPS
        for left, right in product(group, group)
        if compared(plan, document(left), rows_of(plan, document(right))).differences
    ]
    assert alarms == []


@pytest.mark.parametrize("name", FLAT_TYPES)
def test_each_value_that_a_column_takes_differs_from_each_other_one(name: str) -> None:
    """Whatever of the corpus the column takes, in all pairs."""
    mapper = mapper_for(FLAT)
    taken: list[tuple[int, Entry, Entry]] = []
    for number, group in enumerate(STATES):
        for value in group:
            body = document(value, name)
            outcome = mapper.map(read_document(bson.encode(body)))
            if isinstance(outcome, Mapped):
                rows = through_postgres(mapper.tables, outcome.rows)
                taken.append((number, source(FLAT, body), target(FLAT, rows)))
    assert len(taken) > 1
    wrong = [
        (STATES[i], STATES[j])
        for (i, left, _), (j, _, right) in product(taken, taken)
        if bool(compare(left, right, Rules()).differences) != (i != j)
    ]
    assert wrong == []


# --- somebody changes one cell --------------------------------------------------------------------------------------

FULL = {
    "_id": OID,
    "s": "x|",
    "v": "abc",
    "b": True,
    "i2": 1,
    "i4": 2,
    "i8": Int64(2**53 + 1),
    "n": Decimal128("1"),
    "n2": Decimal128("12.50"),
    "d": 1e-17,
    "t": WHEN,
    "day": datetime(2024, 1, 31, tzinfo=WHEN.tzinfo),
    "u": Binary(bytes(16), 4),
    "y": b"x",
    "o": OID,
    "j": {"a": [1, {"b": None}], "c": 1.0},
    "k": "key",
    "unmapped": {"x": "y", "n": 0.5},
}
CELLS: list[tuple[str, Any, str, Kind, Cause]] = [
    ("c_s", "x", "s", Kind.VALUE, Cause.TRUNCATION),
    ("c_s", "x| ", "s", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_s", "<null>", "s", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_s", "", "s", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_s", None, "s", Kind.MISSING, Cause.ROGUE_WRITE),
    ("c_v", "ABC", "v", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_v", "ab", "v", Kind.VALUE, Cause.TRUNCATION),
    ("c_b", False, "b", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_i2", 0, "i2", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_i4", None, "i4", Kind.MISSING, Cause.ROGUE_WRITE),
    ("c_i8", 2**53, "i8", Kind.VALUE, Cause.PRECISION),
    ("c_i8", 2**53 + 2, "i8", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_i8", 1, "i8", Kind.VALUE, Cause.TRUNCATION),
    ("c_i8", 2**31 - 1, "i8", Kind.VALUE, Cause.TRUNCATION),
    ("c_n", Decimal("1.0000000000000000001"), "n", Kind.VALUE, Cause.PRECISION),
    ("c_n", Decimal("NaN"), "n", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_n2", Decimal("12.51"), "n2", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_n2", Decimal("12.00"), "n2", Kind.VALUE, Cause.PRECISION),
    ("c_d", 2e-17, "d", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_d", 0.0, "d", Kind.VALUE, Cause.PRECISION),
    ("c_d", float("inf"), "d", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_t", WHEN + timedelta(microseconds=1), "t", Kind.VALUE, Cause.PRECISION),
    ("c_t", WHEN.replace(microsecond=0), "t", Kind.VALUE, Cause.PRECISION),
    ("c_t", WHEN.replace(hour=0, minute=0, microsecond=0), "t", Kind.VALUE, Cause.PRECISION),
    ("c_t", WHEN + timedelta(milliseconds=1), "t", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_t", WHEN + timedelta(hours=1), "t", Kind.VALUE, Cause.TIME_ZONE_SHIFT),
    ("c_t", WHEN - timedelta(hours=5, minutes=45), "t", Kind.VALUE, Cause.TIME_ZONE_SHIFT),
    ("c_t", WHEN + timedelta(days=1), "t", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_t", None, "t", Kind.MISSING, Cause.ROGUE_WRITE),
    ("c_day", date(2024, 2, 1), "day", Kind.VALUE, Cause.TIME_ZONE_SHIFT),
    ("c_day", date(2024, 2, 2), "day", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_u", UUID(int=1), "u", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_y", b"x\0", "y", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_o", "65920100a1b2c3d4e5f60719", "o", Kind.VALUE, Cause.ROGUE_WRITE),
    # Rebuilt, it is the document that was applied: nobody can tell who wrote the column so.
    ("c_o", "65920100A1B2C3D4E5F60718", "o", Kind.VALUE, Cause.UNKNOWN),
    ("c_o", "nonsense", "o", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_j", '{"a": [1, {"b": null}], "c": "1.0"}', "j.c", Kind.TYPE, Cause.ROGUE_WRITE),
    ("c_j", '{"a": [1, {"b": null}], "c": 1.0000000000000000001}', "j.c", Kind.VALUE, Cause.PRECISION),
    ("c_j", '{"a": [1, {"b": 1}], "c": 1.0}', "j.a.1.b", Kind.NULL, Cause.ROGUE_WRITE),
    ("c_j", '{"a": [1, {"b": 0}], "c": 1.0}', "j.a.1.b", Kind.NULL, Cause.DEFAULT_FILLED),
    ("c_j", '{"a": [1, {"b": null}, 0], "c": 1.0}', "j.a.2", Kind.EXTRA, Cause.ROGUE_WRITE),
    ("c_j", '{"a": [1, {"b": null}, 2], "c": 1.0}', "j.a.2", Kind.EXTRA, Cause.ROGUE_WRITE),
    ("c_j", '{"a": [1, {"b": null}], "c": true}', "j.c", Kind.TYPE, Cause.ROGUE_WRITE),
    ("c_j", '{"a": [1, {"b": null}], "c": {"$long": "one"}}', "j.c", Kind.UNREADABLE, Cause.ROGUE_WRITE),
    ("c_k", '"KEY"', "k", Kind.VALUE, Cause.ROGUE_WRITE),
    ("c_k", "no JSON", "k", Kind.UNREADABLE, Cause.ROGUE_WRITE),
    ("origin", "application", "=origin", Kind.VALUE, Cause.ROGUE_WRITE),
    ("origin", "", "=origin", Kind.VALUE, Cause.ROGUE_WRITE),
    ("origin", None, "=origin", Kind.MISSING, Cause.ROGUE_WRITE),
    ("extra", '{"unmapped": {"x": "z", "n": 0.5}}', "unmapped.x", Kind.VALUE, Cause.ROGUE_WRITE),
    ("extra", '{"unmapped": {"n": 0.5}}', "unmapped.x", Kind.MISSING, Cause.ROGUE_WRITE),
    ("extra", '{"unmapped": {"x": "y", "n": 0.50000000000000000001}}', "unmapped.n", Kind.VALUE, Cause.PRECISION),
    ("extra", '{"unmapped": {"x": "y", "n": {"$long": "7"}}}', "unmapped.n", Kind.VALUE, Cause.ROGUE_WRITE),
    ("extra", '{"unmapped": {"x": "y", "n": {"$nonsense": "1"}}}', "unmapped.n", Kind.UNREADABLE, Cause.ROGUE_WRITE),
    ("extra", '{"unmapped": {"x": "y", "n": 0.5}, "new": 1}', "new", Kind.EXTRA, Cause.ROGUE_WRITE),
    ("extra", '{"unmapped": {"x": "y", "n": 0.5}, "new": false}', "new", Kind.EXTRA, Cause.DEFAULT_FILLED),
    ("extra", '{"unmapped": {"x": "y", "n": 0.5}, "new": null}', "new", Kind.NULL, Cause.ROGUE_WRITE),
]
"""One cell of FULL's rows is changed: column, cell, the field that this concerns, how it differs then, and why."""


def changed(plan: CollectionMap, rows: list[list[Row]], column: str, cell: Any, table: int = 0) -> list[list[Row]]:
    """The same rows, but for this column of the table's first row."""
    slot = [known.name for known in mapper_for(plan).tables[table].columns].index(column)
    row = rows[table][0]
    others = [list(kept) for kept in rows]
    others[table][0] = (*row[:slot], cell, *row[slot + 1 :])
    return others


def alone(found: tuple[FieldDifference, ...]) -> tuple[str, Kind]:
    (only,) = found
    return only.path, only.kind


@pytest.mark.parametrize(("column", "cell", "path", "kind", "cause"), CELLS)
async def test_one_changed_cell_is_found_named_and_given_its_cause(
    column: str, cell: Any, path: str, kind: Kind, cause: Cause
) -> None:
    rows = changed(FLAT, rows_of(FLAT, FULL), column, cell)
    assert await seeded(FLAT, FULL, rows) == (cause, {path: (kind, pattern(cause))})


def pattern(cause: Cause) -> Cause:
    """The cause of a field: that rows are somebody else's can be said of whole keys only."""
    return Cause.UNKNOWN if cause is Cause.ROGUE_WRITE else cause


async def test_a_row_under_another_key_is_missing_here_and_somebody_elses_there() -> None:
    rows = changed(FLAT, rows_of(FLAT, FULL), "id", '{"$oid":"65920100a1b2c3d4e5f60719"}')
    assert alone(compared(FLAT, FULL, rows).differences) == ("_id", Kind.VALUE)
    other = {**FULL, "_id": ObjectId("65920100a1b2c3d4e5f60719")}
    gone = await judged(FLAT, FULL, [[]], guard=guard_of(FLAT, FULL))
    there = await judged(FLAT, None, rows, guard=None, usual=other)
    assert [(one.kind, one.cause) for one in (gone, there)] == [
        (Kind.MISSING, Cause.ROGUE_WRITE),
        (Kind.EXTRA, Cause.ROGUE_WRITE),
    ]


# --- rows of elements -----------------------------------------------------------------------------------------------

ITEMS = {
    "_id": 7,
    "a": 5,
    "sub": {"x": "x", "deep": {"y": Int64(1)}, "places": {"home": {"n": 1.5, "log": [1, "2"]}, "2024": {"n": 2.5}}},
    "items": [
        {"sku": "one", "price": {"amount": Decimal128("1")}, "tags": ["x", "xy"], "by": {"q1": {"q": 1}}},
        {"sku": "two", "price": {"amount": Decimal128("2")}, "own": 1},
        {"sku": "three", "price": {"amount": Decimal128("3")}},
    ],
}
ROOT, LINES, TAGS, BYS, PLACES, LOGS = range(6)
Change = Callable[[list[list[Row]]], Any]
NO_CAUSE = Cause.UNKNOWN
ROWS: dict[str, tuple[Change, Cause, Named]] = {
    "a row of the last element is gone": (
        lambda rows: rows[LINES].pop(),
        Cause.ROGUE_WRITE,
        {"items.2.sku": (Kind.MISSING, NO_CAUSE), "items.2.price.amount": (Kind.MISSING, NO_CAUSE)},
    ),
    "a row in the middle is gone": (
        lambda rows: rows[LINES].pop(1),
        Cause.ROGUE_WRITE,
        {
            "items.1.sku": (Kind.VALUE, NO_CAUSE),
            "items.1.price.amount": (Kind.VALUE, NO_CAUSE),
            "items.1.own": (Kind.MISSING, NO_CAUSE),
            "items.2.sku": (Kind.MISSING, NO_CAUSE),
            "items.2.price.amount": (Kind.MISSING, NO_CAUSE),
        },
    ),
    "a row too many": (
        lambda rows: rows[LINES].append((rows[LINES][0][0], 3, "four", None)),
        Cause.ROGUE_WRITE,
        {"items.3.sku": (Kind.EXTRA, NO_CAUSE)},
    ),
    "a row twice": (
        lambda rows: rows[LINES].append(_at(rows[LINES][2], 3)),
        Cause.ROGUE_WRITE,
        {"items.3.sku": (Kind.EXTRA, NO_CAUSE), "items.3.price.amount": (Kind.EXTRA, NO_CAUSE)},
    ),
    "an empty row too many": (
        lambda rows: rows[LINES].append((rows[LINES][0][0], 3, None, None)),
        Cause.ROGUE_WRITE,
        {"items.3": (Kind.EXTRA, NO_CAUSE)},
    ),
    "a row of a zero too many": (
        lambda rows: rows[LINES].append((rows[LINES][0][0], 3, None, Decimal(0))),
        Cause.ROGUE_WRITE,
        {"items.3.price.amount": (Kind.EXTRA, NO_CAUSE)},
    ),
    "two rows have changed places": (
        lambda rows: rows[LINES].__setitem__(slice(1, 3), [_at(rows[LINES][2], 1), _at(rows[LINES][1], 2)]),
        Cause.ROGUE_WRITE,
        {f"items.{n}.{name}": (Kind.VALUE, NO_CAUSE) for n in (1, 2) for name in ("sku", "price.amount")},
    ),
    "two inner rows have changed places": (
        lambda rows: rows[TAGS].__setitem__(slice(0, 2), [(*rows[TAGS][0][:3], "xy"), (*rows[TAGS][1][:3], "x")]),
        Cause.ROGUE_WRITE,
        {f"items.0.tags.{n}": (Kind.ORDER, NO_CAUSE) for n in (0, 1)},
    ),
    "a value of an inner row": (
        lambda rows: rows[TAGS].__setitem__(1, (*rows[TAGS][1][:-1], "z")),
        Cause.ROGUE_WRITE,
        {"items.0.tags.1": (Kind.VALUE, NO_CAUSE)},
    ),
    "a value of an inner row is cut": (
        lambda rows: rows[TAGS].__setitem__(1, (*rows[TAGS][1][:-1], "x")),
        Cause.TRUNCATION,
        {"items.0.tags.1": (Kind.VALUE, Cause.TRUNCATION)},
    ),
    "an inner row is gone": (
        lambda rows: rows[TAGS].pop(),
        Cause.ROGUE_WRITE,
        {"items.0.tags.1": (Kind.MISSING, NO_CAUSE)},
    ),
    "all inner rows are gone": (
        lambda rows: rows[TAGS].clear(),
        Cause.ROGUE_WRITE,
        {"items.0.tags.0": (Kind.MISSING, NO_CAUSE), "items.0.tags.1": (Kind.MISSING, NO_CAUSE)},
    ),
    "an inner row of an element that is not there": (
        lambda rows: rows[TAGS].append((rows[TAGS][0][0], 9, 0, "x")),
        Cause.ROGUE_WRITE,
        {"items.9.tags.0": (Kind.EXTRA, NO_CAUSE)},
    ),
    "an entry of a map has another name": (
        lambda rows: rows[BYS].__setitem__(0, (*rows[BYS][0][:2], "q2", 1)),
        Cause.ROGUE_WRITE,
        {"items.0.by.q1.q": (Kind.MISSING, NO_CAUSE), "items.0.by.q2.q": (Kind.EXTRA, NO_CAUSE)},
    ),
    "a value of a map's entry": (
        lambda rows: rows[PLACES].__setitem__(0, (*rows[PLACES][0][:-1], 9.5)),
        Cause.ROGUE_WRITE,
        {"sub.places.\\2024.n": (Kind.VALUE, NO_CAUSE)},
    ),
    "a value of a map's entry is rounded": (
        lambda rows: rows[PLACES].__setitem__(0, (*rows[PLACES][0][:-1], 3.0)),
        Cause.PRECISION,
        {"sub.places.\\2024.n": (Kind.VALUE, Cause.PRECISION)},
    ),
    "text where there was a number": (
        lambda rows: rows[LOGS].__setitem__(0, (*rows[LOGS][0][:-1], '"1"')),
        Cause.ROGUE_WRITE,
        {"sub.places.home.log.0": (Kind.TYPE, NO_CAUSE)},
    ),
    "null where there was a text": (
        lambda rows: rows[LOGS].__setitem__(1, (*rows[LOGS][1][:-1], "null")),
        Cause.ROGUE_WRITE,
        {"sub.places.home.log.1": (Kind.NULL, NO_CAUSE)},
    ),
}


def _at(row: Row, position: int) -> Row:
    return (row[0], position, *row[2:])


@pytest.mark.parametrize("name", ROWS)
async def test_a_change_among_rows_of_elements_is_found_named_and_given_its_cause(name: str) -> None:
    change, cause, expected = ROWS[name]
    rows = rows_of(NESTED, ITEMS)
    change(rows)
    assert await seeded(NESTED, ITEMS, rows) == (cause, expected)


def test_an_entry_of_a_map_with_a_dollar_keeps_what_is_beside_its_columns() -> None:
    body = {"_id": 1, "items": [{"by": {"$x": {"q": 1, "own": 2}, "$$y": {"q": 2.0}}}]}
    rows = rows_of(NESTED, body)
    assert compared(NESTED, body, rows).differences == ()
    found = compared(NESTED, body, changed(NESTED, rows, "extra", None)).differences
    assert [(one.path, one.kind) for one in found] == [("items.0.by.$x.own", Kind.MISSING)]


def test_an_array_of_any_length_is_read_and_does_not_fill_the_memory() -> None:
    body = {"_id": OID, "items": [{"q": Decimal128(str(n))} for n in range(5_100)]}
    form, rows = TargetForm(NO_REST), rows_of(NO_REST, body)
    assert form.fields(rows) == source(NO_REST, body).fields
    assert len(form._level.children[0]._level._bound) == 5_000


def test_rows_in_any_order_and_with_gaps_between_positions_are_the_same_array() -> None:
    rows = rows_of(NO_REST, {"_id": OID, "items": [{"q": Decimal128(str(n))} for n in range(3)]})
    rows[1] = [_at(row, row[1] * 5) for row in reversed(rows[1])]
    found = compared(NO_REST, {"_id": OID, "items": [{"q": Decimal128(str(n))} for n in range(3)]}, rows)
    assert found.differences == ()


def test_elements_in_another_order_are_of_that_kind() -> None:
    body = {"_id": 1, "f": [{"a": 1, "b": 2}, {"a": 3, "b": 4}], "g": 1}
    rows = rows_of(OWN, {"_id": 1, "f": [{"a": 3, "b": 4}, {"a": 1, "b": 2}], "g": 2})
    found = {(one.path, one.kind) for one in compared(OWN, body, rows).differences}
    assert found == {
        *((f"f.{n}.{name}", Kind.ORDER) for n in (0, 1) for name in "ab"),
        ("g", Kind.VALUE),
    }


# --- transforms -----------------------------------------------------------------------------------------------------

PERSON = {
    "_id": OID,
    "who": {"name": "Ada King Lovelace"},
    "given": "Ada",
    "family": "Lovelace",
    "paid": 1250,
    "at": Int64(1_706_689_800_123),
    "day": "2024-01-31",
    "email": "A@b.c",
    "nick": "ada",
    "when": [1_706_689_800, None],
}
TRANSFORMED_CELLS: list[tuple[str, Any, Cause, Named]] = [
    ("others", "Lovelace", Cause.ROGUE_WRITE, {"who.name": (Kind.VALUE, NO_CAUSE)}),
    ("others", "King Love", Cause.TRUNCATION, {"who.name": (Kind.VALUE, Cause.TRUNCATION)}),
    ("others", None, Cause.TRUNCATION, {"who.name": (Kind.VALUE, Cause.TRUNCATION)}),
    ("full", "Ada Byron", Cause.ROGUE_WRITE, {"family": (Kind.VALUE, NO_CAUSE)}),
    ("paid", Decimal("12.51"), Cause.ROGUE_WRITE, {"paid": (Kind.VALUE, NO_CAUSE)}),
    ("at", WHEN + timedelta(milliseconds=1), Cause.ROGUE_WRITE, {"at": (Kind.VALUE, NO_CAUSE)}),
    ("day", date(2024, 2, 1), Cause.ROGUE_WRITE, {"day": (Kind.VALUE, NO_CAUSE)}),
    ("email_lower", "b@b.c", Cause.ROGUE_WRITE, {"=email_lower": (Kind.VALUE, NO_CAUSE)}),
    ("email_lower", "a@b", Cause.TRUNCATION, {"=email_lower": (Kind.VALUE, Cause.TRUNCATION)}),
    ("email_lower", None, Cause.ROGUE_WRITE, {"=email_lower": (Kind.MISSING, NO_CAUSE)}),
    ("nick_upper", "ADA ", Cause.ROGUE_WRITE, {"=nick_upper": (Kind.VALUE, NO_CAUSE)}),
    ("c_email", "a@b.c", Cause.ROGUE_WRITE, {"email": (Kind.VALUE, NO_CAUSE)}),
]


@pytest.mark.parametrize(("column", "cell", "cause", "expected"), TRANSFORMED_CELLS)
async def test_a_changed_cell_of_a_transform_is_found_named_and_given_its_cause(
    column: str, cell: Any, cause: Cause, expected: Named
) -> None:
    rows = changed(TRANSFORMED, rows_of(TRANSFORMED, PERSON), column, cell)
    assert await seeded(TRANSFORMED, PERSON, rows) == (cause, expected)


@pytest.mark.parametrize("body", [{"given": "Ada Lovelace"}, {"given": "Ada"}, {"family": "Lovelace"}])
def test_a_field_that_a_transform_would_make_up_stays_missing(body: dict[str, Any]) -> None:
    """The kept values say so, and the way back alone would say something else."""
    body = {"_id": OID, **body}
    rows = rows_of(TRANSFORMED, body)
    assert compared(TRANSFORMED, body, rows).differences == ()
    assert compared(TRANSFORMED, body, changed(TRANSFORMED, rows, "extra", None)).differences != ()


# --- what is kept beside the columns --------------------------------------------------------------------------------

ROGUE, FILLED, EXTRA = Cause.ROGUE_WRITE, Cause.DEFAULT_FILLED, Kind.EXTRA
BESIDE: list[tuple[str, dict[str, Any], dict[str, Any], str, Kind, Cause]] = [
    ("null became missing", {"s": None}, {}, "s", Kind.NULL, Cause.ROGUE_WRITE),
    ("missing became null", {}, {"s": None}, "s", Kind.NULL, Cause.ROGUE_WRITE),
    ("null became empty", {"s": None}, {"s": ""}, "s", Kind.NULL, Cause.DEFAULT_FILLED),
    ("missing became empty", {}, {"s": ""}, "s", Kind.EXTRA, Cause.DEFAULT_FILLED),
    ("empty became null", {"s": ""}, {"s": None}, "s", Kind.NULL, Cause.ROGUE_WRITE),
    ("empty became missing", {"s": ""}, {}, "s", Kind.MISSING, Cause.ROGUE_WRITE),
    ("null became its own spelling", {"s": None}, {"s": "null"}, "s", Kind.NULL, Cause.DEFAULT_FILLED),
    ("a spelling became null", {"s": "null"}, {"s": None}, "s", Kind.NULL, Cause.ROGUE_WRITE),
    ("an empty document became missing", {"sub": {}}, {}, "sub", Kind.MISSING, Cause.ROGUE_WRITE),
    ("missing became an empty document", {}, {"sub": {}}, "sub", Kind.EXTRA, Cause.DEFAULT_FILLED),
    ("null became an empty document", {"sub": None}, {"sub": {}}, "sub", Kind.NULL, Cause.DEFAULT_FILLED),
    ("an empty document became null", {"sub": {}}, {"sub": None}, "sub", Kind.NULL, Cause.ROGUE_WRITE),
    ("an empty array became missing", {"items": []}, {}, "items", Kind.MISSING, Cause.ROGUE_WRITE),
    ("missing became an empty array", {}, {"items": []}, "items", Kind.EXTRA, Cause.DEFAULT_FILLED),
    ("an empty array became null", {"items": []}, {"items": None}, "items", Kind.NULL, Cause.ROGUE_WRITE),
    ("null became an empty array", {"items": None}, {"items": []}, "items", Kind.NULL, Cause.DEFAULT_FILLED),
    ("an element's null became an empty document", {"items": [None]}, {"items": [{}]}, "items.0", Kind.NULL, FILLED),
    ("an element's empty document became null", {"items": [{}]}, {"items": [None]}, "items.0", Kind.NULL, ROGUE),
    ("an element's field was filled", {"items": [{"o": 1}]}, {"items": [{"o": 1, "q": 0}]}, "items.0.q", EXTRA, FILLED),
    ("an element's field got a value", {"items": [{"o": 1}]}, {"items": [{"o": 1, "q": 3}]}, "items.0.q", EXTRA, ROGUE),
]
PARTS = collection(
    fields=(field("s", "text"), field("sub.x", "text")),
    children=(Child(array="items", table="items", parent_key="thing", fields=(field("q", "integer"),)),),
)


@pytest.mark.parametrize(("name", "left", "right", "path", "kind", "cause"), BESIDE)
async def test_missing_null_and_empty_are_three_things(
    name: str, left: dict[str, Any], right: dict[str, Any], path: str, kind: Kind, cause: Cause
) -> None:
    body = {"_id": OID, **left}
    found = await seeded(PARTS, body, rows_of(PARTS, {"_id": OID, **right}))
    assert found == (cause, {path: (kind, pattern(cause))}), name


def test_what_is_kept_as_exact_cannot_hide_that_the_column_has_changed() -> None:
    body = {"_id": OID, "i4": 5.0}
    rows = rows_of(FLAT, body)
    assert '"$exact":' in rows[0][0][-1]
    assert compared(FLAT, body, rows).type_drift == ()
    assert alone(compared(FLAT, body, changed(FLAT, rows, "c_i4", 6)).differences) == ("i4", Kind.VALUE)
    assert alone(compared(FLAT, body, changed(FLAT, rows, "c_i4", None)).differences) == ("i4", Kind.MISSING)


def test_an_exact_null_is_history_once_the_column_has_a_value() -> None:
    rows = changed(FLAT, rows_of(FLAT, {"_id": OID, "s": None}), "c_s", "new")
    assert compared(FLAT, {"_id": OID, "s": "new"}, rows).differences == ()
    (only,) = compared(FLAT, {"_id": OID, "s": None}, rows).differences
    assert (only.path, only.kind, only.source, only.target) == ("s", Kind.NULL, NULL, "new")


def test_an_empty_jsonb_column_is_a_missing_field_whatever_is_kept_beside_it() -> None:
    body = {"_id": OID}
    rows = changed(JSON, rows_of(JSON, body), "extra", '{"$exact": {"f": null}}')
    assert compared(JSON, body, rows).differences == ()
    assert compared(JSON, {**body, "f": None}, rows_of(JSON, {**body, "f": None})).differences == ()


def test_a_number_that_came_back_as_another_type_is_drift_and_no_difference() -> None:
    rows = rows_of(FLAT, {"_id": OID, "i4": 5.0, "n": 1.5})
    found = compared(FLAT, {"_id": OID, "i4": 5.0, "n": 1.5}, changed(FLAT, rows, "extra", None))
    assert (found.differences, set(found.type_drift)) == ((), {"i4", "n"})


# --- documents nobody can read --------------------------------------------------------------------------------------


def raw(*elements: bytes) -> bytes:
    inside = b"\x07_id\0" + OID.binary + b"".join(elements)
    return (len(inside) + 5).to_bytes(4, "little") + inside + b"\0"


UNREADABLE = [
    (raw(b"\x10a\0\1\0\0\0", b"\x10a\0\2\0\0\0"), "field `a`: the document has this field twice"),
    (raw(b"\x03s\0\x13\0\0\0\x10a\0\1\0\0\0\x10a\0\2\0\0\0\0"), "field `s.a`: the document has this field twice"),
    (raw(b"\x06a\0"), "undefined"),
    (raw(b"\x0ea\0\2\0\0\0x\0"), "symbol"),
    (raw(b"\x02a\0\4\0\0\0\xed\xa0\x80\0"), "field `a`: the bytes are no valid string"),
    (raw(b"\x02a\0\2\0\0\0\xff\0"), "field `a`: the bytes are no valid string"),
]


@pytest.mark.parametrize(("document", "reason"), UNREADABLE)
def test_what_cannot_be_told_exactly_is_unreadable_and_never_equal(document: bytes, reason: str) -> None:
    found = SourceForm(OWN).entry(document)
    assert reason in found.unreadable
    assert found.fields == {}
    assert found.key == b"\x07\0" + OID.binary
    for value in (1, 2, None, "x", NOTHING):
        difference = compare(found, target(OWN, rows_of(OWN, document_of(value))), Rules()).differences
        assert alone(difference) == (".", Kind.UNREADABLE)
        assert difference[0].target is MISSING


def document_of(value: Any) -> dict[str, Any]:
    return {"_id": OID} if value is NOTHING else {"_id": OID, "a": value}


def test_text_with_a_nul_is_the_same_text_on_both_sides() -> None:
    body = {"_id": OID, "f": "a\0b"}
    assert compared(OWN, body, rows_of(OWN, body)).differences == ()
    assert alone(compared(OWN, body, rows_of(OWN, {"_id": OID, "f": "ab"})).differences) == ("f", Kind.VALUE)


def test_a_document_that_looks_like_a_reference_keeps_all_its_names() -> None:
    body = {"_id": OID, "f": {"x": {"$ref": 1}, "$ref": "c", "y": {"$ref": "c"}}}
    for strict, whole in product((True, False), (body, {"_id": OID, "f": {"y": {"$ref": "c", "$id": 1}}})):
        found = SourceForm(OWN, strict=strict).entry(bson.encode(whole))
        assert (found.unreadable, found.fields["f.y.$ref"]) == ("", "c")
    assert compared(OWN, body, rows_of(OWN, body)).differences == ()
    other = {"_id": OID, "f": {"x": {"$ref": 1}, "$ref": "c", "y": {"$ref": "c", "$id": None}}}
    assert alone(compared(OWN, body, rows_of(OWN, other)).differences) == ("f.y.$id", Kind.NULL)


@pytest.mark.parametrize(
    ("left", "right"),
    list(product([1, Int64(1), 1.0, "1", True, OID, str(OID), b"1", {"a": 1}, Decimal128("1.5"), WHEN], repeat=2)),
)
def test_keys_of_mixed_types_are_never_mistaken_for_each_other(left: Any, right: Any) -> None:
    plan = collection(key=KeyMap(column="id", type="any"))
    found = compared(plan, {"_id": left}, rows_of(plan, {"_id": right}))
    same = left == right and (left is True) == (right is True)
    assert (found.differences == ()) == same
    assert all(one.path.split(".")[0] == "_id" for one in found.differences)


def test_true_and_one_differ_in_type() -> None:
    (only,) = compared(OWN, {"_id": 1, "f": True}, rows_of(OWN, {"_id": 1, "f": 1})).differences
    assert (only.kind, only.source, only.target) == (Kind.TYPE, TRUE, 1)


def test_an_object_id_and_its_text_differ_in_type() -> None:
    (only,) = compared(OWN, {"_id": 1, "f": ObjectId(OID)}, rows_of(OWN, {"_id": 1, "f": str(OID)})).differences
    assert only.kind is Kind.TYPE


def test_rows_of_another_shape_are_unreadable() -> None:
    form, rows = TargetForm(FLAT), rows_of(FLAT, FULL)
    no_object = changed(FLAT, rows, "extra", "5")
    broken: list[list[list[Row]]] = [[], [[]], [[*rows[0], *rows[0]]], [[rows[0][0][:-1]]], no_object]
    for rows in broken:
        with pytest.raises(Unreadable):
            form.fields(rows)
