"""Documents of every BSON type through a real PostgreSQL: what the property tests assume of it is true."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from midflight.core.documents import Document, read_document
from midflight.core.mapping import Mapper, mapper_for
from midflight.core.outcome import Mapped
from midflight.core.plan import CollectionMap
from midflight.core.values import encode
from tests.integration.door_kit import open_shop, shop
from tests.property.strategies import PLANS, through_postgres, whole_documents

MANY = 300


def drawn(shape: dict[str, Any]) -> list[Document]:
    """Always the same documents, one a key."""
    found: dict[bytes, Document] = {}

    @settings(
        max_examples=MANY,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(body=whole_documents(shape))
    def collect(body: dict[str, Any]) -> None:
        document = read_document(bson.encode(body))
        if isinstance(document, Document):
            found[document.key] = document

    collect()
    return list(found.values())


def mapped(mapper: Mapper, documents: list[Document]) -> dict[bytes, Mapped]:
    outcomes = {document.key: mapper.map(document) for document in documents}
    return {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, Mapped)}


@pytest.mark.parametrize("name", PLANS)
async def test_every_document_that_maps_is_rebuilt_from_real_rows(name: str, postgres_database: str) -> None:
    collection, shape = PLANS[name]
    mapper, documents = mapper_for(collection), drawn(shape)
    outcomes = mapped(mapper, documents)
    rows = await _through_the_door(collection, postgres_database, list(outcomes.values()))
    sources = {document.key: encode(document.body) for document in documents}
    assert len(outcomes) > 10
    for key, outcome in outcomes.items():
        back = rows[mapper.row_key(key)]
        assert encode(mapper.unmap(back)) == sources[key]
        assert repr(_shown(back)) == repr(_shown(through_postgres(mapper.tables, outcome.rows)))


async def _through_the_door(collection: CollectionMap, database: str, outcomes: list[Mapped]) -> dict[Any, Any]:
    plan = shop(collection.model_dump(mode="json"))
    async with open_shop(database, plan) as here:
        applied = await here.apply({collection.collection: list(outcomes)})
        assert (applied.written, applied.quarantined) == (len(outcomes), 0)
        row_keys = [outcome.rows[0][0][0] for outcome in outcomes]
        return await here.target.rows.rows_of("public", plan.collections[0], row_keys)


def _shown(tables: Any) -> Any:
    """Rows in a form whose text shows every difference but the name of the time zone."""
    return [[tuple(_cell(cell) for cell in row) for row in rows] for rows in tables]


def _cell(cell: Any) -> Any:
    return cell.timestamp() if hasattr(cell, "timestamp") else cell
