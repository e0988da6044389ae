"""One table of PostgreSQL as a side of parity: any table with a unique key, ours or not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Self, cast

import psycopg

from midflight.errors import PlanError
from midflight.parity.records import Entry
from midflight.parity.tables.shapes import Bucket, Cut, Hashes, RowKey, Shape, key_of, row_key_of
from midflight.postgres import table_queries as queries
from midflight.postgres.session import Parameters, Query, Session, open_session
from midflight.postgres.table_catalog import Table, find_table
from midflight.postgres.table_columns import Reader
from midflight.postgres.table_queries import TableQueries
from midflight.records import KeyRange

Row = tuple[Any, ...]

_AT_ONCE = 1_000 if psycopg.capabilities.has_stream_chunked() else 1
"""Rows that the driver hands over in one go."""


class TableSide:
    """Implements `midflight.parity.ports.Side`, and `HashingSide` for the fast comparison of two tables.

    `table` is written as in SQL (`shop.orders`, `"Orders"`). `key` are columns with a unique index and without NULL,
    the primary key if none are named; `columns` are those that are compared, all if none are named. Use it as a context
    manager: it is one connection. PlanError on entering if the table or columns are not there.

    Keys are whole numbers or text; of several columns, an array of them. Text is compared by code points, whatever the
    collation, char(n) without its padding, numbers by value, jsonb by the places inside it, timestamps without a zone
    as UTC; types that parity has no value for by the text that PostgreSQL writes of them.
    """

    def __init__(
        self, dsn: str, table: str, *, key: Sequence[str] = (), columns: Sequence[str] = (), entity: str = ""
    ) -> None:
        self.entity = entity or table
        self._dsn = dsn
        self._table = table
        self._names = tuple(key), tuple(columns)
        self._stack = AsyncExitStack()
        self._session: Session
        self._found: Table
        self._queries: TableQueries
        self._reader: Reader

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._session = await stack.enter_async_context(open_session(self._dsn))
            await self._session.row(queries.SETTINGS)
            self._found = await find_table(self._session, self._table, *self._names)
            self._queries = TableQueries(self._found)
            self._reader = Reader(self._found.columns)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    # --- a side -----------------------------------------------------------------------------------------------------

    async def count(self, entity: str) -> int:
        """From statistics; counted where there are none."""
        self._check(entity)
        estimate = await self._session.row(queries.ESTIMATE, (self._found.number,))
        if estimate is not None and estimate[0] is not None:
            return int(estimate[0])
        return int((await self._all(self._queries.count()))[0][0])

    async def ranges(self, entity: str, parts: int) -> list[KeyRange]:
        """In the order of the key's index."""
        self._check(entity)
        cuts = [key_of(self._row_key(row)) for row in await self._all(self._queries.cuts(), (parts,))]
        return [KeyRange(*bounds) for bounds in zip([None, *cuts], [*cuts, None], strict=True)]

    async def read(
        self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int
    ) -> AsyncIterator[list[Entry]]:
        """Each block is of one moment."""
        self._check(entity)
        while rows := await self._page(keys, above, at_most, whole=True):
            entries = [self._entry(row) for row in rows]
            yield entries
            above = entries[-1].key

    async def keys(self, entity: str, *, above: bytes | None, at_most: int) -> AsyncIterator[list[bytes]]:
        """From the index of the key, where the server finds that cheaper."""
        self._check(entity)
        while rows := await self._page(KeyRange(), above, at_most, whole=False):
            keys = [key_of(self._row_key(row)) for row in rows]
            yield keys
            above = keys[-1]

    async def fetch(self, entity: str, keys: Sequence[bytes], *, deep: bool = False) -> dict[bytes, Entry]:  # noqa: ARG002
        """One statement; a table knows of no image, so `deep` asks for nothing."""
        self._check(entity)
        wanted = [_parts(key) for key in keys]
        arrays = [list(part) for part in zip(*wanted, strict=True)]
        rows = await self._all(self._queries.rows(), arrays) if keys else []
        entries = [self._entry(row) for row in rows]
        # Under a collation that ignores case the index finds other keys, too.
        asked = set(keys)
        return {entry.key: entry for entry in entries if entry.key in asked}

    async def sample(self, entity: str, size: int, seed: int) -> list[bytes]:
        """Those whose hashed keys are the smallest. Reads every key."""
        self._check(entity)
        return [key_of(self._row_key(row)) for row in await self._all(self._queries.sample(), (seed, size))]

    # --- one that hashes its rows -----------------------------------------------------------------------------------

    async def shape(self, entity: str) -> Shape:
        """`rows` is from statistics where there are some."""
        rows = await self.count(entity)
        (engine,) = (await self._all(queries.ENGINE))[0]
        kinds = {column.name: column.kind for column in self._found.columns}
        return Shape(tuple(column.name for column in self._found.key), kinds, rows, await self._span(), engine)

    async def buckets(self, entity: str, cut: Cut) -> AsyncGenerator[Bucket, None]:
        """One statement that reads every row."""
        self._check(entity)
        async for number, rows, total, mixed in self._stream(self._queries.buckets(cut)):
            yield Bucket(number, rows, int(total), mixed)

    async def hashes(self, entity: str, cut: Cut, numbers: Sequence[int]) -> AsyncGenerator[Hashes, None]:
        """One statement; by the key's index where the cut is dense, else it reads every key."""
        self._check(entity)
        async for number, *parts, hashes in self._stream(self._queries.hashes(cut), (list(numbers),)):
            row_keys = parts[0] if len(parts) == 1 else zip(*parts, strict=True)
            yield Hashes(number, dict(zip(row_keys, hashes, strict=True)))

    # --- parts ------------------------------------------------------------------------------------------------------

    def _check(self, entity: str) -> None:
        if entity != self.entity:
            raise PlanError(f"This side is the table {self.entity}, not {entity}.", next_step="Name both sides alike.")

    async def _span(self) -> tuple[int, int] | None:
        if [column.kind for column in self._found.key] != ["whole"]:
            return None
        first, last = (await self._all(self._queries.span()))[0]
        return None if first is None else (first, last)

    async def _page(self, keys: KeyRange, above: bytes | None, at_most: int, *, whole: bool) -> list[Row]:
        bounds = [bound for bound in (keys.lower, above, keys.upper) if bound is not None]
        parameters = [part for bound in bounds for part in _parts(bound)]
        return await self._all(self._queries.page(keys, above, whole=whole), (*parameters, at_most))

    def _entry(self, row: Row) -> Entry:
        return Entry(key_of(self._row_key(row)), self._reader.fields(row[len(self._found.key) :]))

    def _row_key(self, row: Row) -> RowKey:
        parts = len(self._found.key)
        return row[0] if parts == 1 else row[:parts]

    async def _all(self, query: Query, parameters: Parameters = ()) -> list[Row]:
        """Without a time limit: a large table takes its time."""
        async with self._session.patient() as connection:
            return await (await connection.execute(query, parameters, binary=True)).fetchall()

    async def _stream(self, query: Query, parameters: Parameters = ()) -> AsyncGenerator[Row, None]:
        """Row by row, never all at once."""
        async with self._session.patient() as connection:
            rows = connection.cursor().stream(query, parameters, binary=True, size=_AT_ONCE)
            async with aclosing(cast(AsyncGenerator[Row, None], rows)):
                async for row in rows:
                    yield row


def _parts(key: bytes) -> tuple[int | str, ...]:
    row_key = row_key_of(key)
    return row_key if isinstance(row_key, tuple) else (row_key,)
