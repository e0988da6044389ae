"""Opens the source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from midflight.mongo.archive import MongoArchive
from midflight.mongo.change_feed import MongoFeed
from midflight.mongo.driver_errors import driver_errors
from midflight.mongo.fence import MongoFence
from midflight.mongo.reader import MongoReader
from midflight.mongo.reverse import MongoReverse
from midflight.mongo.wire import CODEC
from midflight.ports import Source

DEFAULTS: dict[str, Any] = {
    "appName": "midflight",
    "retryReads": True,
    "retryWrites": True,
    "serverSelectionTimeoutMS": 5_000,
    "socketTimeoutMS": 120_000,
}
"""The address may set each of these otherwise. The socket may stay silent while a server sorts a sample of all keys."""

MAJORITY_WRITES = WriteConcern("majority", wtimeout=30_000)


@asynccontextmanager
async def open_source(uri: str, database: str) -> AsyncIterator[Source]:
    """One client for the block; the server is not asked before the first call. SourceRefused: unusable address."""
    with driver_errors("opening the source"):
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, **_unless_in(uri))
    try:
        yield source_in(client, database)
    finally:
        # A second cancellation, while the first is being obeyed, must not cut the closing short.
        await asyncio.shield(client.close())


def source_in(client: AsyncMongoClient[dict[str, Any]], database: str) -> Source:
    """The ports of one database, over a client that may serve many."""
    majority: AsyncDatabase[dict[str, Any]] = client.get_database(
        database,
        codec_options=CODEC,
        read_preference=ReadPreference.PRIMARY,
        read_concern=ReadConcern("majority"),
        write_concern=MAJORITY_WRITES,
    )
    return Source(
        reader=MongoReader(majority),
        feed=MongoFeed(majority),
        fence=MongoFence(majority),
        reverse=MongoReverse(majority),
        archive=MongoArchive(majority),
    )


def _unless_in(uri: str) -> dict[str, Any]:
    options = uri.partition("?")[2].lower()
    return {name: value for name, value in DEFAULTS.items() if f"{name.lower()}=" not in options}
