"""Documents of every BSON type through a real PostgreSQL: parity finds all equal, and every damage to a column."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from midflight.core.documents import Document
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Mapped
from midflight.core.plan import CollectionMap
from midflight.core.values import encode
from midflight.parity.compare import compare
from midflight.parity.forms.normal import NULL
from midflight.parity.forms.source_form import SourceForm
from midflight.parity.records import Entry
from midflight.parity.rules import Rules
from midflight.parity.target_side import TargetSide
from tests.fixtures.applier import as_applier
from tests.integration.door_kit import Shop, open_shop, shop
from tests.integration.test_mapping_postgres import drawn
from tests.property.strategies import PLANS


async def copied(here: Shop, collection: CollectionMap, documents: list[Document]) -> dict[bytes, Entry]:
    """What fits goes through the door; the source's entries of it."""
    outcomes = {document.key: mapper_for(collection).map(document) for document in documents}
    mapped = [outcome for outcome in outcomes.values() if isinstance(outcome, Mapped)]
    for start in range(0, len(mapped), 100):
        await here.apply({collection.collection: [*mapped[start : start + 100]]}, path="backfill")
    form = SourceForm(collection)
    kept = {outcome.key for outcome in mapped}
    return {document.key: form.entry(encode(document.body)) for document in documents if document.key in kept}


async def looked_at(here: Shop, collection: CollectionMap, keys: list[bytes]) -> Mapping[bytes, Entry]:
    return await TargetSide(here.target, here.plan).fetch(collection.collection, keys, deep=True)


@pytest.mark.parametrize("name", PLANS)
async def test_what_went_through_the_door_is_equal_whatever_it_is(name: str, postgres_database: str) -> None:
    collection, shape = PLANS[name]
    async with open_shop(postgres_database, shop(collection.model_dump())) as here:
        source = await copied(here, collection, drawn(shape))
        target = await looked_at(here, collection, list(source))
        rules = Rules.of(here.plan, collection.collection)
        assert len(source) > 10
        assert {entry.faithful for entry in target.values()} == {True}
        assert {entry.unreadable for entry in (*source.values(), *target.values())} == {""}
        unequal = {key: compare(source[key], target[key], rules).differences for key in source}
        assert {key: fields for key, fields in unequal.items() if fields} == {}


@pytest.mark.parametrize("name", PLANS)
async def test_every_column_that_somebody_emptied_is_found_whatever_it_held(name: str, postgres_database: str) -> None:
    collection, shape = PLANS[name]
    columns = [(field.field, field.column) for field in collection.fields if not field.required]
    async with open_shop(postgres_database, shop(collection.model_dump())) as here:
        source = await copied(here, collection, drawn(shape))
        rules = Rules.of(here.plan, collection.collection)
        for _, column in columns:
            with as_applier(here.dsn, here.plan.domain) as connection:
                connection.execute(f"update {collection.table} set {column} = null".encode())
        target = await looked_at(here, collection, list(source))
        for key, entry in source.items():
            found = {one.path for one in compare(entry, target[key], rules).differences}
            had = {path for path, _ in columns if any(p == path or p.startswith(f"{path}.") for p in entry.fields)}
            held = {path for path in had if entry.fields.get(path) != NULL}
            assert {path for path in held if not any(p == path or p.startswith(f"{path}.") for p in found)} == set()
