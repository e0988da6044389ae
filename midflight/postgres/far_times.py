"""Rows of tables, whatever times they hold: PostgreSQL has infinity, years before 1 and after 9999; Python does not.

The driver fails on a page with a single such time. Then a page of a table is fetched once more, with its times as text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeVar

import psycopg
from psycopg import adapt, pq, sql
from psycopg.abc import Buffer

from midflight.core.column_types import TIMES, parse_type
from midflight.core.outcome import Row
from midflight.core.tables import Column, Table
from midflight.postgres.session import Connection, Parameters

T = TypeVar("T")
Query = Callable[[sql.Composed], sql.Composed]
"""Makes the query that gives these columns."""
_FROM_TEXT: dict[str, Callable[[str], Any]] = {"timestamptz": datetime.fromisoformat, "date": date.fromisoformat}


class _Instant(adapt.Loader):
    format = pq.Format.TEXT

    def load(self, data: Buffer) -> datetime | str:
        return _or_text(datetime.fromisoformat, bytes(data).decode())


class _Day(adapt.Loader):
    format = pq.Format.TEXT

    def load(self, data: Buffer) -> date | str:
        return _or_text(date.fromisoformat, bytes(data).decode())


_LOADERS: dict[str, type[_Instant] | type[_Day]] = {"timestamptz": _Instant, "timestamp": _Instant, "date": _Day}


def _or_text(read: Callable[[str], T], text: str) -> T | str:
    try:
        return read(text)
    except ValueError:
        return text


async def rows_with_times(connection: Connection, table: Table, query: Query, parameters: Parameters) -> list[Row]:
    """The rows that the query gives, with the table's columns. A time that Python does not have is its text."""
    try:
        return await _rows(connection, query(_columns(table, _as_it_is)), parameters)
    except psycopg.DataError as error:
        if error.sqlstate is not None:  # it is the server that failed, not the driver on what came
            raise
    rows = await _rows(connection, query(_columns(table, _as_text)), parameters)
    times = [(slot, read) for slot, column in enumerate(table.columns) if (read := _FROM_TEXT.get(_type(column)))]
    return [_read(row, times) for row in rows]


def cursor_with_times(connection: Connection) -> psycopg.AsyncCursor[Row]:
    """For a query whose columns nobody knows: slower with times, and a time that Python does not have is its text."""
    cursor = connection.cursor()
    for name, loader in _LOADERS.items():
        cursor.adapters.register_loader(name, loader)
    return cursor


async def _rows(connection: Connection, query: sql.Composed, parameters: Parameters) -> list[Row]:
    # As text, which the driver reads faster than binary numbers and times; the session sees to its form.
    return await (await connection.execute(query, parameters)).fetchall()


def _read(row: Row, times: list[tuple[int, Callable[[str], Any]]]) -> Row:
    cells = list(row)
    for slot, read in times:
        if cells[slot] is not None:
            cells[slot] = _or_text(read, cells[slot])
    return tuple(cells)


def _columns(table: Table, shown: Callable[[Column], sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(map(shown, table.columns))


def _as_it_is(column: Column) -> sql.Composable:
    return sql.Identifier(column.name)


def _as_text(column: Column) -> sql.Composable:
    name = sql.Identifier(column.name)
    # By way of JSON: a cast to text depends on the session's DateStyle.
    return sql.SQL("to_jsonb({}) #>> '{{}}'").format(name) if _type(column) in TIMES else name


def _type(column: Column) -> str:
    return parse_type(column.type).name
