"""Reads both stores with plain drivers: what the source holds now, what the target holds now, what is in quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bson
import psycopg
from bson import Decimal128
from psycopg import sql
from pymongo import MongoClient

from demo.check.expected import Row, Rows, columns_of
from demo.journal import CODEC, Document, packed

_QUARANTINE = (
    "select q.key, q.waived_by is not null from midflight.quarantine as q"
    " join midflight.collections as c on c.id = q.collection_id where c.domain = %s"
)


@dataclass(frozen=True, slots=True)
class TargetState:
    """The target's rows by key of their document, how many there are, and the quarantine by identity: waived or not."""

    documents: dict[Any, Rows]
    orphans: int
    rows: int
    quarantine: dict[Any, bool]


def source_documents(uri: str, database: str, collection: str) -> dict[bytes, bytes]:
    """By packed key: the document as BSON bytes."""
    with MongoClient[Document](uri) as client:
        found = client[database].get_collection(collection, codec_options=CODEC).find()
        return {packed({"_id": document["_id"]}): packed(document) for document in found}


def target_state(dsn: str, schema: str, domain: str) -> TargetState:
    """Everything the target holds of a domain, as of one moment."""
    with psycopg.connect(dsn) as connection:
        connection.execute("set transaction isolation level repeatable read")
        tables = {name: _read(connection, schema, name, columns) for name, columns in columns_of(domain).items()}
        quarantine: dict[bytes, bool] = dict(connection.execute(_QUARANTINE, (domain,)).fetchall())
    documents: dict[Any, Rows] = {row[0]: {**{name: [] for name in tables}, domain: [row]} for row in tables[domain]}
    orphans = 0
    for name, rows in tables.items():
        for row in rows if name != domain else ():
            if row[0] in documents:
                documents[row[0]][name].append(row)
            else:
                orphans += 1
    count = sum(len(rows) for rows in tables.values())
    return TargetState(documents, orphans, count, {identity(_id_of(key)): waived for key, waived in quarantine.items()})


def _read(connection: psycopg.Connection, schema: str, table: str, columns: list[str]) -> list[Row]:
    query = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(schema, table)
    )
    return connection.execute(query).fetchall()


def identity(key: Any) -> Any:
    """An `_id` as something that finds its equal in a dict."""
    return ("decimal", str(key)) if isinstance(key, Decimal128) else key


def _id_of(key: bytes) -> Any:
    """The ledger keeps an `_id` as a BSON element without a name."""
    return bson.decode((len(key) + 5).to_bytes(4, "little") + key + b"\x00", CODEC)[""]
