"""Fills the source with the seeded documents, and counts what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from pymongo import MongoClient, WriteConcern

from demo.domains.shape import Shape
from demo.journal import CODEC, Document

AT_ONCE = 2_000


def seed(uri: str, database: str, shapes: Iterable[Shape]) -> dict[str, int]:
    """Empty the database and fill it; how many documents each collection got."""
    with MongoClient[Document](uri) as client:
        client.drop_database(database)
        return {shape.name: _fill(client, database, shape) for shape in shapes}


def _fill(client: MongoClient[Any], database: str, shape: Shape) -> int:
    collection = client[database].get_collection(
        shape.name, codec_options=CODEC, write_concern=WriteConcern("majority")
    )
    documents = map(shape.document, range(shape.size))
    return sum(len(collection.insert_many(batch, ordered=False).inserted_ids) for batch in _batches(documents))


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    while batch := list(islice(documents, AT_ONCE)):
        yield batch
