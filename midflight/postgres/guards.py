"""What the ledger knows of keys: guards and quarantine, as the caller's transaction sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import sql

from midflight.core.plan import CollectionMap, Plan
from midflight.postgres.adapt import array_of, staged_type
from midflight.postgres.row_keys import place, where
from midflight.postgres.session import Connection
from midflight.records import Guard, RowSpan

_COLLECTION_ID = sql.SQL("select id from midflight.collections where domain = %s and collection = %s")
_GUARDS = sql.SQL(
    "select key, token, checksum, deleted, refused from midflight.guards where collection_id = %s and key = any(%s)"
)
# No guard row says so alone: an entry that was removed by hand accounts for nothing any more.
_QUARANTINED = sql.SQL(
    "select key from midflight.quarantine where collection_id = %s and key = any(%s) and path <> 'tripwire'"
)
_HELD = sql.SQL(
    "select coalesce(string_agg(checksum, ''::bytea order by key), ''::bytea), coalesce(max(token), 0),"
    " bool_or(refused) from (select key, checksum, token, refused from midflight.guards"
    " where collection_id = %(number)s and not deleted and {within} order by key limit %(at_most)s) as first"
)
_ANY_MARK = sql.SQL("select exists (select from midflight.dirty where collection_id = %s)")


RowKeys = Callable[[], Mapping[bytes, Any]]
"""By key: the value of the key column, None where the key fits no row. It takes time, and few ask."""


async def guards_in(
    connection: Connection, plan: Plan, collection: CollectionMap, wanted: Sequence[bytes], row_keys: RowKeys
) -> dict[bytes, Guard]:
    """By key. Marks of the application's own writes count too: they are drawn from the same clock as tokens."""
    number = await _collection_id(connection, plan, collection)
    if number is None:
        return {}
    keys = array_of(wanted, "bytea")
    found = await (await connection.execute(_GUARDS, (number, keys), binary=True)).fetchall()
    refused = [key for key, *_, is_refused in found if is_refused]
    quarantined = await _keys(connection, _QUARANTINED, (number, refused)) if refused else set()
    guards = {
        key: Guard(token, checksum or None, deleted, key in quarantined) for key, token, checksum, deleted, _ in found
    }
    if not await _any_mark(connection, number):
        return guards
    known = row_keys()
    return _with_marks(guards, known, await _marks(connection, number, collection, known))


async def held_in(
    connection: Connection, plan: Plan, collection: CollectionMap, keys: RowSpan, at_most: int
) -> tuple[bytes, int] | None:
    """Checksums in order of keys, and the newest token; None where one was refused, or the application has written.

    At most so many guards are looked at.
    """
    number = await _collection_id(connection, plan, collection)
    if number is None or await _any_mark(connection, number):
        return None
    query = _HELD.format(within=where(sql.SQL("key"), keys))
    row = await (await connection.execute(query, {"number": number} | place(keys, at_most), binary=True)).fetchone()
    return None if row is None or row[2] else (row[0], row[1])


async def _any_mark(connection: Connection, number: int) -> bool:
    row = await (await connection.execute(_ANY_MARK, (number,))).fetchone()
    return row is not None and bool(row[0])


async def _collection_id(connection: Connection, plan: Plan, collection: CollectionMap) -> int | None:
    row = await (await connection.execute(_COLLECTION_ID, (plan.domain, collection.collection))).fetchone()
    return None if row is None else int(row[0])


async def _keys(connection: Connection, query: sql.SQL, parameters: tuple[Any, ...]) -> set[bytes]:
    return {key for (key,) in await (await connection.execute(query, parameters, binary=True)).fetchall()}


async def _marks(
    connection: Connection, number: int, collection: CollectionMap, row_keys: Mapping[bytes, Any | None]
) -> dict[Any, int]:
    """By row key: the mark of the application's last write at the target."""
    key_type = staged_type(collection.key.type)
    wanted = array_of([key for key in row_keys.values() if key is not None], key_type)
    query = sql.SQL(
        "select k.row_key, d.seq from unnest(%s::{key_type}[]) as k(row_key)"
        " join midflight.dirty d on d.collection_id = %s and d.row_key = k.row_key::text"
    ).format(key_type=sql.SQL(key_type))
    return dict(await (await connection.execute(query, (wanted, number), binary=True)).fetchall())


def _with_marks(
    guards: dict[bytes, Guard], row_keys: Mapping[bytes, Any | None], marks: Mapping[Any, int]
) -> dict[bytes, Guard]:
    """After a write of the application there is no image that was applied."""
    for key, row_key in row_keys.items():
        mark, guard = marks.get(row_key), guards.get(key)
        if mark is not None and (guard is None or guard.token < mark):
            guards[key] = Guard(mark, None, written_here=True)
    return guards
