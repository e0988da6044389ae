"""Rows of tables, whatever times they hold: PostgreSQL has infinity, years before 1 and after 9999; Python does not.

The driver fails on a page with a single such time. Then the page is fetched once more, with its times as text.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql

from midflight.core.column_types import TIMES, parse_type
from midflight.core.outcome import Row
from midflight.core.tables import Column, Table
from midflight.postgres.session import Connection, Parameters

Query = Callable[[sql.Composed], sql.Composed]
"""Makes the query that gives these columns."""
_FROM_TEXT: dict[str, Callable[[str], Any]] = {"timestamptz": datetime.fromisoformat, "date": date.fromisoformat}


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


async def _rows(connection: Connection, query: sql.Composed, parameters: Parameters) -> list[Row]:
    return await (await connection.execute(query, parameters, binary=True)).fetchall()


def _read(row: Row, times: list[tuple[int, Callable[[str], Any]]]) -> Row:
    cells = list(row)
    for slot, read in times:
        if cells[slot] is not None:
            try:
                cells[slot] = read(cells[slot])
            except ValueError:
                continue
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
