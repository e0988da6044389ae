"""How keys, times and positions look between us and the driver."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any, cast

import bson
from bson import CodecOptions, Regex, Timestamp
from bson.binary import UuidRepresentation
from bson.codec_options import DatetimeConversion
from pymongo.asynchronous.cursor import AsyncRawBatchCursor

from midflight.core.keys import key_value
from midflight.mongo.driver_errors import cancellations, heed_cancellation

MARKS = "midflight_marks"
"""A collection of ours in the source: one document a domain, `{_id: domain, n: mark}`."""

GUARDS = "midflight_guards"
"""A collection of ours in the source: one document for every key that was written back to it."""

FENCES = "midflight_fences"
"""A collection of ours in the source: the roles of each user whose right to write a fence has taken."""

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    document_class=dict[str, Any],
    tz_aware=True,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
"""Keys decode to values from which the same key encodes again: binary subtypes and far-away dates are kept."""

KEYS_A_QUERY = 100
"""A key in one `$in` of this size costs 0.1 ms on the embedded server; in one of 1,000, seven times that."""


def key_filters(keys: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    """Queries that together find exactly these keys."""
    values = [key_value(key) for key in keys]
    # Inside $in a regular expression is a pattern that would match strings; $eq takes it as a value.
    plain = [value for value in values if not isinstance(value, Regex)]
    for start in range(0, len(plain), KEYS_A_QUERY):
        yield {"_id": {"$in": plain[start : start + KEYS_A_QUERY]}}
    yield from ({"_id": {"$eq": value}} for value in values if isinstance(value, Regex))


def time_bytes(time: Timestamp) -> bytes:
    """A cluster time as eight bytes that sort as the times do."""
    return _number(time).to_bytes(8, "big")


def time_value(text: bytes) -> Timestamp:
    """The cluster time of `time_bytes`."""
    number = int.from_bytes(text, "big")
    return Timestamp(number >> 32, number & 0xFFFF_FFFF)


def first_mark(time: Timestamp) -> int:
    """Where the marks of a domain begin: its cluster time as a number.

    Every mark is a write and moves the cluster time on, so marks grow more slowly than it does: a domain whose mark was
    removed and made anew never counts over numbers that it used before.
    """
    return _number(time)


def _number(time: Timestamp) -> int:
    return (time.time << 32) | time.inc


def token_bytes(resume_token: Mapping[str, Any]) -> bytes:
    """A position: after the event, or the moment, that this resume token names."""
    return bson.encode({"resumeAfter": dict(resume_token)})


def moment_bytes(time: Timestamp) -> bytes:
    """A position: from this cluster time on, its own operations included."""
    return bson.encode({"startAtOperationTime": time})


async def raw(cursor: AsyncRawBatchCursor[dict[str, Any]]) -> AsyncGenerator[bytes, None]:
    """A raw cursor's blocks; the driver's type hints take them for documents."""
    before = cancellations()
    async with cursor:
        async for block in cursor:
            heed_cancellation(before)
            yield cast(bytes, block)


def watch_from(token: bytes) -> dict[str, Any]:
    """The driver's `watch()` options that start at a position."""
    position = bson.decode(token)
    if "resumeAfter" in position:
        return {"resume_after": position["resumeAfter"]}
    return {"start_at_operation_time": position["startAtOperationTime"]}
