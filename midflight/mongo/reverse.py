"""Writes documents back to the source while the target is the authority. Protocol section 5.

Every key has a guard document in `midflight_guards`: `{_id, c: collection, seq, deleted, digest}`. Its `_id` is flat
(collection, NUL, key bytes), because a stand-in for MongoDB looks sub-documents up by reading the whole collection.
Document and guard are written in one transaction, and two transactions of one key always meet at the guard, so a
belated writer can neither restore an older document nor slip in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from bson import Int64
from pymongo import ReplaceOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, OperationFailure

from midflight.core.documents import digest_raw, last_key, split
from midflight.mongo.driver_errors import driver_errors
from midflight.mongo.transactions import in_transaction, passing
from midflight.mongo.wire import GUARDS, KEYS_A_QUERY, key_filters, raw
from midflight.mongo.write_back import DOCUMENT_CODES, Write, operations, reason_of
from midflight.records import LateWrite, NotWritten, WriteBack

BYTES_A_TRANSACTION = 8 * 2**20
TRIES_TOGETHER = 20

_NAMESPACE_EXISTS = 48
_NO_DOCUMENT = b""

Guard = Mapping[str, Any]


class MongoReverse:
    """The port `ReverseWriter`."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database
        self._guards = database[GUARDS]
        self._has_guards = False

    async def write_back(self, collection: str, changes: Sequence[WriteBack]) -> list[NotWritten]:
        """Many keys a transaction; where one of them is refused, each by itself.

        What is refused is tried again after the others, all of it together: documents may have swapped a unique
        value. SourceUnavailable: some may be in, and repeating is safe.
        """
        with driver_errors(f"writing back to `{collection}`", privilege=_may_write(collection)):
            await self._make_guards()
            refused: dict[bytes, _Refusal] = {}
            for batch in _batches(_newest(changes)):
                refused |= await self._write(collection, batch)
            refused = await self._again(collection, refused)
        return [NotWritten(key, refusal.reason) for key, refusal in refused.items()]

    async def late_writes(self, collection: str, keys: Sequence[bytes]) -> list[LateWrite]:
        """Compared by digest: what the reverse tail wrote is told from what anybody else wrote since."""
        wanted = list(dict.fromkeys(keys))
        late: list[LateWrite] = []
        with driver_errors(f"comparing `{collection}` with {GUARDS}", privilege=_may_write(collection)):
            for start in range(0, len(wanted), KEYS_A_QUERY):
                some = wanted[start : start + KEYS_A_QUERY]
                late += await in_transaction(self._database.client, partial(self._late, collection, some))
        return late

    async def largest_seq(self, collections: Sequence[str]) -> int:
        """The largest `seq` that any guard of these collections holds; 0 without guards."""
        ours = {"c": {"$in": list(collections)}}
        with driver_errors(f"reading {GUARDS}", privilege=f"find on {GUARDS}"):
            newest = await self._guards.find_one(ours, {"seq": 1}, sort=[("seq", -1)])
        return int(newest["seq"]) if newest else 0

    async def forget_guards(self, collections: Sequence[str]) -> None:
        """Remove the guards, and their collection with the last one. Repeating is safe."""
        with driver_errors(f"removing guards from {GUARDS}", privilege=f"remove and dropCollection on {GUARDS}"):
            await self._guards.delete_many({"c": {"$in": list(collections)}})
            if await self._guards.find_one() is None:
                await self._guards.drop()
                self._has_guards = False

    async def _make_guards(self) -> None:
        """Outside of transactions: making a collection inside would make transactions wait for one another."""
        if self._has_guards:
            return
        try:
            await self._database.create_collection(GUARDS, check_exists=False)
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:
                raise
        self._has_guards = True

    async def _write(
        self, collection: str, changes: Sequence[WriteBack], *, clear: bool = False
    ) -> dict[bytes, _Refusal]:
        """All in one transaction, or else one by one; what is refused, by key."""
        try:
            await self._together(collection, changes, clear=clear)
        except _Refused as why:
            if len(changes) == 1:
                return {changes[0].key: _Refusal(changes[0], why.reason)}
        else:
            return {}
        refused: dict[bytes, _Refusal] = {}
        for change in changes:
            refused |= await self._write(collection, [change], clear=clear)
        return refused

    async def _again(self, collection: str, refused: dict[bytes, _Refusal]) -> dict[bytes, _Refusal]:
        """All in one transaction that clears each away before it writes any; without those that fail even so."""
        rest = dict(refused)
        left: dict[bytes, _Refusal] = {}
        for _ in range(TRIES_TOGETHER):
            if not rest:
                return left
            try:
                await self._together(collection, [each.change for each in rest.values()], clear=True)
            except _Refused as why:
                if why.key is None:
                    break
                left[why.key] = _Refusal(rest.pop(why.key).change, why.reason)
            else:
                return left
        return left | await self._write(collection, [each.change for each in rest.values()], clear=True)

    async def _together(self, collection: str, changes: Sequence[WriteBack], *, clear: bool) -> None:
        await in_transaction(self._database.client, partial(self._apply, collection, changes, clear))

    async def _apply(
        self, collection: str, changes: Sequence[WriteBack], clear: bool, session: AsyncClientSession
    ) -> None:
        """One transaction: what is newer than its guard is written, and guarded."""
        guards = await self._guards_of(collection, [each.key for each in changes], session)
        newer = [each for each in changes if each.key not in guards or guards[each.key]["seq"] < each.seq]
        if not newer:
            return
        keys = [each.key for each in newer]
        present = await self._documents(collection, keys, session, only_ids=True)
        await self._execute(collection, operations(newer, present, clear=clear), session)
        # Digests of what the source holds now: it puts `_id` first and fills in empty timestamps.
        stored = await self._documents(collection, keys, session)
        writes = [_guard(collection, each, stored.get(each.key)) for each in newer]
        await self._guards.bulk_write(writes, session=session)

    async def _execute(self, collection: str, writes: Sequence[Write], session: AsyncClientSession) -> None:
        """Past the fence, which is a validator. _Refused where the trouble is with a document."""
        if not writes:
            return
        requests = [operation for _, operation in writes]
        try:
            await self._database[collection].bulk_write(requests, session=session, bypass_document_validation=True)
        except BulkWriteError as error:
            if passing(error) or not error.details["writeErrors"]:
                raise
            first = error.details["writeErrors"][0]
            raise _Refused(writes[first["index"]][0], reason_of(first)) from None
        except OperationFailure as error:
            if passing(error) or error.code not in DOCUMENT_CODES:
                raise
            raise _Refused(None, reason_of(error.details or {})) from None
        except ValueError as error:  # the driver's own refusals: too large, no valid BSON
            raise _Refused(None, f"the driver cannot send it ({type(error).__name__})") from None

    async def _late(self, collection: str, keys: Sequence[bytes], session: AsyncClientSession) -> list[LateWrite]:
        guards = await self._guards_of(collection, keys, session)
        documents = await self._documents(collection, keys, session)
        return [
            LateWrite(key, documents.get(key))
            for key in keys
            if key not in guards or guards[key]["digest"] != _digest(documents.get(key))
        ]

    async def _guards_of(
        self, collection: str, keys: Iterable[bytes], session: AsyncClientSession
    ) -> dict[bytes, Guard]:
        """By key; a key without a guard is left out."""
        keys_by_id = {_guard_id(collection, key): key for key in keys}
        found = self._guards.find({"_id": {"$in": list(keys_by_id)}}, session=session)
        return {keys_by_id[bytes(guard["_id"])]: guard async for guard in found}

    async def _documents(
        self, collection: str, keys: Sequence[bytes], session: AsyncClientSession, *, only_ids: bool = False
    ) -> dict[bytes, bytes]:
        """BSON bytes by key; a key without a document is left out."""
        shape = {"_id": 1} if only_ids else None
        documents: dict[bytes, bytes] = {}
        for query in key_filters(keys):
            found = self._database[collection].find_raw_batches(query, shape, session=session)
            async for block in raw(found):
                documents.update((last_key(document)[0], document) for document in split(block))
        return documents


class _Refused(Exception):
    """The source refuses a document of a transaction: which one, as far as it says, and why."""

    def __init__(self, key: bytes | None, reason: str) -> None:
        super().__init__(reason)
        self.key = key
        self.reason = reason


class _Refusal(NamedTuple):
    """A change that is refused by itself, and why."""

    change: WriteBack
    reason: str


def _newest(changes: Sequence[WriteBack]) -> list[WriteBack]:
    """One change a key: two in one transaction would both be compared with the guard that was there before."""
    newest: dict[bytes, WriteBack] = {}
    for change in changes:
        if change.key not in newest or newest[change.key].seq < change.seq:
            newest[change.key] = change
    return list(newest.values())


def _batches(changes: Sequence[WriteBack]) -> Iterator[list[WriteBack]]:
    """At most KEYS_A_QUERY keys and about BYTES_A_TRANSACTION bytes each."""
    batch: list[WriteBack] = []
    size = 0
    for change in changes:
        more = len(change.document or b"")
        if batch and (len(batch) == KEYS_A_QUERY or size + more > BYTES_A_TRANSACTION):
            yield batch
            batch, size = [], 0
        batch.append(change)
        size += more
    if batch:
        yield batch


def _guard(collection: str, change: WriteBack, stored: bytes | None) -> ReplaceOne[dict[str, Any]]:
    name = _guard_id(collection, change.key)
    guard = {"c": collection, "seq": Int64(change.seq), "deleted": stored is None, "digest": _digest(stored)}
    return ReplaceOne({"_id": name}, guard, upsert=True)


def _guard_id(collection: str, key: bytes) -> bytes:
    """No collection's name contains a NUL, so no two keys share an id."""
    return collection.encode() + b"\0" + key


def _digest(document: bytes | None) -> bytes:
    return _NO_DOCUMENT if document is None else digest_raw(document)


def _may_write(collection: str) -> str:
    return f"find, insert, update, remove and bypassDocumentValidation on {collection}, and the same on {GUARDS}"
