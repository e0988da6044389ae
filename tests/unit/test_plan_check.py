"""Plans that do not hold together: each is refused with its place and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from midflight.core.column_types import parse_type
from midflight.core.plan import Plan
from midflight.core.plan_check import check_plan, find_problems, order_of_tables
from midflight.core.plan_constants import constant_value
from midflight.errors import PlanError

FORWARD = "lower"


def text(field: str, column: str | None = None, **more: Any) -> dict[str, Any]:
    return {"field": field, "column": column or field, "type": "text", **more}


def a_collection(name: str = "orders", **parts: Any) -> dict[str, Any]:
    return {"collection": name, "table": name, **parts}


def a_child(**parts: Any) -> dict[str, Any]:
    return {"array": "lines", "table": "lines", "parent_key": "order_id", "fields": [text("sku")], **parts}


def a_transform(*fields: str, **parts: Any) -> dict[str, Any]:
    columns = [{"column": f"made_{number}", "type": "text"} for number, _ in enumerate(fields)]
    return {"fields": fields, "columns": columns, "forward": FORWARD, **parts}


def a_plan(*collections: dict[str, Any], **parts: Any) -> Plan:
    content = {
        "domain": "shop",
        "source": {"store": "mongo-main", "database": "shop"},
        "target": {"store": "pg-main", "schema": "shop"},
        "collections": list(collections) or [a_collection()],
    }
    return Plan.model_validate({**content, **parts})


def refers(table: str, column: str = "id", **more: Any) -> dict[str, Any]:
    return {**text("ref", type="any"), "references": {"table": table, "column": column}, **more}


def problems(plan: Plan) -> list[str]:
    return [f"{found.place}: {found.what} {found.next_step}" for found in find_problems(plan)]


def only_problem(plan: Plan) -> str:
    told = problems(plan)
    assert len(told) == 1, told
    return told[0]


def test_a_sound_plan_passes() -> None:
    check_plan(a_plan(a_collection(fields=[text("note")], children=[a_child()])))


def test_every_problem_is_told_at_once() -> None:
    plan = a_plan(a_collection(fields=[text("_id", "a"), text("note", "a")]), ramp={"steps": [50]})
    with pytest.raises(PlanError, match="it has 3 problems:") as caught:
        check_plan(plan)
    assert str(caught.value).count("\n- ") == 3


class TestTypes:
    @pytest.mark.parametrize(
        ("collection", "place"),
        [
            (a_collection(fields=[text("a", type="txt")]), "collections[0].fields[0].type"),
            (a_collection(key={"type": "objectidd"}), "collections[0].key.type"),
            (
                a_collection(constants=[{"column": "a", "type": "txt", "value": "x"}]),
                "collections[0].constants[0].type",
            ),
            (
                a_collection(children=[a_child(fields=[text("a", type="txt")])]),
                "collections[0].children[0].fields[0].type",
            ),
            (
                a_collection(
                    fields=[text("a")], transforms=[a_transform("a", columns=[{"column": "b", "type": "txt"}])]
                ),
                "collections[0].transforms[0].columns[0].type",
            ),
        ],
    )
    def test_an_unknown_type_is_refused_where_it_stands(self, collection: dict[str, Any], place: str) -> None:
        assert only_problem(a_plan(collection)).startswith(f"{place}: ")

    def test_the_nearest_type_is_named(self) -> None:
        assert "timestamptz" in only_problem(a_plan(a_collection(fields=[text("a", type="timestamtz")])))

    @pytest.mark.parametrize("type_", ["jsonb", "double precision", "boolean"])
    def test_a_key_of_a_type_without_exact_equality_is_refused(self, type_: str) -> None:
        told = only_problem(a_plan(a_collection(key={"type": type_})))
        assert told.startswith(f"collections[0].key.type: {type_} cannot be a key")
        assert "Use `any`" in told

    @pytest.mark.parametrize(
        ("type_", "value"),
        [
            ("text", "x"),
            ("varchar(2)", "xy"),
            ("boolean", True),
            ("smallint", -32768),
            ("bigint", 2**63 - 1),
            ("numeric", "0.10"),
            ("numeric(5,2)", 123.25),
            ("double precision", 3),
            ("timestamptz", "2024-01-31T12:00:00Z"),
            ("date", "2024-01-31"),
            ("uuid", "00000000-0000-0000-0000-000000000001"),
            ("bytea", "00ff"),
            ("jsonb", "x"),
            ("objectid", "0123456789abcdef01234567"),
        ],
    )
    def test_a_constant_that_fits_passes(self, type_: str, value: object) -> None:
        assert not problems(a_plan(a_collection(constants=[{"column": "c", "type": type_, "value": value}])))

    @pytest.mark.parametrize(
        ("type_", "value", "reason"),
        [
            ("text", 7, "write it in quotes"),
            ("text", "a\0", "holds no NUL"),
            ("varchar(2)", "xyz", "it has 3 characters"),
            ("boolean", "true", "write true or false, without quotes"),
            ("boolean", 1, "write true or false"),
            ("integer", "7", "write a whole number, without quotes"),
            ("integer", True, "write a whole number"),
            ("integer", 2**31, "it goes from -2147483648 to 2147483647"),
            ("numeric", "much", "write a number"),
            ("numeric", "NaN", "write a finite number"),
            ("numeric(5,2)", "1234.5", "it has too many digits"),
            ("numeric(5,2)", "1.555", "it has too many digits"),
            ("double precision", 2**53 + 1, "a double does not hold it exactly"),
            ("timestamptz", "2024-01-31T12:00:00", "name its time zone"),
            ("date", "31.1.2024", "Invalid isoformat"),
            ("uuid", "x", "badly formed"),
            ("bytea", "xyz", "hexadecimal"),
            ("objectid", "0123", "write 24 lower-case hexadecimal digits"),
            ("any", "x", "`any` is for keys"),
        ],
    )
    def test_a_constant_that_does_not_fit_is_refused(self, type_: str, value: object, reason: str) -> None:
        told = only_problem(a_plan(a_collection(constants=[{"column": "c", "type": type_, "value": value}])))
        assert told.startswith(f"collections[0].constants[0].value: the value does not fit {type_}: ")
        assert reason in told

    def test_a_scaled_constant_has_all_its_decimal_places(self) -> None:
        assert str(constant_value(parse_type("numeric(5,2)"), "1.5")) == "1.50"


class TestPaths:
    def test_a_field_mapped_twice_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(fields=[text("a"), text("a", "b")])))
        assert told == (
            "collections[0].fields[1]: field `a` is mapped already by collections[0].fields[0]. Map each field once."
        )

    @pytest.mark.parametrize("pair", [("a", "a.b"), ("a.b", "a")])
    def test_a_field_and_a_part_of_it_are_refused(self, pair: tuple[str, str]) -> None:
        told = only_problem(a_plan(a_collection(fields=[text(pair[0], "x"), text(pair[1], "y")])))
        assert f"field `{pair[1]}` overlaps with `{pair[0]}` of collections[0].fields[0]." in told

    def test_a_name_that_only_starts_alike_is_fine(self) -> None:
        assert not problems(a_plan(a_collection(fields=[text("a"), text("ab")])))

    def test_a_field_mapped_as_value_and_as_child_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(fields=[text("lines", "a")], children=[a_child()])))
        assert told.startswith(
            "collections[0].children[0]: field `lines` is mapped already by collections[0].fields[0]."
        )

    def test_a_part_of_a_child_mapped_as_value_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(fields=[text("lines.0", "a")], children=[a_child()])))
        assert "overlaps with `lines.0`" in told

    def test_a_field_of_a_two_way_transform_mapped_again_is_refused(self) -> None:
        plan = a_plan(a_collection(fields=[text("a")], transforms=[a_transform("a", back="lower")]))
        assert "collections[0].transforms[0]: field `a` is mapped already" in only_problem(plan)

    def test_a_computed_column_may_read_a_mapped_field(self) -> None:
        assert not problems(a_plan(a_collection(fields=[text("a")], rest=None, transforms=[a_transform("a")])))

    def test_the_key_as_an_ordinary_field_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(fields=[text("_id", "a")])))
        assert "collections[0].fields[0]: `_id` is the key, not an ordinary field. Describe it under `key:`." in told

    def test_an_id_inside_an_element_is_an_ordinary_field(self) -> None:
        assert not problems(a_plan(a_collection(children=[a_child(fields=[text("_id", "a")])])))

    @pytest.mark.parametrize("path", ["a..b", ".a", "a."])
    def test_a_malformed_path_is_refused(self, path: str) -> None:
        told = only_problem(a_plan(a_collection(fields=[text(path, "a")])))
        assert f"`{path}` is not a path. Join names by single dots" in told

    def test_the_element_is_refused_outside_a_child(self) -> None:
        assert "`.` is the element of a child" in only_problem(a_plan(a_collection(fields=[text(".", "a")])))

    def test_the_element_mixed_with_named_fields_is_refused(self) -> None:
        plan = a_plan(a_collection(children=[a_child(fields=[text(".", "a"), text("b")])]))
        assert "`.` is the whole element" in only_problem(plan)

    def test_a_computed_field_without_a_home_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(rest=None, transforms=[a_transform("a")])))
        assert "field `a` is only computed from: without `back` and without a rest column it would be lost." in told

    def test_the_rest_column_is_a_home(self) -> None:
        assert not problems(a_plan(a_collection(transforms=[a_transform("a")])))

    def test_the_key_is_a_home(self) -> None:
        assert not problems(a_plan(a_collection(rest=None, transforms=[a_transform("_id")])))


class TestTransforms:
    def test_an_unknown_transform_is_refused_with_the_nearest(self) -> None:
        told = only_problem(a_plan(a_collection(transforms=[a_transform("a", forward="lowr")])))
        assert told == (
            "collections[0].transforms[0].forward: there is no transform `lowr`. Did you mean `lower`? "
            "Or name a function of your own, as `package.module:function`."
        )

    def test_an_unknown_way_back_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(transforms=[a_transform("a", back="uper")])))
        assert told.startswith("collections[0].transforms[0].back: there is no transform `uper`.")

    def test_a_function_of_ones_own_may_be_named(self) -> None:
        own = a_transform("a", forward="operator:neg", back="operator:neg")
        assert not problems(a_plan(a_collection(transforms=[own])))

    @pytest.mark.parametrize("name", ["no_such_package:f", "operator:no_such_function", ":", "math:pi"])
    def test_a_function_that_cannot_be_had_is_refused(self, name: str) -> None:
        told = only_problem(a_plan(a_collection(transforms=[a_transform("a", forward=name)])))
        assert told.startswith(f"collections[0].transforms[0].forward: The transform {name!r} ")

    def test_a_function_of_another_number_of_fields_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(transforms=[a_transform("a", "b", forward="lower")])))
        assert "does not take 2 values, one a field." in told

    def test_a_way_back_of_another_number_of_columns_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(transforms=[a_transform("a", forward="lower", back="join_words")])))
        assert "does not take 1 values, one a column." in told

    def test_a_field_named_twice_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(transforms=[a_transform("a", "a", forward="join_words")])))
        assert told.startswith("collections[0].transforms[0].fields: a field is named twice.")


class TestChildren:
    def test_both_array_and_map_is_refused(self) -> None:
        assert "has both `array` and `map`" in only_problem(a_plan(a_collection(children=[a_child(map="m")])))

    def test_neither_array_nor_map_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(children=[a_child(array=None)])))
        assert told.startswith("collections[0].children[0]: this child names neither `array` nor `map`.")

    def test_no_fields_is_refused(self) -> None:
        assert "this child has no fields" in only_problem(a_plan(a_collection(children=[a_child(fields=[])])))

    def test_no_parent_key_is_refused(self) -> None:
        child = {name: value for name, value in a_child().items() if name != "parent_key"}
        with pytest.raises(ValueError, match="parent_key"):
            a_plan(a_collection(children=[child]))

    def test_two_positions_of_one_name_are_refused(self) -> None:
        inner = a_child(array="parts", table="parts")
        told = only_problem(a_plan(a_collection(children=[a_child(children=[inner])])))
        assert told.startswith(
            "collections[0].children[0].children[0].position: column `position` of table `parts` is filled already by "
            "collections[0].children[0].position."
        )


class TestNames:
    def test_two_fields_into_one_column_are_refused(self) -> None:
        told = only_problem(a_plan(a_collection(fields=[text("a"), text("b", "a")])))
        assert told == (
            "collections[0].fields[1]: column `a` of table `orders` is filled already by collections[0].fields[0]. "
            "Give each its own column."
        )

    @pytest.mark.parametrize(
        "parts",
        [
            {"fields": [text("a", "id")]},
            {"fields": [text("a", "extra")]},
            {"constants": [{"column": "extra", "type": "text", "value": "v"}]},
            {"rest": "id"},
            {"children": [a_child(fields=[text("a", "order_id")])]},
            {"children": [a_child(fields=[text("a", "position")])]},
        ],
        ids=str,
    )
    def test_a_column_that_collides_with_key_position_or_rest_is_refused(self, parts: dict[str, Any]) -> None:
        assert "is filled already by" in only_problem(a_plan(a_collection(**parts)))

    def test_one_table_filled_twice_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(), a_collection("parts", table="orders")))
        assert told.startswith("collections[1].table: table `orders` is filled already by collections[0].")

    def test_a_child_table_with_a_taken_name_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(children=[a_child(table="orders")])))
        assert told.startswith("collections[0].children[0].table: table `orders` is filled already")

    def test_a_collection_mapped_twice_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(), a_collection(table="more")))
        assert told == "collections[1].collection: `orders` is mapped already at collections[0]. Keep one of them."

    @pytest.mark.parametrize("table", ["midflight_guard", "midflight", "pg_orders"])
    def test_a_reserved_table_name_is_refused(self, table: str) -> None:
        assert f"names that start like `{table}` are reserved" in only_problem(a_plan(a_collection(table=table)))

    @pytest.mark.parametrize("schema", ["midflight", "pg_catalog", "information_schema"])
    def test_a_reserved_schema_is_refused(self, schema: str) -> None:
        told = only_problem(a_plan(target={"store": "pg-main", "schema": schema}))
        assert told.startswith(f"target.schema: `{schema}` ")

    def test_a_database_of_mongodb_itself_is_refused(self) -> None:
        assert "source.database: `admin`" in only_problem(a_plan(source={"store": "m", "database": "admin"}))

    def test_a_collection_of_mongodb_itself_is_refused(self) -> None:
        assert "belongs to MongoDB itself" in only_problem(a_plan(a_collection("system.views", table="views")))

    def test_a_system_column_is_refused(self) -> None:
        assert "a column that PostgreSQL keeps" in only_problem(a_plan(a_collection(fields=[text("ctid")])))


class TestOrder:
    def test_an_order_of_top_level_names_passes(self) -> None:
        assert not problems(a_plan(a_collection(order=["_id", "b", "a"], children=[a_child(order=["sku"])])))

    @pytest.mark.parametrize(
        ("order", "told"),
        [
            (["a", "b"], "`_id` is missing. Let the order begin with `_id`"),
            (["_id", "a.b"], "`a.b` is not a top-level name. Write `a`."),
            (["_id", "a", "a"], "`a` is named twice."),
        ],
        ids=str,
    )
    def test_an_order_that_no_document_would_have_is_refused(self, order: list[str], told: str) -> None:
        assert only_problem(a_plan(a_collection(order=order))).startswith(f"collections[0].order: {told}")


class TestIndexes:
    def test_an_unknown_column_is_refused_with_the_nearest(self) -> None:
        plan = a_plan(a_collection(fields=[text("email")], indexes=[{"columns": ["emial"]}]))
        told = only_problem(plan)
        assert told == "collections[0].indexes[0].columns: table `orders` has no column `emial`. Did you mean `email`?"

    def test_a_table_of_another_collection_is_refused(self) -> None:
        plan = a_plan(a_collection(indexes=[{"table": "parts", "columns": ["id"]}]), a_collection("parts"))
        assert "table `parts` is not one of this collection's tables. Use one of: orders." in only_problem(plan)

    def test_a_column_named_twice_is_refused(self) -> None:
        plan = a_plan(a_collection(indexes=[{"columns": ["id", "id"]}]))
        assert "column `id` is named twice" in only_problem(plan)

    def test_two_indexes_that_would_share_a_name_are_refused(self) -> None:
        one = a_collection("a_b", fields=[text("c")], indexes=[{"columns": ["c"]}])
        other = a_collection("a", fields=[text("b_c")], indexes=[{"columns": ["b_c"]}])
        told = only_problem(a_plan(one, other))
        assert told.startswith("collections[1].indexes[0]: this index would have the same name as ")

    def test_a_child_table_may_be_indexed(self) -> None:
        index = {"table": "lines", "columns": ["sku", "position"]}
        assert not problems(a_plan(a_collection(children=[a_child()], indexes=[index])))


class TestReferences:
    def test_an_unknown_table_is_refused_with_the_nearest(self) -> None:
        told = only_problem(a_plan(a_collection(fields=[refers("order")])))
        assert told == (
            "collections[0].fields[0].references.table: no collection of this plan fills a table `order`. "
            "Did you mean `orders`?"
        )

    def test_an_unknown_column_is_refused(self) -> None:
        told = only_problem(a_plan(a_collection(fields=[refers("parts", "idd")]), a_collection("parts")))
        assert "references.column: table `parts` has no column `idd`. Did you mean `id`?" in told

    def test_a_column_without_a_unique_key_is_refused(self) -> None:
        parts = a_collection("parts", fields=[text("sku")])
        told = only_problem(a_plan(a_collection(fields=[refers("parts", "sku", type="text")]), parts))
        assert "column `sku` of `parts` has no unique key." in told

    def test_a_unique_index_makes_a_column_referable(self) -> None:
        parts = a_collection("parts", fields=[text("sku")], indexes=[{"columns": ["sku"], "unique": True}])
        assert not problems(a_plan(a_collection(fields=[refers("parts", "sku", type="text")]), parts))

    def test_a_part_of_a_childs_key_is_not_unique(self) -> None:
        parts = a_collection("parts", children=[a_child()])
        told = only_problem(a_plan(a_collection(fields=[refers("lines", "order_id")]), parts))
        assert "has no unique key" in told

    def test_another_type_is_refused(self) -> None:
        parts = a_collection("parts", key={"type": "objectid"})
        told = only_problem(a_plan(a_collection(fields=[refers("parts", type="text")]), parts))
        assert told == (
            "collections[0].fields[0].references: `ref` is text, but `parts.id` is objectid. "
            "Give both columns the same type."
        )

    def test_integers_of_other_widths_may_reference_each_other(self) -> None:
        parts = a_collection("parts", key={"type": "bigint"})
        assert not problems(a_plan(a_collection(fields=[refers("parts", type="integer")]), parts))

    def test_a_circle_is_refused_by_name(self) -> None:
        one = a_collection("one", fields=[refers("two")])
        two = a_collection("two", children=[a_child(fields=[refers("three")])])
        three = a_collection("three", fields=[refers("one")])
        told = only_problem(a_plan(one, two, three))
        circles = {"one → two → three → one", "two → three → one → two", "three → one → two → three"}
        assert any(circle in told for circle in circles), told

    def test_a_table_may_reference_itself(self) -> None:
        plan = a_plan(a_collection(fields=[refers("orders")]))
        assert not problems(plan)
        assert order_of_tables(plan) == ("orders",)

    def test_referenced_tables_come_first(self) -> None:
        orders = a_collection("orders", fields=[refers("members")])
        refunds = a_collection("refunds", children=[a_child(fields=[refers("orders")])])
        order = order_of_tables(a_plan(refunds, orders, a_collection("members")))
        assert order == ("members", "orders", "refunds")

    def test_the_order_of_a_circle_is_refused(self) -> None:
        one, two = a_collection("one", fields=[refers("two")]), a_collection("two", fields=[refers("one")])
        with pytest.raises(PlanError, match="go round in a circle"):
            order_of_tables(a_plan(one, two))


class TestRampAndWindow:
    @pytest.mark.parametrize(
        ("steps", "told"),
        [
            ([], "does not end at 100"),
            ([1, 50], "does not end at 100"),
            ([50, 10, 100], "the steps do not rise"),
            ([10, 10, 100], "the steps do not rise"),
            ([0, 100], "not a percentage"),
            ([-5, 100], "not a percentage"),
        ],
        ids=str,
    )
    def test_a_ramp_that_is_none_is_refused(self, steps: list[float], told: str) -> None:
        assert told in only_problem(a_plan(ramp={"steps": steps}))

    def test_an_empty_window_is_refused(self) -> None:
        told = only_problem(a_plan(pacing={"window": {"start": "22:00", "end": "22:00"}}))
        assert told.startswith("pacing.window: the window is empty")
