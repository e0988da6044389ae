"""The change feed: one change stream on the database, by keys, resumable at every position that it has yielded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from bson import Timestamp
from pymongo import ReturnDocument
from pymongo.asynchronous.change_stream import AsyncDatabaseChangeStream
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from midflight.mongo.driver_errors import driver_errors, not_a_replica_set
from midflight.mongo.events import Event, changed, pipeline
from midflight.mongo.wire import MARKS, first_mark, moment_bytes, token_bytes, watch_from
from midflight.records import Changed

LINGER_SECONDS = 0.005
"""How long what has arrived waits for company: long enough for the next batch of a busy feed, too short to be lag."""

CANCEL_AGAIN_SECONDS = 0.1

_MAY_WATCH = "changeStream and find on every collection of the database"
_MAY_MARK = f"insert, update, remove and dropCollection on {MARKS}"

Stream = AsyncDatabaseChangeStream[dict[str, Any]]


class MongoFeed:
    """The port `ChangeFeed`."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database
        self._marks = database[MARKS]

    async def pin(self, collections: Sequence[str]) -> bytes:
        """The position of a feed that has just been opened."""
        with driver_errors("opening the change feed", privilege=_MAY_WATCH):
            before = await self._committed()  # first: a moment after the feed was opened might be too late
            async with await self._database.watch(pipeline(collections)) as stream:
                return token_bytes(stream.resume_token) if stream.resume_token else moment_bytes(before)

    async def mark(self, domain: str) -> int:
        """Marks of a domain only ever grow, also over `forget`. Returns once a majority holds the mark."""
        with driver_errors(f"writing to {MARKS}", privilege=_MAY_MARK):
            return await self._next_mark(domain) or await self._first_mark(domain)

    async def forget(self, domain: str) -> None:
        """Remove the domain's mark, and the collection with the last one."""
        with driver_errors(f"removing our mark from {MARKS}", privilege=_MAY_MARK):
            await self._marks.delete_one({"_id": domain})
            if await self._marks.find_one() is None:
                await self._marks.drop()

    @asynccontextmanager
    async def follow(
        self, domain: str, collections: Sequence[str], token: bytes, *, at_most: int, wait_seconds: float
    ) -> AsyncIterator[AsyncIterator[Changed]]:
        """PositionLost if the source no longer reaches back to the position; SourceError if a collection is dropped."""
        with driver_errors("following the change feed", privilege=_MAY_WATCH):
            stream = await self._database.watch(
                pipeline(collections),
                batch_size=at_most,
                max_await_time_ms=max(1, round(wait_seconds * 1000)),
                **watch_from(token),
            )
        follower = _Follower(stream, domain, token, at_most)
        async with stream, aclosing(follower), aclosing(follower.changes()) as changes:
            yield changes

    async def _committed(self) -> Timestamp:
        """The time up to which a majority holds everything: the operation time of a majority read, and of no other."""
        async with self._database.client.start_session(causal_consistency=True) as session:
            await self._marks.find_one({}, session=session)
            if session.operation_time is None:  # every reply of a replica set carries its time
                raise not_a_replica_set("to follow")
            return session.operation_time

    async def _next_mark(self, domain: str) -> int | None:
        found = await self._marks.find_one_and_update(
            {"_id": domain}, {"$inc": {"n": 1}}, return_document=ReturnDocument.AFTER
        )
        return int(found["n"]) if found else None

    async def _first_mark(self, domain: str) -> int:
        number = first_mark(await self._committed())
        with suppress(DuplicateKeyError):  # another worker was first
            await self._marks.insert_one({"_id": domain, "n": number})
            return number
        return await self.mark(domain)


class _Follower:
    """Gathers events. It asks for the next one before it knows whether there is one, and keeps asking over yields."""

    def __init__(self, stream: Stream, domain: str, token: bytes, at_most: int) -> None:
        self._stream = stream
        self._domain = domain
        self._token = token
        self._at_most = at_most
        self._asked: asyncio.Task[dict[str, Any] | None] | None = None

    async def changes(self) -> AsyncGenerator[Changed, None]:
        while True:
            with driver_errors("following the change feed", privilege=_MAY_WATCH):
                events = await self._gather()
            yield changed(self._domain, events, self._token)

    async def aclose(self) -> None:
        if self._asked is None:
            return
        while not self._asked.done():  # the driver may lose a cancellation
            self._asked.cancel()
            await asyncio.wait({self._asked}, timeout=CANCEL_AGAIN_SECONDS)
        if not self._asked.cancelled():
            self._asked.exception()  # looked at, so that asyncio does not complain; nobody waits for it any more

    async def _gather(self) -> list[Event]:
        """What has arrived; at least one event unless the server has waited in vain."""
        events: list[Event] = []
        while len(events) < self._at_most:
            event = await self._next(LINGER_SECONDS if events else None)
            if event is None:
                break
            events.append(event)
        return events

    async def _next(self, patience: float | None) -> Event | None:
        asked = self._asked = self._asked or asyncio.ensure_future(self._stream.try_next())
        await asyncio.wait({asked}, timeout=patience)
        if not asked.done():
            return None  # still asked for: cancelling it would cost the connection
        self._asked = None
        event = asked.result()
        # Taken here, where nothing else is asked for: this is the position after this very event.
        if self._stream.resume_token:
            self._token = token_bytes(self._stream.resume_token)
        return event
