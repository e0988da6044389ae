"""Documents through the real mapping and the door, and rebuilt from the rows that arrived."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.binary import Binary

from midflight.core.documents import digest, read_documents
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Mapped, Outcome
from tests.integration.door_kit import Shop, open_shop, shop

MIXED = {
    "collection": "mixed",
    "table": "mixed",
    "key": {"column": "id", "type": "any"},
    "fields": [
        {"field": "name", "column": "name", "type": "text"},
        {"field": "amount", "column": "amount", "type": "numeric"},
        {"field": "born", "column": "born", "type": "timestamptz"},
        {"field": "address.city", "column": "city", "type": "text"},
    ],
    "children": [
        {
            "array": "lines",
            "table": "mixed_lines",
            "parent_key": "mixed_id",
            "fields": [{"field": "sku", "column": "sku", "type": "text"}],
        },
        {
            "map": "cards",
            "table": "mixed_cards",
            "parent_key": "mixed_id",
            "position": "name",
            "fields": [{"field": "limit", "column": "card_limit", "type": "bigint"}],
        },
    ],
}
FULL: dict[str, Any] = {
    "name": "é",
    "amount": Decimal128("12.50"),
    "born": datetime(1999, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    "address": {"city": "Oslo", "zip": "0150"},
    "lines": [{"sku": "a"}, {"sku": "b", "more": 1.5}],
    "cards": {"x": {"limit": Int64(5)}, "é": {"limit": Int64(6)}},
    "left over": [None, True, Binary(b"\0\1", 5), {"deep": ObjectId("0" * 24)}],
}
KEYS = [ObjectId("a" * 24), "text", 7, 2.5, {"a": 1, "b": "x"}, Binary(b"\1\2", 4), datetime(2020, 1, 1, tzinfo=UTC)]


async def rebuilt(here: Shop, documents: list[dict[str, Any]]) -> list[bytes]:
    """Digests of the documents rebuilt from the target's rows, in the order given."""
    collection = here.plan.collection("mixed")
    mapper = mapper_for(collection)
    read = read_documents(b"".join(bson.encode(document) for document in documents))
    outcomes: list[Outcome] = [mapper.map(document) for document in read]
    assert all(isinstance(outcome, Mapped) for outcome in outcomes)
    await here.apply({"mixed": outcomes})
    row_keys = [mapper.row_key(document.key) for document in read]
    found = await here.target.rows.rows_of("public", collection, row_keys)
    return [digest(mapper.unmap(found[key])) for key in row_keys]


@pytest.mark.parametrize("parts", [FULL, {}, {"name": None, "lines": [], "cards": {}}], ids=["full", "bare", "empty"])
async def test_documents_with_keys_of_many_types_are_rebuilt_equal(
    postgres_database: str, parts: dict[str, Any]
) -> None:
    documents = [{"_id": key, **parts} for key in KEYS]
    read = read_documents(b"".join(bson.encode(document) for document in documents))
    async with open_shop(postgres_database, shop(MIXED)) as here:
        assert await rebuilt(here, documents) == [document.checksum for document in read]
