"""Whatever maps reads the same from both stores, by two readers that share nothing with the mapping."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from hypothesis import HealthCheck, given, settings

from midflight.core.documents import Document, read_document
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Mapped
from midflight.core.plan import CollectionMap, KeyMap
from midflight.parity.compare import Compared, compare
from midflight.parity.forms.canon import digest
from midflight.parity.forms.source_form import SourceForm
from midflight.parity.forms.target_form import TargetForm
from midflight.parity.records import Entry
from midflight.parity.rules import Rules
from tests.property.strategies import KEY_TYPES, PLANS, keys, through_postgres, whole_documents

THOROUGH = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


def reads_the_same(collection: CollectionMap, body: dict[str, Any]) -> None:
    raw = bson.encode(body)
    document = read_document(raw)
    mapper = mapper_for(collection)
    outcome = mapper.map(document)
    if not isinstance(outcome, Mapped):
        return
    assert isinstance(document, Document)
    source = SourceForm(collection).entry(raw)
    fields = TargetForm(collection).fields(through_postgres(mapper.tables, outcome.rows))
    assert source.unreadable == ""
    assert (source.key, source.version) == (document.key, document.checksum)
    assert fields == source.fields
    assert digest(fields) == digest(source.fields)
    assert compare(source, Entry(source.key, fields), Rules()) == Compared()


@pytest.mark.parametrize("name", PLANS)
def test_every_document_that_maps_reads_the_same_from_both_stores(name: str) -> None:
    plan, shape = PLANS[name]

    @THOROUGH
    @given(body=whole_documents(shape))
    def check(body: dict[str, Any]) -> None:
        reads_the_same(plan, body)

    check()


@pytest.mark.parametrize("key_type", KEY_TYPES)
@THOROUGH
@given(key=keys)
def test_keys_of_every_type_read_the_same_from_both_stores(key_type: str, key: Any) -> None:
    reads_the_same(CollectionMap(collection="c", table="t", key=KeyMap(column="id", type=key_type)), {"_id": key})
