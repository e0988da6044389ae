"""Two readers apart from the mapping: a bug planted in the copier is found, and named by field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64

from midflight.core import cells, mapping_level, mapping_node, mapping_parts, mapping_transforms
from midflight.core.documents import read_document
from midflight.core.mapping import Mapper
from midflight.core.outcome import Mapped
from midflight.core.plan import Child, CollectionMap, ColumnSpec, TransformMap
from midflight.core.plan_file import load_plan
from midflight.core.transforms import find_transform
from midflight.parity.compare import compare
from midflight.parity.forms.places import Place
from midflight.parity.forms.source_form import SourceForm
from midflight.parity.forms.target_form import TargetForm
from midflight.parity.records import Entry
from midflight.parity.rules import Rules
from tests.property.strategies import collection, field, through_postgres
from tests.unit.parity.corpus import OID, WHEN, compared, rows_of, source, target

PLAN = collection(
    fields=(
        field("name", "text"),
        field("amount", "numeric"),
        field("points", "integer"),
        field("at", "timestamptz"),
        field("sub.x", "text"),
    ),
    transforms=(
        TransformMap(
            fields=("cents",),
            columns=(ColumnSpec(column="price", type="numeric(12,2)"),),
            forward="cents",
            back="to_cents",
        ),
        TransformMap(fields=("name",), columns=(ColumnSpec(column="upper", type="text"),), forward="upper"),
    ),
    children=(
        Child(
            array="lines",
            table="lines",
            parent_key="thing",
            fields=(field("sku", "text"),),
            transforms=(
                TransformMap(fields=("sku",), columns=(ColumnSpec(column="low", type="text"),), forward="lower"),
            ),
        ),
    ),
)
BODY = {
    "_id": OID,
    "name": "Grüße  ",
    "amount": Decimal128("1.25"),
    "points": 5.0,
    "at": WHEN,
    "sub": {"x": None, "own": 1},
    "cents": 1250,
    "lines": [{"sku": "A", "own": {"n": Int64(5)}}, {"sku": None}, {}],
    "legacy": {"a": {}, "b": [1]},
}


@pytest.fixture(autouse=True)
def _fresh_codecs() -> Iterator[None]:
    """Codecs are kept by type: a planted bug must neither be kept out nor stay."""
    cells.codec_of.cache_clear()
    yield
    cells.codec_of.cache_clear()


def differing(plan: CollectionMap, body: dict[str, Any]) -> set[str]:
    """The fields in which the document differs from what the copier, as it is now, makes of it."""
    mapper = Mapper(plan)
    outcome = mapper.map(read_document(bson.encode(body)))
    assert isinstance(outcome, Mapped)
    entry = Entry(b"", TargetForm(plan).fields(through_postgres(mapper.tables, outcome.rows)))
    return {one.field for one in compare(SourceForm(plan).entry(bson.encode(body)), entry, Rules()).differences}


def test_without_a_bug_nothing_differs() -> None:
    assert differing(PLAN, BODY) == set()


def plant_codec(patch: pytest.MonkeyPatch, name: str, bug: Callable[[Any], Any]) -> None:
    """Both ways: the copier's own proof (unmap) would not see it."""
    right = cells._CODECS[name]

    def wrong(parsed: Any) -> cells.Codec:
        codec = right(parsed)
        return replace(
            codec, fast=lambda value: None if codec.fast(value) is None else bug(codec.fast(value)), cell=_bugged(codec)
        )

    def _bugged(codec: cells.Codec) -> Callable[[Any], Any]:
        return lambda value: bug(codec.cell(value))

    patch.setitem(cells._CODECS, name, wrong)


CODECS: dict[str, tuple[str, Callable[[Any], Any], set[str]]] = {
    "text is trimmed": ("text", lambda cell: cell.rstrip(" "), {"name"}),
    "text is put in another form": ("text", lambda cell: cell.replace("ü", "u\N{COMBINING DIAERESIS}"), {"name"}),
    "text goes through another encoding": (
        "text",
        lambda cell: cell.encode().decode("latin-1"),
        {"name"},
    ),
    "numbers are rounded": ("numeric", lambda cell: round(cell, 1).quantize(cell), {"amount"}),
    "numbers are one too large": ("integer", lambda cell: cell + 1, {"points"}),
    "times are cut to seconds": ("timestamptz", lambda cell: cell.replace(microsecond=0), {"at"}),
    "times are shifted": ("timestamptz", lambda cell: cell + timedelta(hours=1), {"at"}),
}


@pytest.mark.parametrize("bug", CODECS)
def test_a_bug_in_a_codec_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, change, fields = CODECS[bug]
    plant_codec(monkeypatch, kind, change)
    assert differing(PLAN, BODY) - {"=upper"} == fields


def test_null_taken_for_missing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping_parts.Draft, "keep_exact", lambda *_: None)
    assert differing(PLAN, BODY) == {"sub.x", "lines.*.sku", "lines.*"}


def test_unmapped_fields_that_are_forgotten_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping_parts.Draft, "residue", lambda *_: None)
    fields = {"legacy.a", "legacy.b.*", "sub.own", "sub.x", "lines.*.own.n", "lines.*.sku", "lines.*"}
    assert differing(PLAN, BODY) == fields


def test_unmapped_fields_under_a_wrong_name_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping_node, "escape", lambda name: f"{name}_")
    assert {"legacy.a", "legacy_.a", "sub.own"} <= differing(PLAN, BODY)


def test_residues_of_elements_at_a_wrong_position_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping_level, "escape", lambda position: str(int(position) + 1))
    assert {"lines.*.own.n", "lines.*.sku"} <= differing(PLAN, BODY)


def test_a_type_packed_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping_node, "pack", lambda value: str(value))
    assert differing(PLAN, BODY) == {"legacy", "legacy.a", "legacy.b.*", "sub.own", "lines.*.own", "lines.*.own.n"}


def test_an_element_too_few_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = mapping_level.Elements._take_elements
    monkeypatch.setattr(
        mapping_level.Elements, "_take_elements", lambda self, elements, draft: right(self, list(elements)[:-1], draft)
    )
    assert differing(PLAN, BODY) == {"lines.*"}


def test_a_transform_that_computes_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = find_transform

    def wrong(name: str) -> Callable[..., Any]:
        return (lambda text: str(text).title()) if name == "upper" else right(name)

    monkeypatch.setattr(mapping_transforms, "find_transform", wrong)
    assert differing(PLAN, BODY) == {"=upper"}


# --- computed columns -----------------------------------------------------------------------------------------------


def test_computed_columns_are_computed_again_from_the_source() -> None:
    fields = source(PLAN, BODY).fields
    assert fields["=upper"] == "GRÜSSE  "
    assert fields["lines.0.=low"] == "a"
    assert "lines.1.=low" not in fields
    assert compared(PLAN, BODY, rows_of(PLAN, BODY)).differences == ()


def test_a_computing_transform_that_fails_leaves_its_column_unreadable() -> None:
    body = {**BODY, "name": 5}
    assert source(PLAN, body).fields["=upper"][0] == "unreadable"
    differences = compared(PLAN, body, rows_of(PLAN, BODY)).differences
    assert {one.path for one in differences} == {"name", "=upper"}


def test_a_fields_own_name_is_never_a_computed_columns() -> None:
    body = {"_id": OID, "=upper": "x"}
    assert source(PLAN, body).fields == {"_id": ("objectId", str(OID)), "\\=upper": "x"}


# --- transforms that give back --------------------------------------------------------------------------------------


def fails(*_: Any) -> Any:
    """A way back that nobody has finished."""
    raise RuntimeError


def as_is(value: Any) -> Any:
    """What the column holds is what the field was."""
    return value


def transformed(back: str) -> CollectionMap:
    """One field, one text column."""
    column = ColumnSpec(column="c", type="text")
    return collection(transforms=(TransformMap(fields=("f",), columns=(column,), forward="upper", back=back),))


def test_where_the_way_back_fails_the_kept_value_counts_as_long_as_it_leads_to_the_column() -> None:
    plan = transformed(f"{__name__}:fails")
    for body in ({"_id": OID, "f": "abc"}, {"_id": OID}, {"_id": OID, "f": None}):
        rows = rows_of(plan, body)
        assert compared(plan, body, rows).differences == ()
        rows[0][0] = (rows[0][0][0], "OTHER", rows[0][0][-1])
        assert {one.path for one in compared(plan, body, rows).differences} == {"f"}


def test_the_kept_value_of_a_transform_is_history_once_its_column_has_changed() -> None:
    plan = transformed(f"{__name__}:as_is")
    rows = rows_of(plan, {"_id": OID, "f": "abc"})
    assert compared(plan, {"_id": OID, "f": "abc"}, rows).differences == ()
    rows[0][0] = (rows[0][0][0], "XYZ", rows[0][0][-1])
    assert target(plan, rows).fields["f"] == "XYZ"


def set_of(value: Any) -> Any:
    """Nothing that a document or column holds."""
    return {value}


def test_a_transform_that_gives_what_no_document_holds_stops_nothing() -> None:
    column = ColumnSpec(column="c", type="text")
    forward = TransformMap(fields=("f",), columns=(column,), forward=f"{__name__}:set_of")
    fields = source(collection(transforms=(forward,)), {"_id": OID, "f": "x"}).fields
    assert fields["=c"] == ("unreadable", "no document holds a set")
    rows = rows_of(transformed(f"{__name__}:as_is"), {"_id": OID, "f": "x"})
    assert target(transformed(f"{__name__}:set_of"), rows).fields["f"] == "x"


def reference(value: Any) -> Any:
    """A document that drivers make something of their own of."""
    return None if value is None else {"$ref": value, "at": WHEN.replace(tzinfo=None, microsecond=123_456)}


def test_a_way_back_gives_what_a_document_can_hold() -> None:
    plan = transformed(f"{__name__}:reference")
    fields = target(plan, [[('{"$oid":"' + str(OID) + '"}', "X", None)]]).fields
    assert fields["f.$ref"] == "X"
    assert fields["f.at"] == WHEN


# --- the loyalty plans ----------------------------------------------------------------------------------------------

PLANS = Path(__file__).parents[3] / "plans"


@pytest.mark.parametrize("path", sorted(PLANS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_plan_of_ours_can_be_read_by_both_forms(path: Path) -> None:
    for collection_map in load_plan(path.read_text()).collections:
        SourceForm(collection_map)
        TargetForm(collection_map)


def test_a_root_place_has_no_path() -> None:
    assert Place().path == ""
    assert Place()[""][""].path == "."
