"""Small documents for the target: a plan of two collections, outcomes made by hand, looks at what arrived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from midflight.core.keys import key_bytes
from midflight.core.outcome import Absent, Applied, Batch, Checkpoint, Mapped, Outcome, Path, Refused, Ticket
from midflight.core.plan import CollectionMap, Plan
from midflight.ports import Target
from midflight.postgres.connection import open_target
from midflight.records import KeyRange

DOMAIN = "shop"
SOON = 30.0

MEMBERS = {
    "collection": "members",
    "table": "members",
    "key": {"column": "id", "type": "text"},
    "fields": [{"field": "email", "column": "email", "type": "text", "required": True}],
    "indexes": [{"columns": ["email"], "unique": True}],
}
ORDERS = {
    "collection": "orders",
    "table": "orders",
    "key": {"column": "id", "type": "text"},
    "fields": [
        {"field": "member", "column": "member", "type": "text", "references": {"table": "members", "column": "id"}},
        {"field": "total", "column": "total", "type": "numeric(6,2)"},
        {"field": "version", "column": "version", "type": "integer"},
        {"field": "code", "column": "code", "type": "varchar(5)"},
    ],
    "children": [
        {
            "array": "lines",
            "table": "order_lines",
            "parent_key": "order_id",
            "fields": [{"field": "sku", "column": "sku", "type": "text"}],
        }
    ],
}


def shop(*collections: dict[str, Any]) -> Plan:
    """A plan of the given collections; members and orders where none is given."""
    return Plan.model_validate(
        {
            "domain": DOMAIN,
            "source": {"store": "mongo", "database": "shop"},
            "target": {"store": "postgres"},
            "collections": collections or (MEMBERS, ORDERS),
        }
    )


def member(name: str, email: str | None) -> Mapped:
    return Mapped(key_bytes(name), ([(name, email, None)],), checksum=f"{name}{email}".encode())


def order(name: str, version: int, *, lines: int = 2, **columns: Any) -> Mapped:
    total, code = columns.get("total", Decimal("1.50")), columns.get("code", "abc")
    root = (name, columns.get("member"), total, version, code, columns.get("extra"))
    items = [(name, n, f"sku-{version}-{n}") for n in range(lines)]
    return Mapped(key_bytes(name), ([root], items), checksum=f"{name}{version}".encode())


def gone(name: str) -> Absent:
    return Absent(key_bytes(name), name)


def refused(name: str, reason: str = "not a date", checksum: bytes = b"one image") -> Refused:
    return Refused(key_bytes(name), name, "born", "string", "members.born", reason, checksum)


@dataclass
class Shop:
    """An open target with the shop's tables, and a second connection that looks at it."""

    dsn: str
    target: Target
    plan: Plan
    look: psycopg.AsyncConnection[tuple[Any, ...]]

    async def draw(self) -> Ticket:
        return await self.target.door.draw(DOMAIN)

    async def apply(
        self,
        outcomes: Sequence[Outcome] | dict[str, list[Outcome]],
        ticket: Ticket | None = None,
        checkpoint: Checkpoint = None,
        path: Path = "tail",
    ) -> Applied:
        """Apply to `orders` (or by collection), with a new ticket where none is given."""
        by_collection = outcomes if isinstance(outcomes, dict) else {"orders": list(outcomes)}
        batch = Batch(path, by_collection, checkpoint)
        return await self.target.door.apply(self.plan, ticket or await self.draw(), batch)

    async def ask(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return await (await self.look.execute(query.encode(), parameters)).fetchall()

    async def orders(self) -> dict[str, int]:
        """Version by order."""
        return dict(await self.ask("select id, version from orders order by id"))

    async def skus(self, name: str) -> list[str]:
        return [s for (s,) in await self.ask("select sku from order_lines where order_id = %s order by position", name)]

    async def guard(self, name: str) -> tuple[Any, ...] | None:
        found = await self.ask(
            "select token, deleted, refused, path from midflight.guards where key = %s", key_bytes(name)
        )
        return found[0] if found else None

    async def everything(self) -> list[list[tuple[Any, ...]]]:
        """All that an apply may touch, to show that nothing changed."""
        tables = ("orders", "order_lines", "members", "midflight.guards", "midflight.quarantine")
        places = ("midflight.partitions", "midflight.positions")
        return [await self.ask(f"select * from {table} order by 1, 2") for table in (*tables, *places)]

    async def add_constraints(self) -> None:
        """Indexes and foreign keys, as after the backfill."""
        schema = self.target.schema
        await schema.create_indexes(self.plan)
        for name in await schema.create_foreign_keys(self.plan):
            await schema.validate_foreign_key(self.plan, name)


@asynccontextmanager
async def open_shop(dsn: str, plan: Plan | None = None) -> AsyncIterator[Shop]:
    """The shop, prepared: ledger, plan, tables, one partition and a pinned position."""
    plan = plan or shop()
    async with open_target(dsn) as target, await psycopg.AsyncConnection.connect(dsn, autocommit=True) as look:
        await target.schema.install_ledger()
        await target.ledger.register(plan)
        await target.schema.create_tables(plan)
        for entry in plan.collections:
            await target.ledger.put_partitions(DOMAIN, entry.collection, [KeyRange()])
        await target.ledger.pin(DOMAIN, b"start")
        yield Shop(dsn, target, plan, look)


async def until_blocked(look: psycopg.AsyncConnection[tuple[Any, ...]], count: int = 1) -> list[int]:
    """Wait until `count` of our connections wait for a lock; their process numbers."""
    waiting = (
        "select pid from pg_stat_activity where datname = current_database()"
        " and application_name = 'midflight' and wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(SOON):
        while len(found := await (await look.execute(waiting.encode())).fetchall()) < count:
            await asyncio.sleep(0.01)
    return [pid for (pid,) in found]


async def until_waiting(
    look: psycopg.AsyncConnection[tuple[Any, ...]], connection: psycopg.AsyncConnection[tuple[Any, ...]]
) -> None:
    """Wait until the connection's statement waits for a lock."""
    waits = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
    async with asyncio.timeout(SOON):
        while await (await look.execute(waits, (connection.info.backend_pid,))).fetchone() != (True,):
            await asyncio.sleep(0.01)


def collection(plan: Plan, name: str) -> CollectionMap:
    return plan.collection(name)
