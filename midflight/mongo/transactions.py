"""Transactions in the source: one snapshot, one commit that a majority holds, tried again while that can help."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

T = TypeVar("T")

ATTEMPTS = 10
FIRST_PAUSE_SECONDS = 0.005
"""Doubled after each attempt: about 2.5 seconds in all."""

COMMIT_MS = 30_000
MAJORITY = WriteConcern("majority", wtimeout=COMMIT_MS)

_WRITE_CONFLICT = 112
_PASSING_LABELS = ("TransientTransactionError", "UnknownTransactionCommitResult")


async def in_transaction(
    client: AsyncMongoClient[dict[str, Any]], work: Callable[[AsyncClientSession], Awaitable[T]]
) -> T:
    """What the work returns, once its transaction is committed.

    The work may run again after a commit whose fate is not known: it must read before it decides.
    """
    async with client.start_session() as session:
        for attempt in range(ATTEMPTS - 1):
            try:
                return await _attempt(session, work)
            except PyMongoError as error:
                if not passing(error):
                    raise
            await asyncio.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
        return await _attempt(session, work)


def passing(error: PyMongoError) -> bool:
    """Whether the same transaction may succeed when it is tried again."""
    if any(map(error.has_error_label, _PASSING_LABELS)):
        return True
    return isinstance(error, BulkWriteError) and any(
        each["code"] == _WRITE_CONFLICT for each in error.details["writeErrors"]
    )


async def _attempt(session: AsyncClientSession, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
    # Read-only work commits too: only then has a majority held what it read.
    async with await session.start_transaction(
        read_concern=ReadConcern("snapshot"), write_concern=MAJORITY, read_preference=ReadPreference.PRIMARY
    ):
        return await work(session)
