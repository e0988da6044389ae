"""No column of a plan's tables is nobody's: whatever single cell of whatever row is changed, parity finds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Binary, Decimal128, Int64

from midflight.core.column_types import parse_type
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Row
from midflight.core.plan import Child, CollectionMap, ColumnSpec, Constant, Ignored, TransformMap
from midflight.core.tables import Table, tables
from midflight.errors import PlanError
from midflight.parity.compare import compare
from midflight.parity.forms.constants import constant_fields
from midflight.parity.forms.image_form import ImageForm, has_images
from midflight.parity.forms.source_form import SourceForm
from midflight.parity.forms.target_form import TargetForm, Unreadable
from midflight.parity.records import Entry
from midflight.parity.rules import Rules
from tests.property.strategies import FLAT, collection, field
from tests.unit.parity.corpus import OID, WHEN, rows_of, source

CONSTANTS = (
    Constant(column="k_text", type="text", value="mongo"),
    Constant(column="k_short", type="varchar(5)", value=""),
    Constant(column="k_bool", type="boolean", value=False),
    Constant(column="k_small", type="smallint", value=0),
    Constant(column="k_int", type="integer", value=-7),
    Constant(column="k_big", type="bigint", value=2**53 + 1),
    Constant(column="k_num", type="numeric", value="1.10"),
    Constant(column="k_money", type="numeric(12,2)", value=1.5),
    Constant(column="k_double", type="double precision", value=0.1),
    Constant(column="k_when", type="timestamptz", value="2024-01-31T12:00:00+02:00"),
    Constant(column="k_day", type="date", value="2024-01-31"),
    Constant(column="k_uuid", type="uuid", value="00000000-0000-0000-0000-00000000000a"),
    Constant(column="k_bytes", type="bytea", value="00ff"),
    Constant(column="k_oid", type="objectid", value=str(OID)),
    Constant(column="k_json", type="jsonb", value="text"),
)


def computed(path: str, column: str, forward: str, back: str | None = None, kind: str = "text") -> TransformMap:
    return TransformMap(fields=(path,), columns=(ColumnSpec(column=column, type=kind),), forward=forward, back=back)


WHEN_SOLD = computed("at", "at", "epoch_millis", "to_epoch_millis", "timestamptz")
TAGS = Child(array="tags", table="tags", parent_key="thing", position="tag", fields=(field(".", "text", "tag_"),))
BY = Child(map="by", table="bys", parent_key="thing", position="name", fields=(field("n", "double precision"),))


RICH = collection(
    fields=(*FLAT.fields, field("sub.x", "text"), field("sub.deep.y", "bigint")),
    transforms=(
        TransformMap(
            fields=("who",),
            columns=(ColumnSpec(column="first", type="text"), ColumnSpec(column="others", type="varchar(20)")),
            forward="split_words",
            back="join_words",
        ),
        computed("cents", "price", "cents", "to_cents", "numeric(12,2)"),
        computed("s", "shouted", "upper"),
    ),
    constants=CONSTANTS,
    children=(
        Child(
            array="lines",
            table="lines",
            parent_key="thing",
            fields=(field("sku", "text"), field("q", "integer")),
            transforms=(computed("sku", "low", "lower"), WHEN_SOLD),
            children=(TAGS, BY),
        ),
        Child(map="places", table="places", parent_key="thing", position="place", fields=(field("zip", "text"),)),
    ),
)


LINES, PLACES = RICH.children
PLAIN = RICH.model_copy(
    update={
        "transforms": (),
        "constants": tuple(constant for constant in CONSTANTS if constant.type != "jsonb"),
        "children": (LINES.model_copy(update={"transforms": ()}), PLACES),
    }
)
"""Without functions: what a run may compare by bytes first."""


def thing(key: str) -> dict[str, Any]:
    """A document that fills every column of every table, and the rest column with all that it may hold."""
    return {
        "_id": key,
        "s": "Text",
        "v": "abc",
        "b": True,
        "i2": 1,
        "i4": 5.0,
        "i8": Int64(2**53 + 1),
        "n": Decimal128("1"),
        "n2": Decimal128("12.50"),
        "d": 1e-17,
        "t": WHEN,
        "day": datetime(2024, 1, 31, tzinfo=UTC),
        "u": Binary(bytes(16), 4),
        "y": b"x",
        "o": OID,
        "j": {"a": [1, None]},
        "k": "key",
        "sub": {"x": "x", "deep": {"y": Int64(1)}, "own": "beside"},
        "who": "Ada King Lovelace",
        "cents": 1250,
        "lines": [
            {"sku": "A", "q": None, "at": Int64(1_706_689_800_123), "tags": [], "own": {"n": 1}},
            {"sku": "B", "q": 2, "at": Int64(0), "tags": ["x", "y"], "by": {"m": {"n": 1.5}}},
            {"sku": "C", "q": 3},
        ],
        "places": {"home": {"zip": "1"}, "work": {"zip": None}},
        "unmapped": {"x": "y", "list": [], "n": Int64(5)},
        "extra_null": None,
    }


MICROSECOND_LATER = WHEN + timedelta(microseconds=1)
OTHERS: dict[str, list[Any]] = {
    "text": ["other", "", None],
    "varchar": ["o", "", None],
    "boolean": [True, False, None],
    "smallint": [3, 0, None],
    "integer": [9, 0, None],
    "bigint": [2**53, 0, None],
    "numeric": [Decimal("12.51"), Decimal("NaN"), Decimal(0), None],
    "double precision": [2e-17, 0.0, float("nan"), float("inf"), None],
    "timestamptz": [MICROSECOND_LATER, datetime(1970, 1, 2, tzinfo=UTC), None],
    "date": [date(2024, 2, 1), date(1970, 1, 1), None],
    "uuid": [UUID(int=99), None],
    "bytea": [b"x\0", b"", None],
    "objectid": ["65920100a1b2c3d4e5f60719", None],
    "jsonb": ['{"a": [1]}', "1", "null", "[]", None],
    "any": ['"another"', "5", None],
}
"""What PostgreSQL would take in a column of that type, beside what is there."""

DOCUMENTS = [thing("one"), thing("two")]
Stored = list[list[Row]]
"""All rows of all tables, of both documents."""


class Stock:
    """Both documents in the tables of a plan, as the copier puts them there."""

    def __init__(self, plan: CollectionMap) -> None:
        self.plan = plan
        self.tables: tuple[Table, ...] = tables(plan)
        self.sources = [source(plan, body) for body in DOCUMENTS]
        self.raws = [bson.encode(body) for body in DOCUMENTS]
        self.row_keys = [mapper_for(plan).row_key(entry.key) for entry in self.sources]
        of_documents = [rows_of(plan, body) for body in DOCUMENTS]
        self.rows: Stored = [[row for rows in of_documents for row in rows[n]] for n in range(len(self.tables))]

    def is_found(self, changed: Stored) -> bool:
        """Whether a document's rows, read as the reader of the target does, do not say the document any more."""
        return any(map(self._differs, self.sources, self.row_keys, [changed] * len(DOCUMENTS)))

    def _differs(self, entry: Entry, row_key: Any, changed: Stored) -> bool:
        rows = [[row for row in of_table if row[0] == row_key] for of_table in changed]
        if not rows[0]:
            return True
        try:
            return bool(compare(entry, Entry(b"", TargetForm(self.plan).fields(rows)), Rules()).differences)
        except Unreadable:
            return True

    def is_found_by_images(self, changed: Stored) -> bool:
        """The same by the first look of a run, at bytes; what is unlike there is looked at field by field."""
        in_order = [
            sorted(of_table, key=lambda row: row[: len(table.primary_key)])
            for table, of_table in zip(self.tables, changed, strict=True)
        ]
        images = ImageForm(self.plan).images(in_order)
        return any(images.get(row_key) != raw for row_key, raw in zip(self.row_keys, self.raws, strict=True))

    def with_cell(self, table: int, row: int, slot: int, cell: Any) -> Stored:
        """The rows, but for this cell."""
        changed = [list(of_table) for of_table in self.rows]
        old = changed[table][row]
        changed[table][row] = (*old[:slot], cell, *old[slot + 1 :])
        return changed

    def cells(self) -> Iterator[tuple[int, int, int]]:
        """Every cell of every row: number of the table, of the row in it, of the column."""
        for number, table in enumerate(self.tables):
            for row in range(len(self.rows[number])):
                yield from ((number, row, slot) for slot in range(len(table.columns)))

    def others(self, number: int, row: int, slot: int) -> Iterator[Any]:
        """Other cells that PostgreSQL would take there: none twice in a key, no NULL in it."""
        table, old = self.tables[number], self.rows[number][row]
        column, width = table.columns[slot], len(table.primary_key)
        if column.name == self.plan.rest:
            yield from ("{}", None)
            return
        known = {one[:width] for one in self.rows[number]}
        for other in OTHERS[parse_type(column.type).name]:
            key = (*old[:slot], other, *old[slot + 1 :])[:width]
            if other != old[slot] and (slot >= width or (other is not None and key not in known)):
                yield other

    def unnoticed(self, is_found: Callable[[Stored], bool]) -> set[tuple[str, str, Any]]:
        """Table, column and cell of whatever may be changed without being found; every column is tried."""
        unnoticed, tried = set(), set()
        for number, row, slot in self.cells():
            table, column = self.tables[number].name, self.tables[number].columns[slot].name
            for other in self.others(number, row, slot):
                tried.add((table, column))
                if not is_found(self.with_cell(number, row, slot, other)):
                    unnoticed.add((table, column, other))
        assert tried == {(table.name, column.name) for table in self.tables for column in table.columns}
        return unnoticed


@pytest.fixture(scope="module")
def rich() -> Stock:
    return Stock(RICH)


@pytest.fixture(scope="module")
def plain() -> Stock:
    return Stock(PLAIN)


def test_the_documents_fill_every_column_and_differ_in_none(rich: Stock, plain: Stock) -> None:
    assert not rich.is_found(rich.rows)
    assert not plain.is_found(plain.rows)
    assert not plain.is_found_by_images(plain.rows)
    empty = {
        (table.name, column.name)
        for number, table in enumerate(rich.tables)
        for slot, column in enumerate(table.columns)
        if all(row[slot] is None for row in rich.rows[number])
    }
    assert empty == set()


GAPS = {("lines", "position", 9), ("tags", "tag", 9)}
"""An array's elements count by their order: with gaps between their numbers it is the same array."""
WAY_BACK = ("lines", "at", MICROSECOND_LATER)
"""What the plan's way back takes for the same field: `to_epoch_millis` has no microseconds."""


def test_whatever_cell_is_changed_is_found_but_for_what_says_the_same_document(rich: Stock) -> None:
    """The exceptions are declared in docs/parity.md, too."""
    assert rich.unnoticed(rich.is_found) == {*GAPS, WAY_BACK}


def test_a_look_at_bytes_takes_no_changed_cell_for_equal_either(plain: Stock) -> None:
    assert has_images(plain.plan)
    assert plain.unnoticed(plain.is_found) == GAPS
    assert plain.unnoticed(plain.is_found_by_images) == GAPS


def inside(packed: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of everything in JSON that holds nothing else."""
    items = packed.items() if isinstance(packed, dict) else enumerate(packed) if isinstance(packed, list) else ()
    below = list(items)
    if not below:
        yield path
    for name, value in below:
        yield from inside(value, (*path, name))


def changed_at(packed: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return "other" if packed != "other" else "another"
    copy = list(packed) if isinstance(packed, list) else dict(packed)
    copy[path[0]] = changed_at(packed[path[0]], path[1:])
    return copy


def test_whatever_is_changed_inside_the_rest_column_is_found_but_for_what_only_bytes_say(
    rich: Stock, plain: Stock
) -> None:
    """The order of names, and that 5 was 5.0, show in the bytes that the rows give: an `exact` run asks for them."""
    for stock, is_found, only_bytes in (
        (rich, rich.is_found, True),
        (plain, plain.is_found, True),
        (plain, plain.is_found_by_images, False),
    ):
        slot = len(stock.tables[0].columns) - 1
        rest = json.loads(stock.rows[0][0][slot])
        places = list(inside(rest))
        assert len(places) > 8
        unnoticed = {
            path for path in places if not is_found(stock.with_cell(0, 0, slot, json.dumps(changed_at(rest, path))))
        }
        allowed = {path for path in places if "$order" in path or path == ("$exact", "i4")}
        assert unnoticed == (allowed if only_bytes else set())


def test_constants_of_every_type_are_told_from_the_plan_alone() -> None:
    fields = constant_fields(CONSTANTS)
    read = TargetForm(RICH).fields(rows_of(RICH, DOCUMENTS[0]))
    assert {path: value for path, value in read.items() if path.startswith("=k_")} == fields
    assert len(fields) == len(CONSTANTS)
    assert fields["=k_when"] == datetime(2024, 1, 31, 10, tzinfo=UTC)
    assert (fields["=k_num"], fields["=k_uuid"]) == (Decimal("1.1"), ("binary", 4, bytes([0] * 15 + [10])))


@pytest.mark.parametrize(("kind", "value"), [("date", "never"), ("uuid", 5), ("numeric", "x"), ("bytea", "zz")])
def test_a_constant_that_is_none_of_its_type_is_refused_with_its_column(kind: str, value: Any) -> None:
    with pytest.raises(PlanError, match="column `k` is no"):
        SourceForm(RICH.model_copy(update={"constants": (Constant(column="k", type=kind, value=value),)}))


@pytest.mark.parametrize("column", [constant.column for constant in CONSTANTS])
def test_a_constant_may_be_ignored_by_a_declared_rule(column: str) -> None:
    rules = Rules(ignored=(Ignored(collection="things", field=f"={column}", reason="ours"),))
    entry = source(RICH, DOCUMENTS[0])
    other = replace(entry, fields={**entry.fields, f"={column}": "something else"})
    assert compare(entry, other, rules).by_rule == (f"ignore ={column}",)
