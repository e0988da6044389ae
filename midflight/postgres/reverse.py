"""Dirty marks: which keys the application changed at the target. Protocol section 5.

A mark holds its key as text, as the table's trigger wrote it. It is pending while its `seq` is above `written_back`;
when it no longer is, it stays: so a key's `seq` only grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from midflight.core.documents import digest_raw, read_document
from midflight.core.ejson import dumps
from midflight.core.mapping import mapper_for
from midflight.core.outcome import FeedPosition, Row
from midflight.core.plan import CollectionMap, Plan
from midflight.core.tables import Table, tables
from midflight.errors import AuthorityMoved
from midflight.postgres import authority
from midflight.postgres.adapt import staged_type
from midflight.postgres.door import move_checkpoint
from midflight.postgres.rows import rows_in
from midflight.postgres.session import Connection, Session
from midflight.records import DirtyKey, LateWrite

_WRITTEN_AFTER = (
    "somebody wrote this document in the source after the flip, past the fence: the target does not have this image."
    " Write it at the target if it is wanted, then waive this entry"
)
_DELETED_AFTER = (
    "somebody deleted this document in the source after the flip, past the fence: the target still has it."
    " Delete it at the target if that is wanted, then waive this entry"
)
_OF_COLLECTION = "from midflight.collections c where c.id = d.collection_id and c.domain = %(domain)s"
# A key that an application's transaction has locked is left pending: it gets a newer mark, or is written back again.
# So we never wait for somebody who may be waiting for us.
_WRITTEN_BACK = sql.SQL(
    "with done as (select row_key, seq from unnest(%(row_keys)s::text[], %(seqs)s::bigint[]) as k(row_key, seq)),"
    " free as (select d.collection_id, d.row_key, done.seq from midflight.dirty d"
    " join midflight.collections c on c.id = d.collection_id join done using (row_key)"
    " where c.domain = %(domain)s and c.collection = %(collection)s for no key update of d skip locked)"
    " update midflight.dirty d set written_back = greatest(d.written_back, free.seq)"
    " from free where d.collection_id = free.collection_id and d.row_key = free.row_key"
)
_REFUSE = sql.SQL(
    f"update midflight.dirty d set refused = %(reason)s {_OF_COLLECTION}"
    " and c.collection = %(collection)s and d.row_key = %(row_key)s::text and d.seq = %(seq)s"
)
_RETRY_REFUSED = sql.SQL(
    f"update midflight.dirty d set refused = null {_OF_COLLECTION} and d.refused is not null and d.seq > d.written_back"
)
_LOCK_AUTHORITY = sql.SQL(
    "select authority, pg_advisory_xact_lock_shared(midflight.turnstile(domain))"
    " from midflight.domains where domain = %s for share"
)
# Each image has an entry, and needs a waiver, of its own; one that comes again, too.
_QUARANTINE = sql.SQL(
    "insert into midflight.quarantine as q (domain, collection_id, key, token, checksum, field, value_type,"
    " column_name, reason, path, first_seen, last_seen, image)"
    " select c.domain, c.id, w.key, nextval('midflight.clock'), w.checksum, '', '', '', w.reason, 'tripwire',"
    " now(), now(), w.image::jsonb from midflight.collections c"
    " cross join unnest(%(keys)s::bytea[], %(checksums)s::bytea[], %(reasons)s::text[], %(images)s::text[])"
    " as w(key, checksum, reason, image) where c.domain = %(domain)s and c.collection = %(collection)s order by w.key"
    " on conflict (collection_id, key, checksum) where path = 'tripwire' do update set token = excluded.token,"
    " last_seen = excluded.last_seen, waived_by = null, waived_reason = null, waived_at = null"
)


class PostgresReverse:
    """Implements `midflight.ports.ReverseStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def dirty(self, plan: Plan, collection: str, at_most: int) -> list[DirtyKey]:
        """Pending keys that were not refused, oldest first, marks and rows in one snapshot."""
        entry = plan.collection(collection)
        root = tables(entry)[0]
        async with self._session.snapshot() as connection:
            marks = await _marks(connection, root, (plan.domain, collection, at_most))
            found = await rows_in(connection, plan.target.schema_, entry, [key for key, _, _ in marks])
        return [_dirty_key(entry, root, mark, found) for mark in marks]

    async def written_back(self, domain: str, collection: str, keys: Sequence[tuple[object, int]]) -> None:
        """Each key is written back up to that seq; a newer mark stays pending."""
        if not keys:
            return
        row_keys, seqs = zip(*keys, strict=True)
        place = {"domain": domain, "collection": collection}
        await self._session.run(_WRITTEN_BACK, {**place, "row_keys": list(row_keys), "seqs": list(seqs)})

    async def refuse(self, domain: str, collection: str, row_key: object, seq: int, reason: str) -> None:
        """The source refuses this image of the key; a newer mark makes it pending again."""
        place = {"domain": domain, "collection": collection, "row_key": row_key}
        await self._session.run(_REFUSE, {**place, "seq": seq, "reason": reason})

    async def pending(self, domain: str) -> tuple[int, int]:
        """How many keys are pending, and how many of them the source refuses."""
        return await authority.pending(self._session, domain)

    async def retry_refused(self, domain: str) -> int:
        """Make the refused ones pending again; returns how many."""
        return await self._session.run(_RETRY_REFUSED, {"domain": domain})

    async def late(self, plan: Plan, position: FeedPosition, writes: dict[str, list[LateWrite]]) -> None:
        """Move the tail's position, quarantine late writes with their images, mark their keys dirty: all or nothing.

        Superseded where another attempt moved the position. AuthorityMoved under the source, where no write is late.
        """
        async with self._session.transaction() as connection:
            await _hold_authority(connection, plan.domain)
            await move_checkpoint(connection, plan.domain, position)
            for name in sorted(writes):
                await _keep_late(connection, plan, plan.collection(name), writes[name])


async def _marks(connection: Connection, root: Table, parameters: tuple[str, str, int]) -> list[tuple[Any, int, Any]]:
    """Key value, seq and rest column of pending marks."""
    query = sql.SQL(
        "select d.row_key::{key_type}, d.seq, d.rest"
        " from midflight.dirty d join midflight.collections c on c.id = d.collection_id"
        " where c.domain = %s and c.collection = %s and d.seq > d.written_back and d.refused is null"
        " order by d.seq limit %s"
    ).format(key_type=sql.SQL(staged_type(root.columns[0].type)))
    return await (await connection.execute(query, parameters, binary=True)).fetchall()


def _dirty_key(
    entry: CollectionMap, root: Table, mark: tuple[Any, int, Any], found: dict[Any, tuple[list[Row], ...]]
) -> DirtyKey:
    row_key, seq, rest = mark
    rows = found.get(row_key)
    if rows is not None:
        return DirtyKey(row_key, seq, rows, rows[0][0])
    left = [row_key, *[None] * (len(root.columns) - 1)]
    if entry.rest is not None:
        left[-1] = rest
    return DirtyKey(row_key, seq, None, tuple(left))


async def _hold_authority(connection: Connection, domain: str) -> None:
    row = await (await connection.execute(_LOCK_AUTHORITY, (domain,))).fetchone()
    if row is None:
        raise authority.unknown(domain)
    if row[0] != "target":
        raise AuthorityMoved(f"The source is the authority of {domain}: what is written there is not late.")


async def _keep_late(connection: Connection, plan: Plan, entry: CollectionMap, writes: Sequence[LateWrite]) -> None:
    last = {write.key: write for write in writes}
    if not last:
        return
    images = [write.image for write in last.values()]
    parameters = {
        "domain": plan.domain,
        "collection": entry.collection,
        "keys": list(last),
        "checksums": [b"" if image is None else digest_raw(image) for image in images],
        "reasons": [_DELETED_AFTER if image is None else _WRITTEN_AFTER for image in images],
        "images": [None if image is None else _json(image) for image in images],
    }
    await connection.execute(_QUARANTINE, parameters)
    row_keys = [mapper_for(entry).row_key(key) for key in last]
    # A key that does not fit its column has no row, and never had one.
    fitting = [row_key for row_key in row_keys if row_key is not None]
    await connection.execute(_mark(tables(entry)[0]), {**parameters, "row_keys": fitting})


def _json(image: bytes) -> str:
    """The document as JSON; its bytes where it cannot be decoded."""
    document = read_document(image)
    return dumps(getattr(document, "body", image))


def _mark(root: Table) -> sql.Composed:
    """As the table's trigger marks a key: drawn with the mark's row locked."""
    return sql.SQL(
        "insert into midflight.dirty (collection_id, row_key, seq)"
        " select c.id, k.row_key, nextval('midflight.clock') from midflight.collections c"
        ' cross join (select distinct row_key::text collate "C" as row_key'
        " from unnest(%(row_keys)s::{key_type}[]) as u(row_key) order by 1) as k"
        " where c.domain = %(domain)s and c.collection = %(collection)s"
        " on conflict (collection_id, row_key) do update set seq = nextval('midflight.clock'), refused = null"
    ).format(key_type=sql.SQL(staged_type(root.columns[0].type)))
