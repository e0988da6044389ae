"""A small domain to measure the application's library with: one collection of accounts, its table, and its stages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from midflight.core.keys import key_bytes
from midflight.core.plan import CollectionMap, FieldMap, KeyMap, Plan, SourcePlace, TargetPlace
from midflight.core.routing import Side
from midflight.gateway import AsyncDomain, AsyncGateway, Policy
from midflight.mongo.client import open_source
from midflight.postgres.connection import open_target
from midflight.sync import Bridge, sync_keys

ACCOUNTS = 1_000
NAMES = [f"account-{number:05}" for number in range(ACCOUNTS)]
DATABASE = "bench"
PLAN = Plan(
    domain="accounts",
    source=SourcePlace(store="source", database=DATABASE),
    target=TargetPlace(store="target", schema_="bench"),
    collections=(
        CollectionMap(
            collection="accounts",
            table="accounts",
            key=KeyMap(column="id", type="text"),
            fields=(
                FieldMap(field="owner", column="owner", type="text"),
                FieldMap(field="balance", column="balance", type="bigint"),
            ),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of the table: its title, and the authority row that makes it."""

    title: str
    stage: str
    side: Side
    reads_side: Side
    reads_bp: int = 0
    dark_reads_bp: int = 0


STAGES = (
    Stage("off", "off", Side.SOURCE, Side.SOURCE),
    Stage("shadow", "shadow", Side.SOURCE, Side.SOURCE),
    Stage("dark_read, 5 % compared", "dark_read", Side.SOURCE, Side.SOURCE, dark_reads_bp=500),
    Stage("dark_read, all compared", "dark_read", Side.SOURCE, Side.SOURCE, dark_reads_bp=10_000),
    Stage("ramp, 0 %", "ramp", Side.SOURCE, Side.SOURCE),
    Stage("ramp, 100 %", "ramp", Side.SOURCE, Side.TARGET, reads_bp=10_000),
    Stage("target", "target", Side.TARGET, Side.TARGET),
    Stage("target_only", "target_only", Side.TARGET, Side.TARGET),
)


class Stores:
    """The application's own functions over the two drivers; `plain` tables carry nothing of Midflight."""

    def __init__(self, accounts: AsyncCollection[dict[str, Any]], pool: AsyncConnectionPool, table: str) -> None:
        self._accounts = accounts
        self._pool = pool
        self._table = table

    async def source_read(self, account: str) -> int:
        found = await self._accounts.find_one({"_id": account})
        assert found is not None
        return int(found["balance"])

    async def source_write(self, account: str) -> None:
        await self._accounts.update_one({"_id": account}, {"$inc": {"balance": 1}})

    async def target_read(self, account: str) -> int:
        async with self._pool.connection() as connection:
            found = await connection.execute(f"select balance from {self._table} where id = %s", (account,))
            row = await found.fetchone()
            assert row is not None
            return int(row[0])

    async def target_write(self, account: str) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(f"update {self._table} set balance = balance + 1 where id = %s", (account,))

    def plain(self, side: Side, kind: str) -> Any:
        """The driver's own way: `read` or `write` of one side."""
        return getattr(self, f"{side}_{kind}")


class Moved:
    """The same functions through the library."""

    def __init__(self, domain: AsyncDomain[str], stores: Stores) -> None:
        def entity(account: str) -> str:
            return account

        def entities(account: str) -> Iterable[str]:
            return (account,)

        def keys(account: str) -> dict[str, Iterable[str]]:
            return {"accounts": (account,)}

        self.read = domain.read(entity=entity, target=stores.target_read)(stores.source_read)
        self.write = domain.write(entities=entities, target=stores.target_write, keys=keys)(stores.source_write)


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything open."""

    plain: Stores
    moved: Moved
    domain: AsyncDomain[str]
    uri: str
    dsn: str

    async def begin(self) -> None:
        """A new round: back to the first stage, and no tail runs here, so both stores are made equal by hand."""
        await self.go(STAGES[0])
        await _level(self.uri, self.dsn)

    async def go(self, stage: Stage) -> None:
        """Move the authority row, as the controller would; wait until the library obeys."""
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as ledger:
            await ledger.execute(
                "update midflight.domains set stage = %s, reads_bp = %s, dark_reads_bp = %s, accepting = %s,"
                " epoch = epoch + (authority <> %s)::int, authority = %s where domain = 'accounts'",
                (stage.stage, stage.reads_bp, stage.dark_reads_bp, stage.side is Side.TARGET, stage.side, stage.side),
            )
        while not _obeys(await self.domain.ready(), stage):
            await asyncio.sleep(0.01)


def _obeys(route: Any, stage: Stage) -> bool:
    return (route.stage, route.reads_bp, route.dark_reads_bp) == (stage.stage, stage.reads_bp, stage.dark_reads_bp)


@asynccontextmanager
async def opened(uri: str, dsn: str) -> AsyncIterator[Bench]:
    """Accounts in both stores, ledger and fence in place, the library started."""
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        accounts = client[DATABASE]["accounts"]
        await _fill(accounts, uri, dsn)
        async with _pool(dsn) as pool, AsyncGateway(ledger=dsn, source=uri, policy=Policy()) as gateway:
            domain = gateway.domain("accounts", entity=str)
            await domain.ready()
            moved = Moved(domain, Stores(accounts, pool, "bench.accounts"))
            yield Bench(Stores(accounts, pool, "bench.accounts_plain"), moved, domain, uri, dsn)


def _pool(dsn: str) -> AsyncConnectionPool:
    return AsyncConnectionPool(dsn, min_size=4, max_size=8, kwargs={"autocommit": True}, open=False)


async def _level(uri: str, dsn: str) -> None:
    keys = [key_bytes(name) for name in NAMES]
    async with open_source(uri, DATABASE) as source, open_target(dsn) as target:
        await sync_keys(Bridge(source, target, PLAN), {"accounts": keys}, "repair")


async def _fill(accounts: AsyncCollection[dict[str, Any]], uri: str, dsn: str) -> None:
    await accounts.insert_many(
        [{"_id": name, "owner": f"owner of {name}", "balance": 0, "city": "Ghent"} for name in NAMES]
    )
    async with open_target(dsn) as target:
        await target.schema.install_ledger()
        await target.ledger.register(PLAN)
        await target.schema.create_tables(PLAN)
        await target.fence.install(PLAN)
    await _level(uri, dsn)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("create table bench.accounts_plain (like bench.accounts including all)")
        await connection.execute("insert into bench.accounts_plain select * from bench.accounts")
        await connection.execute("vacuum analyze")
