"""Reads rows back: for parity, which rebuilds documents from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from psycopg import sql

from midflight.core.mapping import mapper_for
from midflight.core.outcome import Row
from midflight.core.plan import CollectionMap, Plan
from midflight.core.tables import Table, tables
from midflight.errors import PlanError
from midflight.postgres import row_keys as walk
from midflight.postgres.adapt import array_of, staged_type
from midflight.postgres.census import census_in
from midflight.postgres.far_times import cursor_with_times, rows_with_times
from midflight.postgres.guards import guards_in, held_in
from midflight.postgres.session import Connection, Session
from midflight.records import FieldCount, Guard, Held, LastChange, RowsAndGuards, RowSpan

_CHANGED = sql.SQL(
    "select g.key, g.token from midflight.guards g join midflight.collections c on c.id = g.collection_id"
    " where c.domain = %(domain)s and c.collection = %(collection)s and g.token >= %(token)s"
    " and (g.token > %(token)s or g.key > %(after)s) order by g.token, g.key limit %(at_most)s"
)
_LAST_CHANGE = sql.SQL(
    "select g.applied_at, g.path, g.token, g.deleted, g.refused from midflight.guards g"
    " join midflight.collections c on c.id = g.collection_id"
    " where c.domain = %s and c.collection = %s and g.key = %s"
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

    async def tables_of(self, schema: str, collection: CollectionMap, row_keys: Sequence[Any]) -> list[list[Row]]:
        """The same rows by table, each table's in order of its primary key."""
        async with self._session.snapshot() as connection:
            return [rows async for rows in _tables_in(connection, schema, collection, row_keys)]

    async def tables_within(
        self, schema: str, collection: CollectionMap, span: RowSpan, at_most: int
    ) -> list[list[Row]]:
        """All rows of the first `at_most` documents in the span, as `tables_of` has them."""
        root, *children = tables(collection)
        async with self._session.snapshot() as connection:
            roots = await _within(connection, schema, root, span, at_most)
            if len(roots) == at_most:
                span = replace(span, upto=roots[-1][0])
            return [roots, *[await _within(connection, schema, table, span, None) for table in children]]

    async def rows_with_guards(
        self, plan: Plan, collection: CollectionMap, row_keys: Mapping[bytes, Any | None]
    ) -> RowsAndGuards:
        """Rows and guards of these keys, of one moment; `row_keys` has None for a key that fits no row."""
        wanted = [row_key for row_key in row_keys.values() if row_key is not None]
        async with self._session.snapshot() as connection:
            rows = await rows_in(connection, plan.target.schema_, collection, wanted)
            guards = await guards_in(connection, plan, collection, list(row_keys), lambda: row_keys)
        return RowsAndGuards(rows, guards)

    async def guards_of(self, plan: Plan, collection: CollectionMap, keys: Sequence[bytes]) -> dict[bytes, Guard]:
        """The same guards without the rows."""
        row_key = mapper_for(collection).row_key
        async with self._session.snapshot() as connection:
            return await guards_in(connection, plan, collection, keys, lambda: {key: row_key(key) for key in keys})

    async def held_within(
        self, plan: Plan, collection: CollectionMap, keys: RowSpan, rows: RowSpan, at_most: int
    ) -> Held | None:
        """The span twice: of the guards' keys, and of the values of the key column."""
        async with self._session.snapshot() as connection:
            found = await held_in(connection, plan, collection, keys, at_most)
            if found is None:
                return None
            there = walk.keys_within(plan.target.schema_, collection, rows)
            row = await (await connection.execute(there, walk.place(rows, at_most))).fetchone()
        return Held(*found, *(row or (0, "")))

    async def last_change(self, domain: str, collection: str, key: bytes) -> LastChange | None:
        """What the door did last with this key; None where it never had it."""
        row = await self._session.row(_LAST_CHANGE, (domain, collection, key))
        return None if row is None else LastChange(*row)

    async def points(self, schema: str, query: str) -> list[tuple[Any, Any]]:
        """The rows of a query that may only read, with the schema as its search path. PlanError: not two columns."""
        async with self._session.snapshot() as connection:
            await connection.execute("set local statement_timeout = 0")
            await connection.execute("select set_config('search_path', quote_ident(%s), true)", (schema,))
            cursor = cursor_with_times(connection)
            await cursor.execute(query.encode())
            if cursor.description is None or len(cursor.description) != 2:
                raise PlanError("An invariant's query does not give rows of two columns.", next_step="Write it so.")
            return [(label, value) for label, value in await cursor.fetchall()]

    async def scan_keys(self, schema: str, collection: CollectionMap, span: RowSpan, at_most: int) -> list[Row]:
        """In order of the key column: as much of each root row as `Mapper.id_of` needs."""
        return await self._session.rows(walk.scan(schema, collection, span), walk.place(span, at_most))

    async def key_bounds(self, schema: str, collection: CollectionMap, parts: int) -> list[Row]:
        """Fewer than `parts` root rows that cut the table in parts of about equal size."""
        async with self._session.patient() as connection:
            return await (await connection.execute(walk.bounds(schema, collection), {"parts": parts})).fetchall()

    async def sample_keys(self, schema: str, collection: CollectionMap, size: int, seed: int) -> list[Row]:
        """Those rows whose hashed keys are the smallest: each has the same chance. Reads every key."""
        place = {"size": size, "seed": seed}
        async with self._session.patient() as connection:
            return await (await connection.execute(walk.sample(schema, collection), place)).fetchall()

    async def count_roots(self, schema: str, collection: CollectionMap) -> int:
        """Counted, not estimated: what the server believes of a table that was just filled is of no use."""
        async with self._session.patient() as connection:
            row = await (await connection.execute(walk.count(schema, collection))).fetchone()
        return int(row[0]) if row else 0

    async def census(self, schema: str, collection: CollectionMap) -> dict[str, FieldCount]:
        """By path, in one snapshot; without fields that a transform gives back."""
        async with self._session.snapshot() as connection:
            await connection.execute("set local statement_timeout = 0")
            return await census_in(connection, schema, collection)

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
    roots, *children = [rows async for rows in _tables_in(connection, schema, collection, row_keys)]
    # The key column is the first one of every table.
    found: dict[Any, tuple[list[Row], ...]] = {row[0]: ([row], *([] for _ in children)) for row in roots}
    for number, rows in enumerate(children, 1):
        for row in rows:
            of_document = found.get(row[0])
            if of_document is not None:
                of_document[number].append(row)
    return found


async def _tables_in(
    connection: Connection, schema: str, collection: CollectionMap, row_keys: Sequence[Any]
) -> AsyncIterator[list[Row]]:
    wanted = (array_of(row_keys, staged_type(collection.key.type)),)
    for table in tables(collection):
        yield await rows_with_times(connection, table, partial(_rows_of, schema, table), wanted)


async def _within(connection: Connection, schema: str, table: Table, span: RowSpan, at_most: int | None) -> list[Row]:
    query = partial(_rows_within, schema, table, walk.where(_ordered(table, table.root_key), span))
    return await rows_with_times(connection, table, query, walk.place(span, at_most))


def _rows_within(schema: str, table: Table, within: sql.Composed, columns: sql.Composed) -> sql.Composed:
    return sql.SQL("select {columns} from {table} where {within} order by {order} limit %(at_most)s").format(
        columns=columns,
        table=sql.Identifier(schema, table.name),
        within=within,
        order=_order(table),
    )


def _rows_of(schema: str, table: Table, columns: sql.Composed) -> sql.Composed:
    key_type = staged_type(table.columns[0].type)
    return sql.SQL("select {columns} from {table} where {root_key} = any(%s::{key_type}[]) order by {order}").format(
        columns=columns,
        table=sql.Identifier(schema, table.name),
        root_key=sql.Identifier(table.root_key),
        key_type=sql.SQL(key_type),
        order=_order(table),
    )


def _order(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(_ordered(table, name) for name in table.primary_key)


def _ordered(table: Table, name: str) -> sql.Composed:
    """The column for ordering: text by its bytes, whatever the collation of a column that was there before us."""
    column = next(column for column in table.columns if column.name == name)
    collate = sql.SQL(' collate "C"') if staged_type(column.type) == "text" else sql.SQL("")
    return sql.SQL("{}{}").format(sql.Identifier(name), collate)
