"""Documents to rows and back, case by case."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId

from midflight.core.documents import read_document
from midflight.core.mapping import Mapper, mapper_for
from midflight.core.outcome import Absent, Mapped, Refused, Row
from midflight.core.plan import Child, CollectionMap, ColumnSpec, Constant, FieldMap, KeyMap, TransformMap
from midflight.core.values import Unfit
from midflight.errors import PlanError

ID = ObjectId("659201000000000000000001")
HEX = str(ID)
AT = datetime(2024, 1, 31, tzinfo=UTC)
D = Decimal128


def field(path: str, type_text: str, *, required: bool = False) -> FieldMap:
    column = path.replace(".", "_").replace("$", "").strip("_") or "element"
    return FieldMap(field=path, column=column, type=type_text, required=required)


LINES = Child(
    array="items",
    table="lines",
    parent_key="order_id",
    fields=(field("sku", "text"), field("qty", "integer", required=True)),
    children=(Child(array="tags", table="tags", parent_key="order_id", position="tag", fields=(field(".", "text"),)),),
)
PLACES = Child(map="places", table="places", parent_key="order_id", position="name", fields=(field("city", "text"),))
PLAN = CollectionMap(
    collection="orders",
    table="orders",
    key=KeyMap(column="id", type="any"),
    fields=(
        field("amount", "numeric(8,2)"),
        field("count", "bigint"),
        field("shop.name", "varchar(5)"),
        field("shop.at", "timestamptz"),
        field("extra_data", "jsonb"),
    ),
    constants=(Constant(column="origin", type="text", value="mongo"),),
    children=(LINES, PLACES),
)
MAPPER = Mapper(PLAN)
KEY = '{"$oid":"659201000000000000000001"}'


def mapped(body: dict[str, Any], mapper: Mapper = MAPPER) -> tuple[list[Row], ...]:
    """The rows of a document that must map, and come back."""
    raw = bson.encode({"_id": ID} | body)
    outcome = mapper.map(read_document(raw))
    assert isinstance(outcome, Mapped), outcome
    assert bson.encode(mapper.unmap(outcome.rows)) == raw
    return tuple(list(rows) for rows in outcome.rows)


def refused(body: dict[str, Any], mapper: Mapper = MAPPER) -> Refused:
    """Why a document does not map."""
    outcome = mapper.map(read_document(bson.encode({"_id": ID} | body)))
    assert isinstance(outcome, Refused), outcome
    return outcome


def rest(body: dict[str, Any], mapper: Mapper = MAPPER) -> Any:
    """The rest column of a document, as data."""
    text = mapped(body, mapper)[0][0][-1]
    return None if text is None else json.loads(text)


# --- rows -----------------------------------------------------------------------------------------------------------


def test_an_ordinary_document_fills_its_rows_and_leaves_the_rest_empty() -> None:
    rows = mapped(
        {
            "amount": D("7.50"),
            "count": Int64(3),
            "shop": {"name": "Löwe", "at": AT},
            "extra_data": {"any": [1]},
            "items": [{"sku": "A", "qty": 1, "tags": ["x", "y"]}, {"sku": "B", "qty": 2}],
            "places": {"home": {"city": "Ulm"}, "work": {"city": "Bonn"}},
        }
    )
    assert rows == (
        [(KEY, Decimal("7.50"), 3, "Löwe", AT, '{"any":[1]}', "mongo", None)],
        [(KEY, 0, "A", 1), (KEY, 1, "B", 2)],
        [(KEY, 0, 0, "x"), (KEY, 0, 1, "y")],
        [(KEY, "home", "Ulm"), (KEY, "work", "Bonn")],
    )


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({}, None),
        ({"amount": None}, {"$exact": {"amount": None}}),
        ({"amount": D("7.5")}, {"$exact": {"amount": {"$decimal": "7.5"}}}),
        ({"count": 3.0}, {"$exact": {"count": 3.0}}),
        ({"extra_data": None}, None),
        ({"shop": {}}, {"shop": {}}),
        ({"shop": None}, {"$exact": {"shop": None}}),
        ({"shop": {"name": None}}, {"$exact": {"shop.name": None}}),
        ({"shop": {"name": "x", "zip": 1}}, {"shop": {"zip": 1}}),
        ({"shop": {"at": AT, "name": "x"}}, {"shop": {"$order": ["at", "name"]}}),
        ({"count": Int64(1), "amount": D("1.00")}, {"$order": ["_id", "count", "amount"]}),
        ({"unknown": 1, "amount": D("1.00")}, {"unknown": 1, "$order": ["_id", "unknown", "amount"]}),
        ({"b": 1, "aa": 2}, {"b": 1, "aa": 2}),
        ({"$exact": 1}, {"$$exact": 1}),
        ({"items": []}, {"$exact": {"items": []}}),
        ({"items": None}, {"$exact": {"items": None}}),
        ({"places": {}}, {"$exact": {"places": {}}}),
        ({"places": {"p": {}}}, None),
        ({"places": {"p": None}}, {"$children": {"places": {"p": {"$exact": {".": None}}}}}),
        ({"places": {"b": {}, "a": {}}}, {"$children": {"places": {"$order": ["b", "a"]}}}),
        ({"places": {"$p": {"x": 1}}}, {"$children": {"places": {"$$p": {"x": 1}}}}),
        ({"items": [{"qty": 1}, {"qty": 2, "more": "x"}]}, {"$children": {"items": {"1": {"more": "x"}}}}),
        ({"items": [{"qty": 1, "tags": [None, "x"]}]}, None),
        ({"items": [{"qty": 1, "tags": []}]}, {"$children": {"items": {"0": {"$exact": {"tags": []}}}}}),
    ],
    ids=repr,
)
def test_the_rest_column_holds_exactly_what_the_columns_do_not_say(body: dict[str, Any], kept: Any) -> None:
    assert rest(body) == kept


def test_null_and_missing_are_told_apart_in_every_column() -> None:
    names = ["amount", "count", "extra_data", "items", "places", "shop", "unknown"]
    for name in names:
        assert name not in MAPPER.unmap(mapped({}))
        assert MAPPER.unmap(mapped({name: None}))[name] is None


def test_the_usual_order_of_a_plan_keeps_ordinary_documents_out_of_the_rest_column() -> None:
    body = {"items": [{"qty": 1}], "note": "x", "amount": D("1.00")}
    assert "$order" in rest(body)
    in_order = Mapper(PLAN.model_copy(update={"order": ("_id", "items", "note", "amount")}))
    assert rest(body, in_order) == {"note": "x"}
    assert "$order" in rest({"amount": D("1.00"), "items": [{"qty": 1}]}, in_order)


def test_fields_with_dots_in_their_names_are_no_paths() -> None:
    assert rest({"shop.name": "x"}) == {"shop.name": "x"}


def test_the_id_of_a_dbref_can_have_a_column_of_its_own() -> None:
    mapper = Mapper(CollectionMap(collection="c", table="t", fields=(field("ref.$id", "objectid"),)))
    body = {"ref": {"$ref": "members", "$id": ID}}
    assert mapped(body, mapper)[0][0][1] == HEX
    assert rest(body, mapper) == {"ref": {"$$ref": "members", "$order": ["$ref", "$id"]}}


# --- refusals -------------------------------------------------------------------------------------------------------

REFUSALS = [
    ({"amount": "12"}, "amount", "string", "amount", "does not take"),
    ({"amount": D("1.234")}, "amount", "decimal", "amount", "rounded"),
    ({"count": 1.5}, "count", "double", "count", "rounded"),
    ({"shop": {"name": "secret"}}, "shop.name", "string", "shop_name", "truncated"),
    ({"shop": {"name": "n\0"}}, "shop.name", "string", "shop_name", "NUL"),
    ({"shop": {"at": "2024-13-45"}}, "shop.at", "string", "shop_at", "does not take a string"),
    ({"shop": "secret"}, "shop", "string", "shop_name, shop_at", "sub-document is expected"),
    ({"items": "secret"}, "items", "string", "lines", "an array is expected"),
    ({"items": {"a": 1}}, "items", "object", "lines", "an array is expected"),
    ({"items": [{"qty": 1}, "secret"]}, "items.1", "string", "sku, qty, tags", "sub-document is expected"),
    ({"items": [{"qty": 1}, {"qty": "secret"}]}, "items.1.qty", "string", "qty", "does not take"),
    ({"items": [{"sku": "secret"}]}, "items.0.qty", "missing", "qty", "missing and the column is required"),
    ({"items": [{"qty": None}]}, "items.0.qty", "null", "qty", "null and the column is required"),
    ({"items": [None]}, "items.0.qty", "missing", "qty", "required"),
    ({"items": [{"qty": 1, "tags": ["x", 5]}]}, "items.0.tags.1", "int", "element", "does not take"),
    ({"places": [1]}, "places", "array", "places", "a map of sub-documents is expected"),
    ({"places": {"home": "secret"}}, "places.home", "string", "city", "sub-document is expected"),
]


@pytest.mark.parametrize(("body", "path", "value_type", "column", "reason"), REFUSALS, ids=repr)
def test_what_does_not_fit_is_refused_by_name(
    body: dict[str, Any], path: str, value_type: str, column: str, reason: str
) -> None:
    outcome = refused(body)
    assert (outcome.field, outcome.value_type, outcome.column) == (path, value_type, column)
    assert reason in outcome.reason
    assert "secret" not in repr(outcome)
    assert outcome.row_key == KEY
    assert len(outcome.checksum) == 16


NO_REST = Mapper(PLAN.model_copy(update={"rest": None}))


@pytest.mark.parametrize(
    ("body", "path", "value_type", "reason"),
    [
        ({"unknown": 1}, "unknown", "int", "no column"),
        ({"shop": {"zip": "x"}}, "shop.zip", "string", "no column"),
        ({"shop": {}}, "shop", "object", "no column"),
        ({"amount": None}, "amount", "null", "exact value"),
        ({"count": 3}, "count", "int", "exact value"),
        ({"items": []}, "items", "array", "exact value"),
        ({"count": Int64(1), "amount": D("1.00")}, ".", "object", "plan's order"),
        ({"items": [{"qty": 1, "more": 1.5}]}, "items.0.more", "double", "no column"),
        ({"places": {"b": None}}, "places.b", "null", "exact value"),
        ({"places": {"b": {}, "a": {}}}, "places", "object", "order of the map's rows"),
        ({"_id": 3.0}, "_id", "double", "exact value"),
    ],
    ids=repr,
)
def test_without_a_rest_column_what_is_left_over_refuses_the_document(
    body: dict[str, Any], path: str, value_type: str, reason: str
) -> None:
    outcome = refused(body, NO_REST)
    assert (outcome.field, outcome.value_type) == (path, value_type)
    assert reason in outcome.reason
    assert "no rest column" in outcome.reason


def test_without_a_rest_column_a_document_that_fits_maps() -> None:
    assert mapped({"amount": D("1.00"), "items": [{"qty": 1}]}, NO_REST)[0][0][-1] == "mongo"


def test_an_undecodable_document_is_refused_with_its_own_reason() -> None:
    raw = bson.encode({"_id": ID, "s": "x"}).replace(b"\x02s\0", b"\x0es\0")
    outcome = MAPPER.map(read_document(raw))
    assert isinstance(outcome, Refused)
    assert (outcome.field, outcome.value_type, outcome.row_key) == ("s", "symbol", KEY)
    assert "deprecated" in outcome.reason


# --- keys -----------------------------------------------------------------------------------------------------------


def test_three_and_three_point_zero_are_one_row_and_each_comes_back() -> None:
    whole, double = mapped({"_id": 3}), mapped({"_id": 3.0})
    assert whole[0][0][0] == double[0][0][0] == "3"
    assert repr(MAPPER.id_of(whole[0][0])) == "3"
    assert repr(MAPPER.id_of(double[0][0])) == "3.0"


def test_a_key_that_its_column_does_not_take_has_no_row_key() -> None:
    mapper = Mapper(CollectionMap(collection="c", table="t", key=KeyMap(type="objectid")))
    outcome = refused({"_id": "abc"}, mapper)
    assert (outcome.field, outcome.column, outcome.row_key) == ("_id", "id", None)
    assert mapper.absent(outcome.key) == Absent(outcome.key, None)
    assert mapper.row_key(b"\x02\0\x02\0\0\0\xff\0") is None


def test_nan_is_no_key_of_a_number_column() -> None:
    mapper = Mapper(CollectionMap(collection="c", table="t", key=KeyMap(type="numeric")))
    assert "any" in refused({"_id": float("nan")}, mapper).reason


# --- the application changes rows -----------------------------------------------------------------------------------

CHANGES: list[tuple[dict[str, Any], dict[int, Any], dict[str, Any]]] = [
    # document, new cells of the root row by column, what must come back of the changed fields
    ({"count": 3.0}, {2: 4}, {"count": Int64(4)}),
    ({"count": 3.0}, {2: None}, {}),
    ({"amount": D("7.5")}, {1: Decimal("7.60")}, {"amount": D("7.60")}),
    ({"amount": None}, {1: Decimal("1.00")}, {"amount": D("1.00")}),
    ({"shop": None}, {3: "new"}, {"shop": {"name": "new"}}),
    ({"shop": {"name": None}}, {3: "new"}, {"shop": {"name": "new"}}),
    ({"shop": {}}, {3: "new"}, {"shop": {"name": "new"}}),
]


@pytest.mark.parametrize(("body", "cells", "expected"), CHANGES, ids=repr)
def test_an_exact_value_is_forgotten_once_the_column_changed(
    body: dict[str, Any], cells: dict[int, Any], expected: dict[str, Any]
) -> None:
    rows = mapped(body)
    rows[0][0] = tuple(cells.get(place, cell) for place, cell in enumerate(rows[0][0]))
    assert bson.encode(MAPPER.unmap(rows)) == bson.encode({"_id": ID} | expected)


@pytest.mark.parametrize("empty", [None, []])
def test_a_row_that_was_added_wins_over_an_array_that_was_empty(empty: Any) -> None:
    rows = mapped({"items": empty})
    rows[1].append((KEY, 0, "A", 1))
    assert MAPPER.unmap(rows)["items"] == [{"sku": "A", "qty": 1}]


def test_a_new_field_comes_after_an_order_that_does_not_know_it() -> None:
    rows = mapped({"count": Int64(1), "amount": D("1.00")})
    rows[0][0] = (*rows[0][0][:3], "new", *rows[0][0][4:])
    assert list(MAPPER.unmap(rows)) == ["_id", "count", "amount", "shop"]


@pytest.mark.parametrize(("place", "cell"), [(1, Decimal("1." + "1" * 40)), (4, AT.replace(microsecond=1))])
def test_what_bson_cannot_hold_is_never_cut_off_on_the_way_back(place: int, cell: Any) -> None:
    rows = mapped({})
    rows[0][0] = (*rows[0][0][:place], cell, *rows[0][0][place + 1 :])
    with pytest.raises(Unfit):
        MAPPER.unmap(rows)


@pytest.mark.parametrize("far", ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01"])
@pytest.mark.parametrize("kind", ["timestamptz", "date"])
def test_a_time_that_no_document_can_hold_is_unfit_on_the_way_back_whatever_is_kept_beside_it(
    kind: str, far: str
) -> None:
    at = TransformMap(fields=("at",), columns=columns(("at", kind)), forward=AS_IT_IS, back=AS_IT_IS)
    for mapper in (Mapper(CollectionMap(collection="c", table="t", fields=(field("at", kind),))), with_transforms(at)):
        for rest_column in (None, '{"$exact": {"at": null}}', '{"$exact": {"at": "infinity"}}'):
            with pytest.raises(Unfit, match="the time lies outside the years 1 to 9999"):
                mapper.unmap([[('"k"', far, rest_column)]])


# --- transforms -----------------------------------------------------------------------------------------------------


def columns(*pairs: tuple[str, str]) -> tuple[ColumnSpec, ...]:
    return tuple(ColumnSpec(column=name, type=type_text) for name, type_text in pairs)


def with_transforms(*transforms: TransformMap, **parts: Any) -> Mapper:
    return Mapper(CollectionMap(collection="c", table="t", transforms=transforms, **parts))


SPLIT = TransformMap(
    fields=("name",),
    columns=columns(("first", "text"), ("others", "varchar(9)")),
    forward="split_words",
    back="join_words",
)
NAMES = with_transforms(SPLIT)


@pytest.mark.parametrize(
    ("name", "cells", "kept"),
    [
        ("Ada Lovelace", ("Ada", "Lovelace"), None),
        ("Ada", ("Ada", None), None),
        ("", ("", None), None),
        (None, (None, None), {"$exact": {"name": None}}),
    ],
)
def test_a_split_field_comes_back(name: Any, cells: tuple[Any, ...], kept: Any) -> None:
    row = mapped({"name": name}, NAMES)[0][0]
    assert row[1:3] == cells
    assert rest({"name": name}, NAMES) == kept


def test_a_changed_column_of_a_split_field_changes_the_field() -> None:
    rows = mapped({"name": None}, NAMES)
    rows[0][0] = (rows[0][0][0], "Grace", "Hopper", *rows[0][0][3:])
    assert NAMES.unmap(rows)["name"] == "Grace Hopper"


@pytest.mark.parametrize(
    ("body", "value_type", "column", "reason"),
    [
        ({"name": 5}, "int", "first, others", "takes a string"),
        ({"name": "Ada Lovelace-King"}, "string", "others", "trunc"),
    ],
)
def test_a_transform_refuses_by_name(body: dict[str, Any], value_type: str, column: str, reason: str) -> None:
    outcome = refused(body, NAMES)
    assert (outcome.field, outcome.value_type, outcome.column) == ("name", value_type, column)
    assert reason in outcome.reason


def test_a_required_column_of_a_transform_refuses_a_missing_field() -> None:
    spec = ColumnSpec(column="low", type="text", required=True)
    mapper = with_transforms(TransformMap(fields=("x",), columns=(spec,), forward="lower"))
    assert "required" in refused({}, mapper).reason


def test_a_computed_column_leaves_its_field_in_the_rest_column() -> None:
    mapper = with_transforms(TransformMap(fields=("mail",), columns=columns(("low", "text")), forward="lower"))
    row = mapped({"mail": "A@B.c"}, mapper)[0][0]
    assert row[1:] == ("a@b.c", '{"mail":"A@B.c"}')


def as_it_is(value: Any) -> Any:
    return value


AS_IT_IS = f"{__name__}:as_it_is"


def fails(value: Any) -> Any:
    raise RuntimeError(f"cannot do {value}")


def gives_one(value: Any) -> Any:
    return value


def as_pair(value: Any) -> Any:
    return value, None


@pytest.mark.parametrize(
    ("function", "reason"), [(fails, "failed with RuntimeError"), (gives_one, "did not give a tuple of 2 values")]
)
def test_a_customers_transform_that_fails_refuses_without_its_words(function: Callable[..., Any], reason: str) -> None:
    name = f"{__name__}:{function.__name__}"
    mapper = with_transforms(
        TransformMap(fields=("x",), columns=columns(("a", "text"), ("b", "text")), forward=name), rest="extra"
    )
    outcome = refused({"x": "secret"}, mapper)
    assert reason in outcome.reason
    assert "secret" not in repr(outcome)


@pytest.mark.parametrize("back", [fails, as_pair])
def test_a_way_back_that_fails_costs_an_exact_value_and_no_data(back: Callable[..., Any]) -> None:
    mapper = with_transforms(
        TransformMap(
            fields=("x", "y"),
            columns=columns(
                ("a", "text"),
            ),
            forward="join_words",
            back=f"{__name__}:{back.__name__}",
        )
    )
    assert rest({"x": "p", "y": "q"}, mapper)["$exact"]["y"] == "q"
    assert mapped({"y": "q"}, mapper)


# --- plans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        {"fields": (field("a", "text"), field("a", "integer"))},
        {"fields": (field("a", "text"), field("a.b", "integer"))},
        {"fields": (field("a.b", "text"), field("a", "integer"))},
        {"transforms": (TransformMap(fields=("a",), columns=columns(("x", "text")), forward="no_such"),)},
        {"transforms": (TransformMap(fields=("a",), columns=columns(("x", "text")), forward="no.such:thing"),)},
        {"constants": (Constant(column="x", type="varchar(2)", value="abc"),)},
        {"fields": (field("a", "int"),)},
    ],
    ids=repr,
)
def test_a_plan_that_cannot_work_is_refused_when_the_mapper_is_made(parts: dict[str, Any]) -> None:
    with pytest.raises(PlanError) as refusal:
        Mapper(CollectionMap(collection="c", table="t", **parts))
    assert refusal.value.next_step


def test_a_mapper_is_made_once_for_each_collection() -> None:
    assert mapper_for(PLAN) is mapper_for(PLAN.model_copy())
