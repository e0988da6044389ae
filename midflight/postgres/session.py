"""One connection to the target: opened with bounds on every wait, used by one caller at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import sql

from midflight.postgres.adapt import register_types
from midflight.postgres.failures import translated

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Query = sql.SQL | sql.Composed
Parameters = Sequence[Any] | Mapping[str, Any]

LOCK_TIMEOUT = "10s"
STATEMENT_TIMEOUT = "120s"
IDLE_IN_TRANSACTION_TIMEOUT = "30s"
"""A stopped process must not keep the authority row locked, or nobody could flip."""

_SETTINGS = {
    "lock_timeout": LOCK_TIMEOUT,
    "statement_timeout": STATEMENT_TIMEOUT,
    "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT,
    "timezone": "UTC",
    # The driver reads times as text in this style only; and doubles must say all that they are.
    "datestyle": "ISO",
    "extra_float_digits": "1",
    "default_transaction_isolation": "read committed",
}
# What a database was told to take lightly must not be lost here: the other store relies on it. Stricter is left alone.
_DURABLE = sql.SQL(
    "select set_config('synchronous_commit', 'on', false)"
    " where current_setting('synchronous_commit') not in ('on', 'remote_apply')"
)


class Session:
    """A connection with a lock around it: calls of several tasks follow one another, transactions never mix."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction, committed at the end; the driver's errors become ours."""
        async with self._lock:
            with translated():
                async with self.connection.transaction():
                    yield self.connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """A read-only transaction in which every statement sees the same moment."""
        async with self.transaction() as connection:
            await connection.execute("set transaction isolation level repeatable read, read only")
            yield connection

    @asynccontextmanager
    async def patient(self) -> AsyncIterator[Connection]:
        """Outside a transaction and without time limits: for statements whose duration grows with the data."""
        async with self._lock:
            with translated():
                await self.connection.execute(_limits("0", "0"))
                try:
                    yield self.connection
                finally:
                    if not self.connection.closed:
                        await self.connection.execute(_limits(STATEMENT_TIMEOUT, LOCK_TIMEOUT))

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Connection]:
        """The connection outside a transaction: notifications arrive only there."""
        async with self._lock:
            with translated():
                yield self.connection

    async def rows(self, query: Query, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement in a transaction of its own."""
        async with self._lock:
            with translated():
                return await (await self.connection.execute(query, parameters)).fetchall()

    async def row(self, query: Query, parameters: Parameters = ()) -> tuple[Any, ...] | None:
        """The first row, or None."""
        found = await self.rows(query, parameters)
        return found[0] if found else None

    async def run(self, query: Query, parameters: Parameters = ()) -> int:
        """Execute one statement; returns how many rows it touched."""
        async with self._lock:
            with translated():
                return (await self.connection.execute(query, parameters)).rowcount


@asynccontextmanager
async def open_session(dsn: str) -> AsyncIterator[Session]:
    """Connect, and close at the end. TargetUnavailable, TargetRefused."""
    with translated():
        connection = await _connect(dsn)
    try:
        yield Session(connection)
    finally:
        await connection.close()


async def _connect(dsn: str) -> Connection:
    connection = await psycopg.AsyncConnection.connect(
        dsn,
        autocommit=True,
        # A plan made for empty staging tables must not be kept for full ones.
        prepare_threshold=None,
        application_name="midflight",
        connect_timeout=10,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=30_000,
    )
    try:
        await _set_up(connection)
    except BaseException:  # a cancellation too: nobody else knows the connection yet
        await connection.close()
        raise
    return connection


async def _set_up(connection: Connection) -> None:
    register_types(connection)
    await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
    await connection.execute(_DURABLE)
    settings = sql.SQL(", ").join(
        sql.SQL("set_config({}, {}, false)").format(name, value) for name, value in _SETTINGS.items()
    )
    await connection.execute(sql.SQL("select {}").format(settings))


def _limits(statement: str, lock: str) -> sql.Composed:
    template = "select set_config('statement_timeout', {}, false), set_config('lock_timeout', {}, false)"
    return sql.SQL(template).format(statement, lock)
