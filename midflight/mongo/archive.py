"""The end of the source: an archive that was read back, then drop.

A file is what `mongodump --gzip` writes: concatenated BSON documents, in `_id` order, with the collection's options and
indexes beside it. `mongorestore --gzip` and `bsondump` read it.
"""

from __future__ import annotations

import gzip
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from bson import json_util
from pymongo.asynchronous.database import AsyncDatabase

from midflight.errors import CollectionMissing, SourceError
from midflight.mongo.archive_file import Draft, Tally, at_hand, data_path, file_errors, metadata_path, read_tally
from midflight.mongo.driver_errors import driver_errors
from midflight.mongo.fence import without_fence
from midflight.mongo.wire import raw
from midflight.records import Archived

DOCUMENTS_A_BLOCK = 1_000


class MongoArchive:
    """The port `SourceArchive`."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database

    async def archive(self, collection: str, folder: str) -> Archived:
        """A file gets its name only once it was read back; a file of an earlier attempt is replaced then.

        CollectionMissing; SourceError names the file that cannot be written, or that reads differently.
        """
        metadata = await self._metadata(collection)
        path = data_path(folder, collection)
        with at_hand() as hands:
            with file_errors(metadata_path(folder, collection)):
                await hands.do(_write_metadata, metadata_path(folder, collection), metadata)
            with file_errors(path):
                draft = await hands.do(Draft, path)
                try:
                    async with aclosing(self._blocks(collection)) as blocks:
                        async for block in blocks:
                            await hands.do(draft.write, block)
                    await hands.do(draft.finish)
                    if await read_tally(draft.path, hands) != draft.tally:
                        raise _differs(path)
                    await hands.do(draft.publish)
                finally:
                    await hands.do(draft.discard)
        return draft.tally.archived(collection)

    async def verify(self, archived: Archived, folder: str) -> bool:
        """Both are read from beginning to end."""
        path = data_path(folder, archived.collection)
        with at_hand() as hands:
            with file_errors(path):
                kept = await read_tally(path, hands)
            if kept is None or kept.archived(archived.collection) != archived:
                return False
            here = Tally()
            async with aclosing(self._blocks(archived.collection)) as blocks:
                async for block in blocks:
                    await hands.do(here.add, block)
        return here == kept

    async def drop(self, collections: Sequence[str]) -> None:
        """Repeating is safe."""
        for name in collections:
            with driver_errors(f"dropping `{name}`", privilege=f"dropCollection on {name}"):
                await self._database.drop_collection(name)

    async def _blocks(self, collection: str) -> AsyncGenerator[bytes, None]:
        with driver_errors(f"reading `{collection}`", privilege=f"find on {collection}"):
            found = self._database[collection].find_raw_batches(sort=[("_id", 1)], batch_size=DOCUMENTS_A_BLOCK)
            async with aclosing(raw(found)) as blocks:
                async for block in blocks:
                    yield block

    async def _metadata(self, collection: str) -> bytes:
        """Options and indexes as `mongodump` writes them; the validator is the customer's, not our fence."""
        with driver_errors(f"describing `{collection}`", privilege="listCollections and listIndexes"):
            found = [each async for each in await self._database.list_collections(filter={"name": collection})]
            if not found:
                raise CollectionMissing(
                    f"The source has no collection `{collection}`, so it cannot be archived.",
                    next_step="If it was dropped after an earlier archive, keep that one.",
                )
            indexes = [each async for each in await self._database[collection].list_indexes()]
        options = without_fence(found[0].get("options", {}))
        text = {"options": options, "indexes": indexes, "collectionName": collection, "type": "collection"}
        return _canonical(text).encode()


def _canonical(value: Mapping[str, Any]) -> str:
    return json_util.dumps(value, json_options=json_util.CANONICAL_JSON_OPTIONS)


def _write_metadata(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text))


def _differs(path: Path) -> SourceError:
    return SourceError(
        f"The archive {path} does not read back as it was written.",
        next_step="Check the disk, then archive again; nothing was dropped.",
    )
