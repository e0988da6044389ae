"""The tables of a collection: one order of tables and columns for everybody."""

from __future__ import annotations

from typing import Any

from midflight.core.plan import CollectionMap
from midflight.core.tables import Table, tables


def made(**parts: Any) -> dict[str, Table]:
    collection = CollectionMap.model_validate({"collection": "orders", "table": "orders", **parts})
    return {table.name: table for table in tables(collection)}


def names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def a_child(table: str, **parts: Any) -> dict[str, Any]:
    return {"table": table, "parent_key": "order_id", **parts}


def test_a_bare_collection_is_a_key_and_a_rest_column() -> None:
    root = made()["orders"]
    assert [(c.name, c.type, c.required) for c in root.columns] == [("id", "any", True), ("extra", "jsonb", False)]
    assert (root.primary_key, root.root_key, root.parent) == (("id",), "id", None)


def test_the_rest_column_can_be_left_out() -> None:
    assert names(made(rest=None)["orders"]) == ["id"]


def test_columns_stand_as_key_fields_transforms_constants_rest() -> None:
    root = made(
        fields=[{"field": "b", "column": "b", "type": "text"}],
        transforms=[
            {
                "fields": ["n"],
                "columns": [{"column": "first", "type": "text"}, {"column": "last", "type": "text"}],
                "forward": "x",
            }
        ],
        constants=[{"column": "c", "type": "text", "value": "v"}],
    )["orders"]
    assert names(root) == ["id", "b", "first", "last", "c", "extra"]


def test_a_child_has_the_key_the_position_and_its_fields() -> None:
    fields = [{"field": "sku", "column": "sku", "type": "text"}]
    lines = made(key={"type": "objectid"}, children=[a_child("lines", array="lines", fields=fields)])["lines"]
    assert [(c.name, c.type) for c in lines.columns] == [
        ("order_id", "objectid"),
        ("position", "integer"),
        ("sku", "text"),
    ]
    assert (lines.primary_key, lines.root_key, lines.parent) == (("order_id", "position"), "order_id", "orders")


def test_the_position_of_a_map_is_its_key_as_text() -> None:
    part = made(children=[a_child("parts", map="parts", position="part")])["parts"]
    assert [(c.name, c.type) for c in part.columns] == [("order_id", "any"), ("part", "text")]


def test_a_child_of_a_child_carries_the_positions_of_both() -> None:
    inner = a_child("rewards", array="rewards")
    outer = a_child("parts", map="parts", position="part", children=[inner])
    rewards = made(children=[outer])["rewards"]
    assert rewards.primary_key == ("order_id", "part", "position")
    assert rewards.parent == "parts"


def test_tables_stand_depth_first() -> None:
    inner = a_child("a_inner", array="x", position="inner")
    children = [a_child("a", array="a", children=[inner]), a_child("b", array="b")]
    assert list(made(children=children)) == ["orders", "a", "a_inner", "b"]
