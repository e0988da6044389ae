"""Reads documents: by range, by keys; majority read concern, from the primary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from midflight.core.documents import key_of, split
from midflight.core.plan import CollectionMap
from midflight.errors import PlanError
from midflight.mongo import census, inspect, ranges
from midflight.mongo.draw import Draw
from midflight.mongo.driver_errors import driver_errors, not_a_replica_set
from midflight.mongo.wire import KEYS_A_QUERY, key_filters, raw, time_bytes, time_value
from midflight.records import FieldCount, Finding, KeyRange

QUERIES_AT_ONCE = 4
KEYS_A_BLOCK = 10_000
_WRITING_STAGES = {"$out", "$merge"}


class MongoReader:
    """The port `SourceReader`."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database

    async def inspect(self, collections: Sequence[str]) -> list[Finding]:
        """All findings, good and bad; ends early where nothing more can be asked."""
        return await inspect.inspect(self._database, collections)

    async def feed_window_seconds(self) -> float:
        """How far back the feed reaches at the present rate of writing; infinity where the server does not tell."""
        with driver_errors("measuring the oplog"):
            return await inspect.feed_window_seconds(self._database)

    async def count(self, collection: str) -> int:
        """From metadata; 0 for a collection that does not exist."""
        with driver_errors(f"counting `{collection}`", privilege=f"find on {collection}"):
            return await self._database[collection].estimated_document_count()

    async def size(self, collection: str) -> int:
        """Uncompressed bytes, from metadata."""
        with driver_errors(f"measuring `{collection}`", privilege=f"collStats on {collection}"):
            stats = await self._database.command("collStats", collection)
        return int(stats.get("size", 0))

    async def partitions(self, collection: str, parts: int) -> list[KeyRange]:
        """From a random sample of keys: ranges hold about equally many documents; fewer ranges where these are few."""
        with driver_errors(f"sampling the keys of `{collection}`", privilege=f"find on {collection}"):
            return await ranges.partitions(self._database[collection], parts)

    async def read_range(
        self, collection: str, keys: KeyRange, *, above: bytes | None, batch_size: int
    ) -> AsyncIterator[bytes]:
        """One cursor, in `_id` order. Where the server loses it: SourceUnavailable; go on `above` with a new draw."""
        with driver_errors(f"reading `{collection}`", privilege=f"find on {collection}"):
            async with aclosing(ranges.read(self._database[collection], keys, above, batch_size)) as blocks:
                async for block in blocks:
                    yield block

    async def read_keys(self, collection: str, keys: Sequence[bytes], *, after: bytes | None = None) -> bytes:
        """A few queries at a time, each causally after `after`."""
        limit = asyncio.Semaphore(QUERIES_AT_ONCE)

        async def read(query: dict[str, Any]) -> bytes:
            async with limit, self._causally(after) as session:
                found = self._database[collection].find_raw_batches(query, session=session, batch_size=KEYS_A_QUERY)
                return b"".join([block async for block in raw(found)])

        with driver_errors(f"reading keys of `{collection}`", privilege=f"find on {collection}"):
            return b"".join(await asyncio.gather(*map(read, key_filters(keys))))

    async def walk_keys(
        self, collection: str, *, above: bytes | None = None, batch_size: int = KEYS_A_BLOCK
    ) -> AsyncIterator[list[bytes]]:
        """One cursor over the keys alone, in `_id` order."""
        every = KeyRange()
        with driver_errors(f"walking the keys of `{collection}`", privilege=f"find on {collection}"):
            documents = ranges.read(self._database[collection], every, above, batch_size, keys_only=True)
            async with aclosing(documents) as blocks:
                async for block in blocks:
                    yield [key_of(document) for document in split(block)]

    async def sample_keys(self, collection: str, size: int, seed: int) -> list[bytes]:
        """Those keys whose hash is the smallest. The server's own `$sample` takes no seed."""
        drawn = Draw(size, seed)
        async for keys in self.walk_keys(collection):
            await asyncio.to_thread(drawn.add, keys)
        return drawn.keys()

    async def points(self, collection: str, pipeline: Sequence[dict[str, Any]]) -> list[tuple[Any, Any]]:
        """`_id` and `value` of every document that the aggregation gives. PlanError for one that would write."""
        if any(stage.keys() & _WRITING_STAGES for stage in pipeline):
            raise PlanError(f"An aggregation of `{collection}` would write.", next_step="Take out $out and $merge.")
        with driver_errors(f"asking `{collection}` for an invariant", privilege=f"find on {collection}"):
            found = await self._database[collection].aggregate(list(pipeline), allowDiskUse=True)
            return [(document.get("_id"), document.get("value")) async for document in found]

    async def census(self, collection: CollectionMap, without: Sequence[bytes] = ()) -> dict[str, FieldCount]:
        """By path, without these keys; two aggregations a level of nesting."""
        name = collection.collection
        with driver_errors(f"counting the fields of `{name}`", privilege=f"find on {name}"):
            return await census.census(self._database[name], collection, without)

    async def now(self) -> bytes:
        """The primary's last operation: a majority read after it waits until the majority has it."""
        with driver_errors("asking the source for its time"):
            async with self._database.client.start_session(causal_consistency=True) as session:
                await self._database.command("ping", session=session)
                if session.operation_time is None:  # every reply of a replica set carries its time
                    raise not_a_replica_set("to read after a write")
                return time_bytes(session.operation_time)

    async def present(self, collection: str, keys: Sequence[bytes]) -> set[bytes]:
        """Those of the keys that exist now."""
        with driver_errors(f"looking for keys of `{collection}`", privilege=f"find on {collection}"):
            return await _found(self._database[collection], keys)

    def _causally(self, after: bytes | None) -> AbstractAsyncContextManager[AsyncClientSession | None]:
        if after is None:
            return nullcontext()
        session = self._database.client.start_session(causal_consistency=True)
        session.advance_operation_time(time_value(after))
        return session


async def _found(collection: AsyncCollection[dict[str, Any]], keys: Sequence[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for query in key_filters(keys):
        async for block in raw(collection.find_raw_batches(query, {"_id": 1}, batch_size=KEYS_A_QUERY)):
            found.update(map(key_of, split(block)))
    return found
