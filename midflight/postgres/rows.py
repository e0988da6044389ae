"""Reads rows back: for parity, which rebuilds documents from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from midflight.core.outcome import Row
from midflight.core.plan import CollectionMap
from midflight.core.tables import Table, tables
from midflight.postgres.adapt import staged_type
from midflight.postgres.session import Connection, Session

_CHANGED = sql.SQL(
    "select g.key, g.token from midflight.guards g join midflight.collections c on c.id = g.collection_id"
    " where c.domain = %(domain)s and c.collection = %(collection)s and g.token >= %(token)s"
    " and (g.token > %(token)s or g.key > %(after)s) order by g.token, g.key limit %(at_most)s"
)
_QUARANTINED = sql.SQL(
    "select q.key from midflight.quarantine q join midflight.collections c on c.id = q.collection_id"
    " where c.domain = %s and c.collection = %s and q.key = any(%s) and q.path <> 'tripwire'"
)


class PostgresRows:
    """Implements `midflight.ports.TargetRows`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def rows_of(
        self, schema: str, collection: CollectionMap, row_keys: Sequence[Any]
    ) -> dict[Any, tuple[list[Row], ...]]:
        """By root key value: the rows of every table of the collection, children by position; in one snapshot."""
        async with self._session.snapshot() as connection:
            return await rows_in(connection, schema, collection, row_keys)

    async def scan_roots(self, schema: str, collection: CollectionMap, after: Any | None, at_most: int) -> list[Row]:
        """Root rows in order of the key column (text by bytes), strictly after `after`."""
        root = tables(collection)[0]
        parameters = {"after": after, "at_most": at_most}
        return await self._session.rows(_scan(schema, root, first=after is None), parameters)

    async def keys_changed_since(
        self, domain: str, collection: str, token: int, at_most: int, after: bytes | None = None
    ) -> dict[bytes, int]:
        """Keys whose guard row has a larger token, with it, in order of token and key; many may share a token.

        With `after` also those of this very token whose key is larger: how to go on from the last of a page.
        """
        names = {"domain": domain, "collection": collection}
        place = {"token": token, "after": after, "at_most": at_most}
        return dict(await self._session.rows(_CHANGED, {**names, **place}))

    async def quarantined_keys(self, domain: str, collection: str, keys: Sequence[bytes]) -> set[bytes]:
        """Which of these keys are in quarantine, waived or not; without late writes, whose keys have rows."""
        return {key for (key,) in await self._session.rows(_QUARANTINED, (domain, collection, list(keys)))}

    async def last_token(self, domain: str) -> int:  # noqa: ARG002 - one clock serves all domains
        """A token no smaller than that of any guard row committed before this call."""
        row = await self._session.row(sql.SQL("select last_value from midflight.clock"))
        assert row is not None
        return int(row[0])


async def rows_in(
    connection: Connection, schema: str, collection: CollectionMap, row_keys: Sequence[Any]
) -> dict[Any, tuple[list[Row], ...]]:
    """The same, as the caller's transaction sees it."""
    of_collection = tables(collection)
    found: dict[Any, tuple[list[Row], ...]] = {}
    for number, table in enumerate(of_collection):
        place = [column.name for column in table.columns].index(table.root_key)
        cursor = await connection.execute(_rows_of(schema, table), (list(row_keys),), binary=True)
        async for row in cursor:
            if number == 0:
                found[row[place]] = tuple([] for _ in of_collection)
            if row[place] in found:
                found[row[place]][number].append(row)
    return found


def _rows_of(schema: str, table: Table) -> sql.Composed:
    key_type = staged_type(table.columns[0].type)
    return sql.SQL("select {columns} from {table} where {root_key} = any(%s::{key_type}[]) order by {order}").format(
        columns=_columns(table),
        table=sql.Identifier(schema, table.name),
        root_key=sql.Identifier(table.root_key),
        key_type=sql.SQL(key_type),
        order=_order(table),
    )


def _scan(schema: str, root: Table, *, first: bool) -> sql.Composed:
    key = _ordered(root, root.root_key)
    after = sql.SQL("") if first else sql.SQL("where {} > %(after)s").format(key)
    return sql.SQL("select {columns} from {table} {after} order by {key} limit %(at_most)s").format(
        columns=_columns(root), table=sql.Identifier(schema, root.name), after=after, key=key
    )


def _order(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(_ordered(table, name) for name in table.primary_key)


def _ordered(table: Table, name: str) -> sql.Composed:
    """The column for ordering: text by its bytes, whatever the collation of a column that was there before us."""
    column = next(column for column in table.columns if column.name == name)
    collate = sql.SQL(' collate "C"') if staged_type(column.type) == "text" else sql.SQL("")
    return sql.SQL("{}{}").format(sql.Identifier(name), collate)


def _columns(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
