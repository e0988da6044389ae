"""Images: what rows say of a document's bytes is right or nothing, and never leaves out what rows say."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midflight.core.documents import read_document
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Mapped, Row
from midflight.core.plan import CollectionMap, KeyMap
from midflight.parity.compare import compare
from midflight.parity.forms.image_form import ImageForm, has_images
from midflight.parity.forms.source_form import SourceForm
from midflight.parity.forms.target_form import TargetForm
from midflight.parity.records import Entry
from midflight.parity.rules import Rules
from tests.property.strategies import KEY_TYPES, PLANS, keys, through_postgres, whole_documents

THOROUGH = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
WITH_IMAGES = {name: pair for name, pair in PLANS.items() if has_images(pair[0])}


def rows_of(plan: CollectionMap, raw: bytes) -> list[list[Row]] | None:
    mapper = mapper_for(plan)
    outcome = mapper.map(read_document(raw))
    return through_postgres(mapper.tables, outcome.rows) if isinstance(outcome, Mapped) else None


def image_of(plan: CollectionMap, rows: list[list[Row]]) -> bytes | None:
    return ImageForm(plan).images(rows).get(rows[0][0][0])


def test_every_plan_but_those_with_functions_has_images() -> None:
    assert PLANS.keys() - WITH_IMAGES.keys() == {"transformed"}


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_the_image_of_rows_that_the_copier_made_is_the_document_or_nothing(name: str) -> None:
    plan, shape = PLANS[name]

    @THOROUGH
    @given(body=whole_documents(shape))
    def check(body: dict[str, Any]) -> None:
        raw = bson.encode(body)
        rows = rows_of(plan, raw)
        if rows is not None:
            assert image_of(plan, rows) in (raw, None)

    check()


@pytest.mark.parametrize("key_type", KEY_TYPES)
@THOROUGH
@given(key=keys)
def test_keys_of_every_type_have_the_right_image_or_none(key_type: str, key: Any) -> None:
    plan = CollectionMap(collection="c", table="t", key=KeyMap(column="id", type=key_type), rest="rest")
    raw = bson.encode({"_id": key})
    rows = rows_of(plan, raw)
    if rows is not None:
        assert image_of(plan, rows) in (raw, None)


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_where_the_image_is_the_document_the_fields_are_the_same(name: str) -> None:
    """Rows are tampered with: cells of two documents are mixed, rows are lost and moved."""
    plan, shape = PLANS[name]

    @THOROUGH
    @given(body=whole_documents(shape), other=whole_documents(shape), chance=st.randoms(use_true_random=False))
    def check(body: dict[str, Any], other: dict[str, Any], chance: Any) -> None:
        raws = bson.encode(body), bson.encode(other)
        rows, foreign = (rows_of(plan, raw) for raw in raws)
        if rows is None or foreign is None:
            return
        mixed = [_mixed(own, others, chance) for own, others in zip(rows, foreign, strict=True)]
        image = image_of(plan, mixed)
        for raw in raws:
            if image == raw:
                source = SourceForm(plan).entry(raw)
                assert compare(source, Entry(source.key, TargetForm(plan).fields(mixed)), Rules()).differences == ()

    check()


def _mixed(rows: list[Row], others: list[Row], chance: Any) -> list[Row]:
    mixed = [_of_either(row, chance.choice(others), chance) if others else row for row in rows]
    if len(mixed) > 1 and chance.random() < 0.3:
        mixed.pop(chance.randrange(len(mixed)))
    return mixed


def _of_either(row: Row, other: Row, chance: Any) -> Row:
    return tuple(
        two if chance.random() < 0.2 and number else one
        for number, (one, two) in enumerate(zip(row, other, strict=True))
    )
