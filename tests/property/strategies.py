"""Documents of every BSON type, plans that map them, and what PostgreSQL makes of rows."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson import (
    Binary,
    Code,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)
from bson.datetime_ms import DatetimeMS
from hypothesis import strategies as st

from midflight.core.outcome import Row
from midflight.core.plan import Child, CollectionMap, ColumnSpec, Constant, FieldMap, KeyMap, TransformMap
from midflight.core.tables import Table

ODD_DECIMALS = [
    *("0", "-0", "0.00", "-0.00", "7.00", "1E+3", "1.10", "1E-6176", "9E+6111"),
    *("0E+9", "NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "0.1", "9223372036854775807", "9223372036854775808"),
]

# --- values ---------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
cstrings = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
int32s = st.one_of(st.integers(-3, 3), st.integers(-(2**31), 2**31 - 1))
longs = st.one_of(int32s, st.integers(-(2**63), 2**63 - 1)).map(Int64)
object_ids = st.binary(min_size=12, max_size=12).map(ObjectId)
bits = st.binary(min_size=8, max_size=8).map(lambda raw: struct.unpack("<d", raw)[0])
doubles = st.one_of(int32s.map(float), st.floats(), bits, st.sampled_from([-0.0, 5.0, 1e16, 1e-5, 0.1]))
decimals = st.one_of(
    st.decimals(places=2, allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9).map(Decimal128),
    st.binary(min_size=16, max_size=16).map(Decimal128.from_bid),
    st.sampled_from(ODD_DECIMALS).map(Decimal128),
)
instants = st.one_of(
    st.integers(-62_135_596_800_000, 253_402_300_799_999).map(DatetimeMS),
    st.integers(-10_000, 40_000).map(lambda day: DatetimeMS(day * 86_400_000)),
    st.sampled_from([-(2**63), 2**63 - 1, 253_402_300_800_000, -62_135_596_800_001]).map(DatetimeMS),
)
binaries = st.one_of(
    st.binary(max_size=20),
    st.builds(Binary, st.binary(max_size=20), st.sampled_from([0, 1, 2, 3, 4, 5, 6, 128])),
    st.binary(min_size=16, max_size=16).map(lambda raw: Binary(raw, 4)),
)
unsigned = st.integers(0, 2**32 - 1)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    int32s,
    longs,
    doubles,
    decimals,
    texts,
    object_ids,
    instants,
    binaries,
    st.builds(Timestamp, unsigned, unsigned),
    st.builds(Regex, cstrings, st.sampled_from(["", "i", "imsx", "mu"])),
    st.builds(Code, texts),
    st.builds(Code, texts, st.dictionaries(cstrings, int32s, max_size=2)),
    st.sampled_from([MinKey(), MaxKey()]),
)
NAMES = ["a", "bb", "ccc", "z", "é", "", "x.y", "$x", "$order", "$exact", "$children", "$$y", "$oid", "$ref", "$id"]
names = st.one_of(st.sampled_from(NAMES), cstrings)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3))


values = st.recursive(scalars, _containers, max_leaves=6)
keys = st.one_of(
    object_ids,
    st.one_of(int32s, longs, doubles, decimals, texts, instants, binaries, st.booleans()),
    st.dictionaries(names, st.one_of(int32s, doubles, texts), max_size=3),
)


@st.composite
def documents(draw: st.DrawFn, shape: dict[str, Any]) -> dict[str, Any]:
    """Documents with some of the shape's names (mostly with its values) and names of their own, in any order."""
    mapped = draw(st.lists(st.sampled_from(sorted(shape)), unique=True)) if shape else []
    body = {name: draw(values if draw(odd) else usual(shape[name])) for name in mapped}
    body.update(draw(st.dictionaries(names, values, max_size=2)))
    return dict(draw(st.permutations(list(body.items())))) if draw(st.booleans()) else body


odd = st.integers(0, 7).map(lambda n: n == 7)


def usual(shape: Any) -> st.SearchStrategy[Any]:
    """The values that a plan expects: a dict is a document, a list of one an array."""
    if isinstance(shape, dict):
        return documents(shape)
    if isinstance(shape, list):
        return st.lists(usual(shape[0]), max_size=3)
    return shape  # type: ignore[no-any-return]


def maps_of(shape: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Maps of such documents."""
    return st.dictionaries(names, st.one_of(documents(shape), st.none()), max_size=3)


def whole_documents(shape: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Documents with an `_id`, first as MongoDB stores it."""
    return st.builds(lambda key, body: {"_id": key, **body}, keys, documents(shape))


# --- plans ----------------------------------------------------------------------------------------------------------


def field(path: str, type_text: str, column: str = "") -> FieldMap:
    """A field in a column that is named after it."""
    return FieldMap(field=path, column=column or "c_" + path.replace(".", "_").strip("_"), type=type_text)


def collection(**parts: Any) -> CollectionMap:
    """A collection `things` in a table `things`."""
    return CollectionMap(collection="things", table="things", **parts)


FLAT_TYPES = {
    "s": ("text", texts),
    "v": ("varchar(3)", cstrings),
    "b": ("boolean", st.booleans()),
    "i2": ("smallint", int32s),
    "i4": ("integer", int32s),
    "i8": ("bigint", longs),
    "n": ("numeric", decimals),
    "n2": ("numeric(12,2)", decimals),
    "d": ("double precision", doubles),
    "t": ("timestamptz", instants),
    "day": ("date", instants),
    "u": ("uuid", binaries),
    "y": ("bytea", binaries),
    "o": ("objectid", object_ids),
    "j": ("jsonb", values),
    "k": ("any", keys),
}
FLAT = collection(
    fields=tuple(field(name, type_text) for name, (type_text, _) in FLAT_TYPES.items()),
    constants=(Constant(column="origin", type="text", value="mongo"),),
)
FLAT_SHAPE = {name: strategy for name, (_, strategy) in FLAT_TYPES.items()}

NESTED = collection(
    key=KeyMap(column="id", type="any"),
    order=("_id", "z", "items", "a"),
    fields=(field("a", "integer"), field("sub.x", "text"), field("sub.deep.y", "bigint"), field("sub.deep.j", "jsonb")),
    children=(
        Child(
            array="items",
            table="items",
            parent_key="thing",
            fields=(field("sku", "text"), field("price.amount", "numeric")),
            children=(
                Child(
                    array="tags", table="tags", parent_key="thing", position="tag", fields=(field(".", "text", "tag_"),)
                ),
                Child(map="by", table="bys", parent_key="thing", position="by", fields=(field("q", "integer"),)),
            ),
        ),
        Child(
            map="sub.places",
            table="places",
            parent_key="thing",
            position="place",
            fields=(field("n", "double precision"),),
            children=(
                Child(
                    array="log", table="logs", parent_key="thing", position="entry", fields=(field(".", "jsonb", "e"),)
                ),
            ),
        ),
    ),
)
_ITEM = {
    "sku": texts,
    "price": {"amount": decimals},
    "tags": st.lists(st.one_of(texts, st.none()), max_size=3),
    "by": maps_of({"q": int32s}),
}
NESTED_SHAPE = {
    "a": int32s,
    "sub": {
        "x": texts,
        "deep": {"y": longs, "j": values},
        "places": maps_of({"n": doubles, "log": st.lists(values, max_size=2)}),
    },
    "items": [_ITEM],
}


def _columns(*pairs: tuple[str, str]) -> tuple[ColumnSpec, ...]:
    return tuple(ColumnSpec(column=name, type=type_text) for name, type_text in pairs)


TRANSFORMED = collection(
    key=KeyMap(column="id", type="any"),
    fields=(field("email", "text"),),
    transforms=(
        TransformMap(
            fields=("who.name",),
            columns=_columns(("first", "text"), ("others", "varchar(20)")),
            forward="split_words",
            back="join_words",
        ),
        TransformMap(
            fields=("given", "family"), columns=_columns(("full", "text")), forward="join_words", back="split_words"
        ),
        TransformMap(fields=("paid",), columns=_columns(("paid", "numeric(12,2)")), forward="cents", back="to_cents"),
        TransformMap(
            fields=("at",), columns=_columns(("at", "timestamptz")), forward="epoch_millis", back="to_epoch_millis"
        ),
        TransformMap(fields=("day",), columns=_columns(("day", "date")), forward="iso_date", back="to_iso_date"),
        TransformMap(fields=("email",), columns=_columns(("email_lower", "text")), forward="lower"),
        TransformMap(fields=("nick",), columns=_columns(("nick_upper", "text")), forward="upper"),
    ),
    children=(
        Child(
            array="when",
            table="whens",
            parent_key="thing",
            transforms=(
                TransformMap(
                    fields=(".",),
                    columns=_columns(("at", "timestamptz")),
                    forward="epoch_seconds",
                    back="to_epoch_seconds",
                ),
            ),
        ),
    ),
)
_words = st.sampled_from(["Ada", "Ada Lovelace", "Ada King Lovelace", " Ada", "Ada ", "", " "])
_numbers = st.one_of(int32s, longs, int32s.map(float))
TRANSFORMED_SHAPE = {
    "who": {"name": _words},
    "given": _words,
    "family": _words,
    "paid": _numbers,
    "at": _numbers,
    "day": st.sampled_from(["2024-01-31", "2024-02-30", "0001-01-01", "2024-1-1"]),
    "email": st.sampled_from(["A@b.c", "ß@x"]),
    "nick": texts,
    "when": st.lists(st.one_of(_numbers, st.none()), max_size=3),
}

NO_REST = collection(
    rest=None,
    order=("_id", "a", "items", "b"),
    fields=(field("a", "integer"), field("b.x", "text")),
    children=(Child(array="items", table="items", parent_key="thing", fields=(field("q", "numeric"),)),),
)
NO_REST_SHAPE = {"a": int32s, "b": {"x": texts}, "items": [{"q": decimals}]}

KEY_TYPES = ["any", "objectid", "text", "integer", "bigint", "uuid", "numeric", "timestamptz", "bytea"]

PLANS: dict[str, tuple[CollectionMap, dict[str, Any]]] = {
    "flat": (FLAT, FLAT_SHAPE),
    "nested": (NESTED, NESTED_SHAPE),
    "transformed": (TRANSFORMED, TRANSFORMED_SHAPE),
    "no rest column": (NO_REST, NO_REST_SHAPE),
    "bare": (collection(), {}),
}

# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def through_postgres(tables: Sequence[Table], rows: Sequence[Sequence[Row]]) -> list[list[Row]]:
    """The rows as PostgreSQL gives them back: ordered by primary key, values in its own form."""
    return [_table(table, its_rows) for table, its_rows in zip(tables, rows, strict=True)]


def _table(table: Table, rows: Sequence[Row]) -> list[Row]:
    types = [column.type for column in table.columns]
    back = [tuple(_cell(t, cell) for t, cell in zip(types, row, strict=True)) for row in rows]
    keys = [row[: len(table.primary_key)] for row in back]
    assert len(set(keys)) == len(keys), "two rows with one primary key"
    return sorted(back, key=lambda row: [_sortable(part) for part in row[1 : len(table.primary_key)]])


def _sortable(part: Any) -> Any:
    return part.encode() if isinstance(part, str) else part


def _cell(type_text: str, cell: Any) -> Any:
    if cell is None:
        return None
    if isinstance(cell, Decimal):
        return _numeric(type_text, cell)
    if isinstance(cell, datetime):
        assert cell.tzinfo is not None
        return cell.astimezone(UTC)
    if isinstance(cell, str):
        assert "\0" not in cell, "PostgreSQL text cannot hold NUL"
    return jsonb(cell) if type_text == "jsonb" else cell


def _numeric(type_text: str, cell: Decimal) -> Decimal:
    if not cell.is_finite():
        return Decimal(str(cell).removeprefix("-") if cell.is_nan() else cell)
    exponent = cell.as_tuple().exponent
    assert isinstance(exponent, int)
    if type_text != "numeric":
        assert -exponent == int(type_text[:-1].split(",")[1]), "PostgreSQL would change the scale"
    number = Decimal(f"{cell:f}")
    return number if number else number.copy_abs()


def jsonb(text: str) -> str:
    """The JSON text as jsonb gives it back: names by length and bytes, numbers without exponents."""
    assert "\\u0000" not in text, "jsonb cannot hold NUL"
    return _jsonb_text(json.loads(text, parse_float=Decimal))


def _jsonb_text(value: Any) -> str:
    if isinstance(value, dict):
        in_order = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
        return "{" + ", ".join(f"{_jsonb_text(name)}: {_jsonb_text(value[name])}" for name in in_order) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_jsonb_text, value)) + "]"
    if isinstance(value, Decimal):
        return f"{value:f}" if value else f"{value.copy_abs():f}"
    return json.dumps(value, ensure_ascii=False)
