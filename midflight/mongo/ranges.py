"""Key ranges that cross BSON types.

`{_id: {$gt: x}}` silently skips keys of another type than x. `min()` and `max()` bound a walk along the `_id` index
instead, in the one order that all BSON values have.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from pymongo import ASCENDING
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.cursor import AsyncRawBatchCursor

from midflight.core.documents import last_key
from midflight.core.keys import key_bytes, key_value
from midflight.mongo.wire import raw
from midflight.records import KeyRange

SAMPLE_A_PART = 100
SAMPLE_AT_MOST = 10_000
DOCUMENTS_A_PART = 100
"""A range of fewer documents is not worth a cursor."""

Collection = AsyncCollection[dict[str, Any]]


async def read(
    collection: Collection, keys: KeyRange, above: bytes | None, batch_size: int, *, keys_only: bool = False
) -> AsyncGenerator[bytes, None]:
    """Blocks of raw documents in key order, strictly after `above` where given, else from `keys.lower` on.

    With `keys_only` the documents hold nothing but their `_id`, which the index alone can give.
    """
    unwanted = above
    async with aclosing(raw(_cursor(collection, keys, above, batch_size, keys_only))) as blocks:
        async for block in blocks:
            wanted = block if unwanted is None else _without_first(block, unwanted)
            unwanted = None
            if wanted:
                yield wanted


def _cursor(
    collection: Collection, keys: KeyRange, above: bytes | None, batch_size: int, keys_only: bool
) -> AsyncRawBatchCursor[dict[str, Any]]:
    shown = {"_id": 1} if keys_only else None
    cursor = collection.find_raw_batches({}, shown, sort=[("_id", ASCENDING)], batch_size=batch_size)
    first = above if above is not None else keys.lower
    if first is not None:
        cursor = cursor.min([("_id", key_value(first))])
    if keys.upper is not None:
        cursor = cursor.max([("_id", key_value(keys.upper))])
    # The server wants the index named with min() and max(); without them `sort` alone says all.
    return cursor if first is None and keys.upper is None else cursor.hint("_id_")


def _without_first(block: bytes, key: bytes) -> bytes:
    """`min()` is inclusive: the document at the bound itself goes, if it still exists."""
    first = int.from_bytes(block[:4], "little")
    return block[first:] if block and last_key(block[:first])[0] == key else block


async def partitions(collection: Collection, parts: int) -> list[KeyRange]:
    """At most `parts` ranges that cover all keys: from the first to the last, open at both ends."""
    count = await collection.estimated_document_count()
    parts = min(parts, count // DOCUMENTS_A_PART)
    bounds = await _bounds(collection, parts) if parts > 1 else []
    return [KeyRange(lower, upper) for lower, upper in zip([None, *bounds], [*bounds, None], strict=True)]


async def _bounds(collection: Collection, parts: int) -> list[bytes]:
    """The quantiles of a random sample. The server sorts it: only its order is the order of `min()` and `max()`."""
    sample = min(parts * SAMPLE_A_PART, SAMPLE_AT_MOST)
    found = await collection.aggregate(
        [{"$sample": {"size": sample}}, {"$project": {"_id": 1}}, {"$sort": {"_id": ASCENDING}}]
    )
    keys = [key_bytes(document["_id"]) async for document in found]
    # A sample may hold a key twice; the keys are in order, so equal bounds would be neighbours.
    return list(dict.fromkeys(keys[len(keys) * part // parts] for part in range(1, parts) if keys))
