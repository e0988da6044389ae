"""What maps comes back to the byte, whatever PostgreSQL does to the form of the rows."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from midflight.core import ejson
from midflight.core.documents import Document, digest, read_document
from midflight.core.keys import key_bytes, key_value
from midflight.core.mapping import Mapper, mapper_for
from midflight.core.outcome import Mapped, Refused
from midflight.core.plan import CollectionMap, KeyMap
from tests.property.strategies import (
    KEY_TYPES,
    NESTED,
    NO_REST,
    PLANS,
    collection,
    documents,
    int32s,
    jsonb,
    keys,
    longs,
    texts,
    through_postgres,
    values,
    whole_documents,
)

THOROUGH = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


def comes_back(mapper: Mapper, body: dict[str, Any]) -> Mapped | Refused:
    """Map, pass through PostgreSQL, unmap; assert that nothing changed."""
    raw = bson.encode(body)
    document = read_document(raw)
    outcome = mapper.map(document)
    assert outcome.key == document.key
    assert outcome.checksum == document.checksum
    if isinstance(outcome, Mapped):
        assert isinstance(document, Document)
        _has_the_tables_shape(mapper, outcome)
        stored = through_postgres(mapper.tables, outcome.rows)
        rebuilt = mapper.unmap(stored)
        assert bson.encode(rebuilt) == raw
        assert digest(rebuilt) == document.checksum
        assert ejson.dumps(mapper.id_of(stored[0][0])) == ejson.dumps(document.body["_id"])
        assert mapper.row_key(document.key) == outcome.rows[0][0][0]
    else:
        assert outcome.reason
        assert outcome.value_type
    return outcome


def _has_the_tables_shape(mapper: Mapper, outcome: Mapped) -> None:
    assert len(outcome.rows) == len(mapper.tables)
    assert len(outcome.rows[0]) == 1
    for table, rows in zip(mapper.tables, outcome.rows, strict=True):
        for row in rows:
            assert len(row) == len(table.columns)
            assert row[0] == outcome.rows[0][0][0]


@pytest.mark.parametrize("name", PLANS)
def test_every_document_that_maps_comes_back_to_the_byte(name: str) -> None:
    plan, shape = PLANS[name]

    @THOROUGH
    @given(body=whole_documents(shape))
    def check(body: dict[str, Any]) -> None:
        comes_back(mapper_for(plan), body)

    check()


@THOROUGH
@given(body=documents({"a": values, "b": values}), key=keys)
def test_with_nothing_mapped_only_the_key_can_refuse_a_document(body: dict[str, Any], key: Any) -> None:
    outcome = comes_back(mapper_for(collection()), {"_id": key, **body})
    assert isinstance(outcome, Mapped)


GOOD_ITEM: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"sku": texts.filter(lambda text: "\0" not in text)}, optional={"by": st.just({})}
)
GOOD = st.fixed_dictionaries(
    {"_id": keys},
    optional={
        "a": st.one_of(int32s, longs.filter(lambda n: abs(n) < 2**31)),
        "items": st.lists(GOOD_ITEM),
        "q": values,
    },
)


@THOROUGH
@given(body=GOOD)
def test_a_document_whose_values_fit_is_never_refused(body: dict[str, Any]) -> None:
    assert isinstance(comes_back(mapper_for(NESTED), body), Mapped)


@pytest.mark.parametrize("key_type", KEY_TYPES)
@THOROUGH
@given(key=keys)
def test_keys_of_every_type_come_back_or_are_refused_by_their_column(key_type: str, key: Any) -> None:
    mapper = mapper_for(CollectionMap(collection="c", table="t", key=KeyMap(column="id", type=key_type)))
    outcome = comes_back(mapper, {"_id": key})
    if isinstance(outcome, Refused):
        assert key_type != "any"
        assert (outcome.field, outcome.column, outcome.row_key) == ("_id", "id", None)
        assert mapper.absent(outcome.key).row_key is None


@THOROUGH
@given(key=keys)
def test_the_bytes_of_a_key_decode_to_a_value_with_the_same_bytes(key: Any) -> None:
    once = key_bytes(key)
    assert key_bytes(key_value(once)) == once


@THOROUGH
@given(value=values)
@example(value={"$order": ["x"], "a": 1})
@example(value={"$date": {"$oid": "x"}})
def test_json_of_a_value_survives_jsonb(value: Any) -> None:
    text = jsonb(ejson.dumps(value))
    assert bson.encode({"": ejson.loads(text)}) == bson.encode({"": value})


@THOROUGH
@given(body=whole_documents(PLANS["no rest column"][1]))
def test_without_a_rest_column_a_document_maps_only_if_nothing_is_left_over(body: dict[str, Any]) -> None:
    outcome = comes_back(mapper_for(NO_REST), body)
    if any(name not in {"_id", "a", "b", "items"} for name in body):
        assert isinstance(outcome, Refused)
