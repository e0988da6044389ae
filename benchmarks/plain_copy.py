"""Plain binary COPY of the rows that the backfill writes, into the same tables: what PostgreSQL itself takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import sql

from midflight.core.outcome import Mapped, Row
from midflight.core.plan import CollectionMap
from midflight.core.tables import Table, tables
from midflight.postgres.session import Connection, Session

_TYPES = sql.SQL("select atttypid from pg_attribute where attrelid = %s::regclass and attnum > 0 order by attnum")


class PlainCopy:
    """COPY into the tables of one collection, over one connection."""

    def __init__(self, session: Session, schema: str, collection: CollectionMap) -> None:
        self._session = session
        self._schema = schema
        self._tables = tables(collection)
        self._types: list[list[int]] = []

    async def look_up_types(self) -> None:
        """Binary COPY wants values of exactly the columns' types."""
        for table in self._tables:
            found = await self._session.rows(_TYPES, (f"{self._schema}.{table.name}",))
            self._types.append([oid for (oid,) in found])

    async def send_rows(self, batches: Iterable[Sequence[Mapped]]) -> None:
        """Row tuples, formatted by the driver; one transaction a batch, as the backfill does."""
        for batch in batches:
            async with self._session.transaction() as connection:
                for number in range(len(self._tables)):
                    await self._send(connection, number, (row for one in batch for row in one.rows[number]))

    async def fetch_bytes(self) -> list[list[bytes]]:
        """What lies in the tables as COPY's own bytes, in key order."""
        async with self._session.transaction() as connection:
            return [await _fetch(connection, self._name(table), table.primary_key) for table in self._tables]

    async def send_bytes(self, contents: Sequence[Sequence[bytes]]) -> None:
        """Bytes of `fetch_bytes`; one transaction in all: the client does next to nothing."""
        async with self._session.transaction() as connection:
            for table, chunks in zip(self._tables, contents, strict=True):
                async with connection.cursor() as cursor, cursor.copy(_copy_in(self._name(table))) as copy:
                    for chunk in chunks:
                        await copy.write(chunk)

    async def start_over(self) -> None:
        """Truncate all, and let no write of the past disturb the next run."""
        names = sql.SQL(", ").join([self._name(table) for table in self._tables])
        await self._session.run(sql.SQL("truncate {}").format(names))
        await self._session.run(sql.SQL("checkpoint"))

    async def _send(self, connection: Connection, number: int, rows: Iterable[Row]) -> None:
        statement = _copy_in(self._name(self._tables[number]))
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(self._types[number])
            format_row = copy.formatter.write_row
            for row in rows:
                if block := format_row(row):
                    await copy.write(block)

    def _name(self, table: Table) -> sql.Identifier:
        return sql.Identifier(self._schema, table.name)


def _copy_in(name: sql.Identifier) -> sql.Composed:
    return sql.SQL("copy {} from stdin (format binary)").format(name)


async def _fetch(connection: Connection, name: sql.Identifier, order: Sequence[str]) -> list[bytes]:
    columns = sql.SQL(", ").join(map(sql.Identifier, order))
    statement = sql.SQL("copy (select * from {} order by {}) to stdout (format binary)").format(name, columns)
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return _joined([bytes(chunk) async for chunk in copy])


def _joined(rows: Sequence[bytes], size: int = 2_000) -> list[bytes]:
    """The server sends row by row; sent back like that, the driver's calls would be what is measured."""
    return [b"".join(rows[start : start + size]) for start in range(0, len(rows), size)]


def mapped_only(outcomes: Iterable[Any]) -> list[Mapped]:
    """The outcomes, all of which must be rows."""
    found = list(outcomes)
    assert all(isinstance(one, Mapped) for one in found), "the benchmark's documents all map"
    return found
