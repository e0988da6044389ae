"""The new repository: PostgreSQL, the application's own transactions, and constraints that hold whoever writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.errors import ForeignKeyViolation
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from examples.loyalty.model import (
    IN,
    MOST_SETTLED,
    Earn,
    Entry,
    NoSuchMember,
    NotEnough,
    Redeem,
    Settle,
    Settlement,
    Transfer,
    now,
)

Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]
POOL_SECONDS = 5.0

_RECORD = sql.SQL(
    "insert into transactions (id, member_id, kind, points, at, merchant, day, status, other_id, reward)"
    " values (%(id)s, %(member)s, %(kind)s, %(points)s, %(at)s, %(merchant)s, %(day)s, %(status)s, %(other)s,"
    " %(reward)s) on conflict (id) do nothing"
)
_LINE = "insert into transaction_lines (transaction_id, line, sku, quantity, points) values (%s, %s, %s, %s, %s)"
_ADD = "update members set balance = balance + %s where id = %s returning balance"
_TAKE = "update members set balance = balance - %s where id = %s and balance >= %s returning balance"
_LOCK = "select id from members where id = any(%s) order by id for update"
_BALANCE = "select balance from members where id = %s"
_STATEMENT = (
    "select id, kind, points, at, status = 'settled' from transactions where member_id = %s"
    " order by at desc, id desc limit %s"
)
_OPEN = (
    "select id, points from transactions where merchant = %s and status = 'open' and day = %s"
    " order by id limit %s for update"
)
_SETTLE = "update transactions set status = 'settled', settlement_id = %s where id = any(%s)"
_SETTLEMENT = (
    "insert into settlements (id, merchant, day, transactions, points, at) values (%s, %s, %s, %s, %s, %s)"
    " on conflict (id) do nothing"
)
_SETTLED = "select id, merchant, day, transactions, points from settlements where id = %s"


def connect(dsn: str, schema: str) -> Pool:
    """The application's pool, not opened yet."""
    return AsyncConnectionPool(
        dsn,
        open=False,
        min_size=2,
        max_size=8,
        timeout=POOL_SECONDS,
        check=AsyncConnectionPool.check_connection,
        kwargs={"autocommit": True, "options": f"-c search_path={schema}", "connect_timeout": 3},
        reconnect_timeout=600,
    )


class PostgresLoyalty:
    """Loyalty in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def earn(self, order: Earn) -> int:
        """A transaction with its lines, and the points."""
        async with self._transaction() as connection:
            more = {"merchant": order.merchant, "day": order.day, "status": "open"}
            if not await _record(connection, order.operation, order.member, "earn", order.points, **more):
                return await _one(connection, _BALANCE, order.member)
            rows = [(order.operation, place, x.sku, x.quantity, x.points) for place, x in enumerate(order.lines)]
            if rows:
                await connection.cursor().executemany(_LINE, rows)
            return await _one(connection, _ADD, order.points, order.member)

    async def redeem(self, order: Redeem) -> int:
        """A transaction, and fewer points."""
        async with self._transaction() as connection:
            more = {"status": "closed", "reward": order.reward}
            if not await _record(connection, order.operation, order.member, "redeem", -order.points, **more):
                return await _one(connection, _BALANCE, order.member)
            return await _take(connection, order.member, order.points)

    async def transfer(self, order: Transfer) -> int:
        """Two transactions and two members, all or nothing; locked in one order, so that nobody waits in a circle."""
        async with self._transaction() as connection:
            await connection.execute(_LOCK, ([order.member, order.to],))
            given = {"status": "closed", "other": order.to}
            if not await _record(connection, order.operation, order.member, "transfer", -order.points, **given):
                return await _one(connection, _BALANCE, order.member)
            taken = {"status": "closed", "other": order.member}
            await _record(connection, order.operation + IN, order.to, "transfer", order.points, **taken)
            balance = await _take(connection, order.member, order.points)
            await _one(connection, _ADD, order.points, order.to)
            return balance

    async def settle(self, order: Settle) -> Settlement:
        """The merchant's open transactions of the day, marked; and what they come to."""
        async with self._transaction() as connection:
            found = await connection.execute(_OPEN, (order.merchant, order.day, MOST_SETTLED))
            points: dict[str, int] = dict(await found.fetchall())
            what = (order.operation, order.merchant, order.day, len(points), sum(points.values()))
            made = await connection.execute(_SETTLEMENT, (*what, now()))
            if not made.rowcount:
                row = await (await connection.execute(_SETTLED, (order.operation,))).fetchone()
                assert row is not None, "it is there, or it would have been made"
                return Settlement(*row)
            await connection.execute(_SETTLE, (order.operation, list(points)))
            return Settlement(*what)

    async def balance(self, member: str) -> int:
        """The balance."""
        async with self._pool.connection() as connection:
            return await _one(connection, _BALANCE, member)

    async def statement(self, member: str, last: int) -> list[Entry]:
        """The newest transactions."""
        async with self._pool.connection() as connection:
            found = await connection.execute(_STATEMENT, (member, last))
            return [Entry(*row) for row in await found.fetchall()]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._pool.connection() as connection, connection.transaction():
            yield connection


async def _record(connection: Connection, operation: str, member: str, kind: str, points: int, **more: Any) -> bool:
    """Whether the transaction is new: one that is there was carried out before."""
    fields = {"merchant": None, "day": None, "other": None, "reward": None, **more}
    fields |= {"id": operation, "member": member, "kind": kind, "points": points, "at": now()}
    try:
        return bool((await connection.execute(_RECORD, fields)).rowcount)
    except ForeignKeyViolation:
        raise NoSuchMember(member) from None


async def _take(connection: Connection, member: str, points: int) -> int:
    row = await (await connection.execute(_TAKE, (points, member, points))).fetchone()
    if row is None:
        raise NotEnough(member)
    return int(row[0])


async def _one(connection: Connection, statement: Any, *parameters: Any) -> int:
    row = await (await connection.execute(statement, parameters)).fetchone()
    if row is None:
        raise NoSuchMember(str(parameters[-1]))
    return int(row[0])
