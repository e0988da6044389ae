"""Images of rows: ordinary documents come out as their very bytes, rows that say anything else give others or none.

A missing or wrong image costs a closer look, and nothing more. Only one thing must never be: that rows have the image
of a document which their fields do not say.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midflight.core.column_types import parse_type
from midflight.core.documents import split
from midflight.core.outcome import Row
from midflight.core.plan import Child, CollectionMap, Constant, KeyMap
from midflight.core.plan_file import load_plan
from midflight.core.tables import Table, tables
from midflight.parity.compare import compare
from midflight.parity.forms.image_form import ImageForm, has_images
from midflight.parity.forms.source_form import SourceForm
from midflight.parity.forms.target_form import TargetForm, Unreadable
from midflight.parity.records import Entry
from midflight.parity.rules import Rules
from tests.property.strategies import FLAT, NESTED, NO_REST, collection, field
from tests.property.strategies import jsonb as as_jsonb
from tests.unit.parity.corpus import OID, WHEN, rows_of

Rows = Sequence[Sequence[Row]]
PROJECT = Path(__file__).parents[3]
DUMPS = PROJECT.parent / "shared" / "data"

TAGS = Child(array="tags", table="tags", parent_key="thing", position="tag", fields=(field(".", "text", "tag_"),))
BY = Child(map="by", table="bys", parent_key="thing", position="name", fields=(field(".", "integer", "n"),))
LINES = Child(
    array="lines",
    table="lines",
    parent_key="thing",
    fields=(field("sku", "text"), field("q", "integer")),
    children=(TAGS, BY),
)
PLACES = Child(map="places", table="places", parent_key="thing", position="place", fields=(field("zip", "text"),))
RICH = collection(
    key=KeyMap(column="id", type="objectid"),
    fields=(*FLAT.fields, field("sub.x", "text"), field("sub.deep.y", "bigint")),
    children=(LINES, PLACES),
    constants=(Constant(column="origin", type="text", value="mongo"), Constant(column="c", type="integer", value=0)),
)
PLANS = {"rich": RICH, "flat": FLAT, "nested": NESTED, "no rest column": NO_REST}


def changed(plan: CollectionMap, rows: Rows, table: str, number: int, **cells: Any) -> list[list[Row]]:
    """The rows, but for these cells of one row."""
    (place,) = [place for place, one in enumerate(tables(plan)) if one.name == table]
    columns = [column.name for column in tables(plan)[place].columns]
    assert cells.keys() <= set(columns)
    copy = [list(of_table) for of_table in rows]
    old = dict(zip(columns, copy[place][number], strict=True))
    copy[place][number] = tuple((old | cells).values())
    return copy


def image_of(plan: CollectionMap, rows: Rows) -> bytes | None:
    """The image of the only document, of which it is made sure that the fields of the rows say it as well."""
    image = ImageForm(plan).images(rows).get(rows[0][0][0])
    if image is not None:
        assert_says(plan, rows, image)
    return image


def assert_says(plan: CollectionMap, rows: Rows, image: bytes) -> None:
    """The rule of it all: a source with these bytes is equal to the rows, field by field."""
    entry = SourceForm(plan).entry(image)
    try:
        fields = TargetForm(plan).fields(rows)
    except Unreadable as why:
        raise AssertionError(f"an image of rows that cannot be read: {why}") from None
    assert compare(entry, Entry(entry.key, fields), Rules()).differences == (), image


def full(**changes: Any) -> dict[str, Any]:
    """An ordinary document, with something in every column."""
    return {
        "_id": OID,
        "s": "Text é",
        "v": "abc",
        "b": True,
        "i2": -1,
        "i4": 5,
        "i8": Int64(2**53 + 1),
        "n": Decimal128("-1.10"),
        "n2": Decimal128("12.50"),
        "d": 1e-17,
        "t": WHEN,
        "day": datetime(1969, 12, 31, tzinfo=UTC),
        "u": Binary(bytes(16), 4),
        "y": b"x",
        "o": OID,
        "j": {"a": [1, None, {"b": WHEN}]},
        "k": "key",
        "sub": {"x": "x", "deep": {"y": Int64(1)}},
        "lines": [
            {"sku": "A", "q": 1, "tags": ["x", "y"], "by": {"m": 1, "n": 2}},
            {"sku": "B", "q": 2},
            {"sku": "C", "q": 3, "tags": ["z"]},
        ],
        "places": {"home": {"zip": "1"}, "work": {"zip": "2"}},
        **changes,
    }


# --- images that are the document ---------------------------------------------------------------------------------

BACKWARDS = dict(reversed(full().items()))
ORDINARY: dict[str, dict[str, Any]] = {
    "nothing but a key": {"_id": OID},
    "something in every column": full(),
    "nothing mapped": {"_id": OID, "zeta": 1, "a": {"z": 1, "b": {"y": [], "c": {}}}, "m": None},
    "names in another order": {"_id": OID, **{name: value for name, value in BACKWARDS.items() if name != "_id"}},
    "the key is not first": {"s": "x", "_id": OID},
    "a sub-document in another order": full(sub={"deep": {"y": Int64(1)}, "x": "x"}),
    "elements in another order": full(lines=[{"q": 1, "sku": "A"}, {"by": {"m": 1}, "tags": ["x"], "sku": "B"}]),
    "a map in another order": full(places={"work": {"zip": "2"}, "home": {"zip": "1"}}),
    "a map inside an element in another order": full(lines=[{"sku": "A", "by": {"n": 2, "m": 1}}]),
    "unmapped fields at every level": full(
        zeta={"z": 1, "a": {"y": 2, "b": [{"q": 1, "c": 2}]}},
        sub={"x": "x", "deep": {"y": Int64(1), "other": WHEN}, "a": 1},
        lines=[{"sku": "A", "q": 1, "own": {"z": Decimal128("1.0"), "a": b""}}],
        places={"home": {"zip": "1", "note": "x"}},
    ),
    "unmapped names like ours": {"_id": OID, "$exact": 1, "$order": ["x"], "$children": {"$$x": {"$oid": 1}}, "": 2},
    "everything null": dict.fromkeys(full(), None) | {"_id": OID},
    "everything empty": full(s="", v="", y=b"", sub={}, lines=[], places={}, j={}),
    "elements that are null or empty": full(
        lines=[None, {}, {"sku": None, "q": 1, "tags": [], "by": {}}, {"tags": None, "by": None}, {"tags": [None, "x"]}]
    ),
    "a map's elements that are null or empty": full(places={"a": None, "b": {}, "c": {"zip": None}, "": {"zip": "1"}}),
    "an empty sub-document inside another": full(sub={"deep": {}}),
    "a null sub-document inside another": full(sub={"x": "x", "deep": None}),
    "a long in an integer column": full(i4=Int64(5), lines=[{"sku": "A", "q": Int64(1)}]),
    "a double in an integer column": full(i4=5.0, i8=5.0),
    "an int in a bigint column": full(i8=5, n=5, d=5),
    "a number with another form": full(n=Decimal128("1E+3"), n2=12.5, d=Decimal128("0.5")),
    "many digits": full(n=Decimal128("9.999999999999999999999999999999999E-30")),
    "odd doubles": full(d=float("inf"), zeta=float("-inf"), n=Decimal128("0.00"), j=-0.0),
    "dates that Python does not have": full(zeta=DatetimeMS(2**62), j=DatetimeMS(-(2**62))),
    "values of every type in JSON": full(
        j=[b"x", Binary(b"x", 128), Code("x"), Code("x", {"a": WHEN}), Regex("x", "i"), Timestamp(1, 2), MinKey()],
        zeta=[MaxKey(), Int64(1), 1, 1.0, Decimal128("1.00"), True, None, WHEN, OID, "\0", {}, [], [[{"a": []}]]],
    ),
    "an ObjectId in a column for any": full(k=OID),
    "a thousand and more elements": full(lines=[{"sku": str(number), "q": number} for number in range(1_003)]),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_the_image_of_an_ordinary_document_is_the_document(name: str) -> None:
    raw = bson.encode(ORDINARY[name])
    assert image_of(RICH, rows_of(RICH, ORDINARY[name])) == raw


@pytest.mark.parametrize("key", [5, 5.0, Int64(5), 2.5, Decimal128("5.00"), "x", WHEN, OID, {"b": 1, "a": 2}, b"x"])
def test_keys_of_any_type_stand_in_the_image_as_they_were(key: Any) -> None:
    plan = collection(key=KeyMap(column="id", type="any"), fields=(field("s", "text"),), children=(TAGS,))
    document = {"_id": key, "s": "x", "tags": ["a"]}
    assert image_of(plan, rows_of(plan, document)) == bson.encode(document)


def test_where_there_is_no_rest_column_the_columns_say_it_all() -> None:
    document = {"_id": OID, "a": 1, "items": [{"q": Decimal128("1.10")}], "b": {"x": "x"}}
    assert image_of(NO_REST, rows_of(NO_REST, document)) == bson.encode(document)


@pytest.mark.parametrize(("name", "documents"), [("accounts", 1_746), ("customers", 500)])
def test_every_document_of_the_real_dumps_has_its_image(name: str, documents: int) -> None:
    path = DUMPS / f"sample_analytics.{name}.bson"
    if not path.exists():
        pytest.skip(f"the dump ../shared/data/{path.name} is not beside the project")
    plan = load_plan((PROJECT / "plans" / f"{name}.yaml").read_text(encoding="utf-8")).collection(name)
    assert has_images(plan)
    raws = list(split(path.read_bytes()))
    of_documents = [rows_of(plan, bson.decode(raw)) for raw in raws]
    together = [[row for rows in of_documents for row in rows[number]] for number in range(len(tables(plan)))]
    images = ImageForm(plan).images(_in_order(plan, together))
    assert len(raws) == documents
    assert sum(images.get(rows[0][0][0]) == raw for rows, raw in zip(of_documents, raws, strict=True)) == documents


def _in_order(plan: CollectionMap, rows: Rows) -> list[list[Row]]:
    """As the reader gives them: each table by its primary key, texts by their bytes."""

    def place(table: Table) -> Any:
        width = len(table.primary_key)
        return lambda row: [part.encode() if isinstance(part, str) else part for part in row[:width]]

    return [sorted(of_table, key=place(table)) for table, of_table in zip(tables(plan), rows, strict=True)]


# --- cells that another document would have -------------------------------------------------------------------------

HEX = str(OID)
UNCLEAR_CELLS: list[tuple[str, Any]] = [
    ("t", WHEN + timedelta(microseconds=1)),
    ("t", WHEN - timedelta(microseconds=999)),
    ("t", datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ("o", HEX.upper()),
    ("o", f"{HEX[:2]} {HEX[2:]}"),
    ("o", f"{HEX} "),
    ("o", HEX[:-1]),
    ("o", ""),
    ("o", "x" * 24),
    ("n", Decimal("12345678901234567890123456789012345")),  # 35 digits
    ("n", Decimal("-1.2345678901234567890123456789012345")),
    ("n", Decimal("0E-6177")),
    ("n", Decimal("NaN")),
    ("n", Decimal("Infinity")),
    ("n", Decimal("-Infinity")),
    ("j", "no JSON"),
    ("k", "no JSON"),
    ("k", ""),
    ("k", f'{{"$oid":"{HEX.upper()}"}}'),
    ("k", '{"$nonsense": 1}'),
    ("j", '{"$nonsense": 1}'),
    ("j", '{"a": [{"$nonsense": 1}]}'),
    ("j", '[{"$long": "x"}]'),
    ("j", '{"$date": "2024-01-31T08:30:00.000001Z"}'),
    ("j", '{"a": [{"$date": "2024-01-31T08:30:00.000001Z"}]}'),
    ("j", '{"$code": {"text": "x", "scope": {"a": {"$date": "2024-01-31T08:30:00.000001Z"}}}}'),
    ("j", "9223372036854775808"),
    ("j", "0.12345678901234567890123"),
    ("j", '{"a\\u0000b": 1}'),
]


@pytest.mark.parametrize(("column", "cell"), UNCLEAR_CELLS)
def test_a_cell_that_no_document_leads_to_gives_no_image(column: str, cell: Any) -> None:
    rows = changed(RICH, rows_of(RICH, full()), "things", 0, **{f"c_{column}": cell})
    assert image_of(RICH, rows) is None


OTHER_CELLS: list[tuple[str, Any]] = [
    ("s", "Text e\N{COMBINING ACUTE ACCENT}"),
    ("s", "Text é "),
    ("s", ""),
    ("v", "abC"),
    ("b", False),
    ("i2", 1),
    ("i8", 2**53),
    ("n", Decimal("-1.1")),
    ("n", Decimal("-1.100")),
    ("n", Decimal("1.10")),
    ("n2", Decimal("12.51")),
    ("d", 2e-17),
    ("d", 0.0),
    ("d", float("nan")),
    ("t", WHEN + timedelta(milliseconds=1)),
    ("day", date(1970, 1, 1)),
    ("o", "65920100a1b2c3d4e5f60719"),
    ("y", b"x\0"),
    ("j", "null"),
    ("j", '{"a": [1, null]}'),
    ("k", '"Key"'),
    ("sub_x", "y"),
    *((name, None) for name in ("s", "v", "b", "i2", "i4", "i8", "n", "d", "t", "day", "u", "y", "o", "j", "k")),
    *((name, None) for name in ("sub_x", "sub_deep_y")),
]


@pytest.mark.parametrize(("column", "cell"), OTHER_CELLS)
def test_another_cell_gives_another_image(column: str, cell: Any) -> None:
    rows = rows_of(RICH, full())
    other = changed(RICH, rows, "things", 0, **{f"c_{column}": cell})
    assert str(other) != str(rows)
    assert image_of(RICH, other) not in (bson.encode(full()), None)


def test_minus_zero_and_zero_are_two_images() -> None:
    """As numbers they are equal: the fields say so, and no harm is done."""
    raws = [bson.encode(full(d=value)) for value in (0.0, -0.0)]
    images = [image_of(RICH, rows_of(RICH, full(d=value))) for value in (0.0, -0.0)]
    assert images == raws
    assert raws[0] != raws[1]
    decimals = [Decimal128("-0"), Decimal128("0"), Decimal128("0.0")]
    assert [image_of(RICH, rows_of(RICH, full(n=value))) for value in decimals] == [
        bson.encode(full(n=value)) for value in decimals
    ]


@pytest.mark.parametrize("cells", [{"origin": "else"}, {"origin": None}, {"origin": ""}, {"c": 1}, {"c": None}])
def test_a_constant_that_is_not_the_plans_gives_no_image(cells: dict[str, Any]) -> None:
    """No document says constants, so that bytes alone would never show it."""
    assert image_of(RICH, changed(RICH, rows_of(RICH, full()), "things", 0, **cells)) is None


def test_where_constants_are_trees_or_functions_have_a_part_there_are_no_images() -> None:
    tree = Constant(column="k_json", type="jsonb", value="text")
    assert has_images(RICH)
    assert not has_images(RICH.model_copy(update={"constants": (tree,)}))


# --- rows of elements ---------------------------------------------------------------------------------------------


def names_of_tables(plan: CollectionMap) -> list[str]:
    return [table.name for table in tables(plan)]


def without(rows: Rows, table: str, *numbers: int) -> list[list[Row]]:
    place = names_of_tables(RICH).index(table)
    copy = [list(of_table) for of_table in rows]
    copy[place] = [row for number, row in enumerate(copy[place]) if number not in numbers]
    return copy


def with_row(rows: Rows, table: str, row: Row) -> list[list[Row]]:
    copy = [list(of_table) for of_table in rows]
    copy[names_of_tables(RICH).index(table)].append(row)
    return _in_order(RICH, copy)


EXTRA_ROWS: list[tuple[str, Row]] = [
    ("lines", (HEX, 3, "D", 4)),
    ("lines", (HEX, 3, None, None)),
    ("lines", (HEX, -1, "D", 4)),
    ("tags", (HEX, 0, 2, "z")),
    ("tags", (HEX, 0, 2, None)),
    ("tags", (HEX, 1, 0, None)),
    ("bys", (HEX, 0, "a", None)),
    ("places", (HEX, "else", None)),
    ("places", (HEX, "", "1")),
]


@pytest.mark.parametrize(("table", "row"), EXTRA_ROWS)
def test_an_element_too_many_gives_another_image(table: str, row: Row) -> None:
    assert image_of(RICH, with_row(rows_of(RICH, full()), table, row)) not in (bson.encode(full()), None)


LOST_ROWS = [("lines", 2), ("tags", 0), ("tags", 1), ("tags", 2), ("bys", 0), ("bys", 1), ("places", 1)]


@pytest.mark.parametrize(("table", "number"), LOST_ROWS)
def test_a_lost_element_gives_another_image_or_none(table: str, number: int) -> None:
    assert image_of(RICH, without(rows_of(RICH, full()), table, number)) != bson.encode(full())


def test_where_all_elements_are_lost_the_array_is_no_field() -> None:
    rows = without(rows_of(RICH, full()), "places", 0, 1)
    expected = {name: value for name, value in full().items() if name != "places"}
    assert image_of(RICH, rows) == bson.encode(expected)


ORPHANS: list[tuple[str, Row]] = [("tags", (HEX, 3, 0, "z")), ("tags", (HEX, -1, 0, None)), ("bys", (HEX, 7, "a", 1))]


@pytest.mark.parametrize(("table", "row"), ORPHANS)
def test_a_row_inside_an_element_that_is_not_there_leaves_its_document_without_an_image(table: str, row: Row) -> None:
    for document in (full(), {"_id": OID}):
        assert image_of(RICH, with_row(rows_of(RICH, document), table, row)) is None


def test_an_orphan_is_seen_where_no_document_beside_it_has_elements() -> None:
    """Red when tables inside of an empty one were not looked at."""
    other = ObjectId(bytes(12))
    mixed = [one + two for one, two in zip(rows_of(RICH, {"_id": OID}), rows_of(RICH, {"_id": other}), strict=True)]
    rows = with_row(_in_order(RICH, mixed), "tags", (HEX, 0, 0, "z"))
    assert ImageForm(RICH).images(rows) == {str(other): bson.encode({"_id": other})}


def test_rows_whose_root_row_is_not_there_are_nobodys() -> None:
    rows = with_row(rows_of(RICH, full()), "places", ("f" * 24, "home", "1"))
    rows = with_row(rows, "tags", ("f" * 24, 0, 0, "x"))
    assert ImageForm(RICH).images(rows) == {HEX: bson.encode(full())}


def test_rows_that_are_not_in_their_order_give_no_image() -> None:
    """The reader promises the order; arrays would be mixed up, and nobody would see it."""
    rows = rows_of(RICH, full())
    tags = names_of_tables(RICH).index("tags")
    mixed = [list(of_table) for of_table in rows]
    mixed[tags] = [rows[tags][0], rows[tags][2], rows[tags][1]]
    assert image_of(RICH, mixed) is None


def test_elements_that_changed_their_places_give_another_image() -> None:
    rows = rows_of(RICH, full())
    (first, second, third) = (row[2:] for row in rows[1])
    swapped = [rows[0], [(HEX, 0, *second), (HEX, 1, *first), (HEX, 2, *third)], *rows[2:]]
    assert image_of(RICH, swapped) not in (bson.encode(full()), None)


def test_gaps_between_positions_are_no_elements() -> None:
    document = full(lines=[{"sku": "A"}, {"sku": "B"}])
    assert image_of(RICH, changed(RICH, rows_of(RICH, document), "lines", 1, position=7)) == bson.encode(document)


# --- what the rest column says --------------------------------------------------------------------------------------


REST = str(RICH.rest)


def with_rest(document: dict[str, Any], text: str) -> list[list[Row]]:
    return changed(RICH, rows_of(RICH, document), "things", 0, **{REST: as_jsonb(text)})


def test_json_that_is_deeper_than_any_document_gives_no_image_and_stops_nothing() -> None:
    for levels in (700, 3_000):
        text = "[" * levels + "]" * levels
        for cells in ({REST: f'{{"x": {text}}}'}, {"c_j": text}, {"c_k": text}):
            rows = changed(RICH, rows_of(RICH, full()), "things", 0, **cells)
            assert image_of(RICH, rows) is None
            with pytest.raises(Unreadable):
                TargetForm(RICH).fields(rows)


@pytest.mark.parametrize("text", ["null", "[1]", "5", '"x"', "true"])
def test_a_rest_column_that_is_no_object_gives_no_image(text: str) -> None:
    assert image_of(RICH, with_rest(full(), text)) is None


JUNK = [
    '{"$exact": 5}',
    '{"$exact": [1]}',
    '{"$exact": null}',
    '{"$children": []}',
    '{"$children": {"lines": 5}}',
    '{"$children": {"else": {"0": {"own": 1}}}}',
    '{"$children": {"lines": {"9": {"own": 1}}}}',
    '{"$exact": {"else": 5, "": 1, "lines.0.q": 7}}',
    '{"$else": 5}',
    '{"$oid": "x"}',
]


@pytest.mark.parametrize("text", JUNK)
def test_junk_that_no_field_comes_from_does_no_harm(text: str) -> None:
    assert image_of(RICH, with_rest(full(), text)) in (bson.encode(full()), None)


UNFIT = [
    '{"$order": 5}',
    '{"$order": ["_id"]}',
    '{"$order": {}}',
    '{"sub": {"$order": ["x"]}}',
    '{"sub": 5}',
    '{"sub": [1]}',
    '{"$children": {"lines": {"0": 5}}}',
    '{"$children": {"lines": {"0": {"$order": ["q"]}}}}',
    '{"$children": {"lines": {"$order": [2, 1, 0]}}}',
    '{"$children": {"places": {"$order": ["home"]}}}',
    '{"$children": {"places": {"$order": [["home"], "work"]}}}',
]


@pytest.mark.parametrize("text", UNFIT)
def test_junk_where_the_image_would_have_to_guess_gives_none(text: str) -> None:
    assert image_of(RICH, with_rest(full(), text)) is None


def test_an_order_of_names_changes_the_image_alone() -> None:
    text = json.dumps({"$order": ["_id", *(name for name in BACKWARDS if name != "_id")]})
    assert image_of(RICH, with_rest(full(), text)) == bson.encode(BACKWARDS)


HISTORY: list[tuple[str, str]] = [
    ("i4", "6"),
    ("i4", '"5"'),
    ("i4", "true"),
    ("i4", '{"$long": "6"}'),
    ("i4", '{"$missing": 1}'),
    ("i4", "null"),
    ("i4", "[5]"),
    ("i4", '{"$nonsense": 1}'),
    ("s", '{"$code": "Text é"}'),
    ("s", '"Text e"'),
    ("n", '{"$decimal": "-1.11"}'),
    ("t", '{"$date": "2024-01-31T08:30:00.124Z"}'),
    ("o", f'"{HEX}"'),
    ("u", '{"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "03"}}'),
]


@pytest.mark.parametrize(("path", "packed"), HISTORY)
def test_an_exact_value_that_says_something_else_than_its_column_is_history(path: str, packed: str) -> None:
    rows = with_rest(full(), json.dumps({"$exact": {path: json.loads(packed)}}))
    assert image_of(RICH, rows) in (bson.encode(full()), None)


def test_history_of_arrays_and_documents_that_are_there_again_is_nothing() -> None:
    exact: dict[str, Any] = {"lines": [], "places": None, "sub": None, "sub.deep": None}
    assert image_of(RICH, with_rest(full(), json.dumps({"$exact": exact}))) == bson.encode(full())


def test_an_exact_value_beside_a_json_column_is_a_number_of_the_same_value_or_there_is_no_image() -> None:
    numbers = full(j=Int64(5), k=5.0)
    assert image_of(RICH, with_rest(numbers, '{"$exact": {"k": 5.0}}')) == bson.encode(numbers)
    for exact in (6, None, "5", {"$missing": 1}, True):
        assert image_of(RICH, with_rest(numbers, json.dumps({"$exact": {"j": exact}}))) is None


DISTINCT: list[dict[str, Any]] = [
    *({"s": None}, {}, {"s": ""}),
    *({"lines": None}, {"lines": []}, {"lines": [None]}, {"lines": [{}]}),
    *({"lines": [{"tags": []}]}, {"lines": [{"tags": None}]}, {"lines": [{"tags": [None]}]}),
    *(
        {"places": None},
        {"places": {}},
        {"places": {"a": None}},
        {"places": {"a": {}}},
        {"places": {"a": {"zip": None}}},
    ),
    *({"sub": None}, {"sub": {}}, {"sub": {"x": None}}, {"sub": {"deep": {}}}, {"sub": {"deep": None}}),
    *({"j": None}, {"j": {}}, {"j": []}, {"own": None}, {"own": {}}, {"own": []}),
]


def test_null_missing_and_empty_are_all_different_images() -> None:
    documents = [{"_id": OID, **body} for body in DISTINCT]
    images = [image_of(RICH, rows_of(RICH, document)) for document in documents]
    assert images == [bson.encode(document) for document in documents]
    assert len(set(images)) == len(DISTINCT)


# --- many documents at once ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("unclear", [0, 7, 20])
def test_one_unclear_document_hides_no_other(unclear: int) -> None:
    documents = [full(_id=ObjectId(number.to_bytes(12, "big")), s=f"text {number}") for number in range(21)]
    of_documents = [rows_of(RICH, document) for document in documents]
    rows = [[row for one in of_documents for row in one[place]] for place in range(len(tables(RICH)))]
    expected = {str(document["_id"]): bson.encode(document) for document in documents}
    assert ImageForm(RICH).images(rows) == expected
    del expected[str(documents[unclear]["_id"])]
    for cells in ({"c_o": HEX.upper()}, {REST: "[]"}, {"c_n": Decimal("NaN")}, {"origin": "else"}, {"c_k": "x"}):
        assert ImageForm(RICH).images(changed(RICH, rows, "things", unclear, **cells)) == expected, cells
    orphan = (str(documents[unclear]["_id"]), 5, 0, "x")
    assert ImageForm(RICH).images(with_row(rows, "tags", orphan)) == expected


def test_no_rows_are_no_images() -> None:
    assert ImageForm(RICH).images([[] for _ in tables(RICH)]) == {}


# --- whatever is done to rows -------------------------------------------------------------------------------------

JSON_TEXTS = [
    *("null", "5", "5.0", '"x"', "[]", "{}", '{"a": [1]}', "true", "0", '"5"', "[null]", "3000000000", "1e300"),
    *(f'{{"$oid": "{HEX}"}}', f'{{"$oid":"{HEX.upper()}"}}', '{"$nonsense": 1}', '{"a": {"$nonsense": 1}}'),
    *('{"$date": "2024-01-31T08:30:00.000123Z"}', '[{"$date": "2024-01-31T08:30:00.5Z"}]', '{"$date": 5}'),
    *('{"$long": "5"}', '{"$double": "5"}', '{"$decimal": "5.0"}', '{"$missing": 1}', '{"$utf8": "eA=="}'),
    *('{"$code": "x"}', '{"$code": {"text": "x", "scope": {"$oid": "zz"}}}', '{"$regex": ["x", "zz"]}'),
    *('{"$order": ["a"], "a": 1}', '{"$order": [], "a": 1}', '{"$a": 1, "$$a": 2}', '{"$$ref": "a", "$$id": 1}'),
]
CELLS: dict[str, list[Any]] = {
    "text": ["other", "", "null"],
    "varchar": ["o", ""],
    "boolean": [True, False],
    "smallint": [3, 0],
    "integer": [9, 0, 5],
    "bigint": [2**53, 0, 5],
    "numeric": [Decimal(text) for text in ("12.51", "NaN", "0", "Infinity", "0.00", "5.0", "5", "1E-20")],
    "double precision": [2e-17, 0.0, -0.0, 5.0, float("nan"), float("inf")],
    "timestamptz": [WHEN, WHEN + timedelta(microseconds=1), datetime(1, 1, 1, tzinfo=UTC)],
    "date": [date(2024, 1, 31), date(1, 1, 1), date(9999, 12, 31)],
    "uuid": [None],
    "bytea": [b"x", b""],
    "objectid": [HEX, HEX.upper(), "", "zz"],
    "jsonb": [as_jsonb(text) for text in JSON_TEXTS],
    "any": JSON_TEXTS,
}
POSITIONS: dict[str, list[Any]] = {"text": ["home", "m", ""], "integer": [0, 1, 2]}
PATHS = ["_id", "s", "i4", "i8", "n", "j", "k", "sub", "sub.deep", "sub.x", "lines", "places", "tags", "by", ".", "sku"]
NAMES = ["s", "sub", "lines", "places", "tags", "own", "$$x", "$y", "x", "deep"]
packed = st.sampled_from(JSON_TEXTS).map(json.loads)
exacts = st.one_of(packed, st.dictionaries(st.sampled_from(PATHS), packed, max_size=2))


def kept_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What may stand in a rest column for a document or element."""
    positions = st.sampled_from(["0", "1", "home", "m", ""])
    orders = st.sampled_from([[0, 1], [1, 0], ["work", "home"], ["n", "m"], 5])
    elements = st.dictionaries(positions, inner, max_size=2).flatmap(
        lambda one: st.one_of(st.just(one), orders.map(lambda order: {**one, "$order": order}))
    )
    own = st.dictionaries(st.sampled_from(NAMES), st.one_of(packed, inner), max_size=2)
    children = st.dictionaries(st.sampled_from(["lines", "places", "tags", "by"]), elements, max_size=2)
    return st.builds(
        lambda fields, ours: {**fields, **ours},
        own,
        st.fixed_dictionaries({}, optional={"$exact": exacts, "$children": st.one_of(packed, children)}),
    )


rests: st.SearchStrategy[Any] = st.recursive(st.just({}), kept_of, max_leaves=6)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(["something in every column", "everything empty", "nothing but a key"]), data=st.data())
def test_whatever_is_done_to_rows_their_image_is_a_document_that_their_fields_say(
    name: str, data: st.DataObject
) -> None:
    rows = rows_of(RICH, ORDINARY[name])
    for _ in range(data.draw(st.integers(1, 3))):
        number, table = data.draw(st.sampled_from(list(enumerate(tables(RICH)))))
        if number and rows[number] and data.draw(st.booleans()):
            rows[number].pop(data.draw(st.integers(0, len(rows[number]) - 1)))
        elif number:
            new = tuple(HEX if not slot else data.draw(cell_of(table, slot)) for slot in range(len(table.columns)))
            rows[number] = [row for row in rows[number] if not _same_place(table, row, new)] + [new]
        else:
            slot = data.draw(st.integers(1, len(table.columns) - 1))
            rows[0][0] = (*rows[0][0][:slot], data.draw(cell_of(table, slot)), *rows[0][0][slot + 1 :])
    image_of(RICH, _in_order(RICH, rows))


def cell_of(table: Table, slot: int) -> st.SearchStrategy[Any]:
    """Cells that PostgreSQL would take in this column."""
    column = table.columns[slot]
    kind = parse_type(column.type).name
    if slot < len(table.primary_key):
        return st.sampled_from(POSITIONS[kind])
    if column.name == RICH.rest:
        return st.one_of(st.none(), st.sampled_from(CELLS["jsonb"]), rests.map(lambda one: as_jsonb(json.dumps(one))))
    return st.sampled_from([None, *CELLS[kind]])


def _same_place(table: Table, row: Row, other: Row) -> bool:
    width = len(table.primary_key)
    return row[:width] == other[:width]
