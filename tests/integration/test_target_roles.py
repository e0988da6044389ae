"""deploy/target-roles.sql, run: the worker's user and the application's can do their work, and nothing worse."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from midflight.core.keys import key_bytes
from midflight.gateway import AsyncGateway, Policy
from midflight.mongo.client import open_source
from midflight.postgres.connection import open_target
from midflight.records import ReadReport
from midflight.sync import Bridge, sync_keys
from tests.fixtures.rig import Rig, order
from tests.fixtures.stages import go

SCRIPT = Path(__file__).parents[2] / "deploy/target-roles.sql"
PATIENT = Policy(shadow_seconds=20.0, target_read_seconds=20.0, publish_seconds=0.05)


@dataclass(frozen=True)
class Users:
    """The two users of one database, made by the script."""

    worker: str
    application: str
    after_prepare: str


@pytest.fixture
def users(rig: Rig) -> Iterator[Users]:
    """Names that nobody else uses: roles belong to the whole server."""
    mark = uuid.uuid4().hex[:8]
    database = str(conninfo_to_dict(rig.postgres_dsn)["dbname"])
    names = {"midflight_worker": f"worker_{mark}", "loyalty_app": f"app_{mark}", "loyalty": "shop"}
    text = re.sub(r"database shop\b", f"database {database}", SCRIPT.read_text())
    for name, ours in names.items():
        text = re.sub(rf"\b{name}\b", ours, text)
    before, after = text.split("-- 2. ")
    _run(rig.postgres_dsn, before)
    yield Users(
        worker=make_conninfo(rig.postgres_dsn, user=f"worker_{mark}"),
        application=make_conninfo(rig.postgres_dsn, user=f"app_{mark}"),
        after_prepare=f"-- {after}",
    )
    for user in (f"app_{mark}", f"worker_{mark}"):
        _run(rig.postgres_dsn, f"drop owned by {user} cascade; drop role {user}")


def _run(dsn: str, text: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(text)


@pytest.fixture
async def moved(rig: Rig, users: Users) -> Users:
    """The worker's part of a move up to `verify`, by its user; the order 1 is in both stores."""
    with rig.source() as source:
        source.orders.insert_one(order(1))
    async with open_source(rig.mongo_uri, rig.database) as source_store, open_target(users.worker) as target:
        await target.schema.install_ledger()
        await target.ledger.register(rig.plan)
        await target.schema.create_tables(rig.plan)
        await target.fence.install(rig.plan)
        await sync_keys(Bridge(source_store, target, rig.plan), {"orders": [key_bytes(1)]}, "tail")
    _run(users.worker, users.after_prepare)
    return users


def orders_of(gateway: AsyncGateway, rig: Rig, dsn: str) -> tuple[Any, Any]:
    """A read and a write of the customer of an order, at both sides."""
    orders = gateway.domain("orders", entity=int)

    async def read_target(number: int) -> str:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            found = await connection.execute("select customer from shop.orders where id = %s", (str(number),))
            row = await found.fetchone()
        return str(row[0]) if row else "nobody"

    async def write_target(number: int, customer: str) -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            await connection.execute("update shop.orders set customer = %s where id = %s", (customer, str(number)))

    @orders.read(entity=lambda number: number, target=read_target)
    async def read(number: int) -> str:
        with rig.source() as source:
            found = source.orders.find_one({"_id": number})
        return str(found["customer"]) if found else "nobody"

    @orders.write(
        entities=lambda number, customer: [number],
        keys=lambda number, customer: {"orders": [number]},
        target=write_target,
    )
    async def write(number: int, customer: str) -> None:
        with rig.source() as source:
            source.orders.update_one({"_id": number}, {"$set": {"customer": customer}})

    return read, write


@pytest.mark.parametrize("stage", ["shadow", "ramp", "target"])
async def test_the_applications_user_can_do_the_librarys_work(rig: Rig, moved: Users, stage: str) -> None:
    go(rig.postgres_dsn, "orders", stage, reads_bp=10_000)
    gateway = AsyncGateway(ledger=moved.application, source=rig.mongo_uri, policy=PATIENT)
    async with gateway:
        read, write = orders_of(gateway, rig, moved.application)
        await write(1, "somebody new")
        assert await read(1) == "somebody new"
        assert gateway.floor() == ""  # the shadow write got through
    assert rig.one("select customer from shop.orders") == "somebody new"
    assert rig.one("select count(*) from midflight.instances") == 0  # its lease is given up


async def test_the_applications_user_can_quarantine_what_a_table_does_not_take(rig: Rig, moved: Users) -> None:
    with rig.source() as source:
        source.orders.insert_one({"_id": 2, "customer": "with a NUL \0"})
    async with open_source(rig.mongo_uri, rig.database) as source_store, open_target(moved.application) as target:
        bridge = Bridge(source_store, target, rig.plan)
        await sync_keys(bridge, {"orders": [key_bytes(2)]}, "shadow")
        assert rig.one("select count(*) from midflight.quarantine") == 1
        with rig.source() as source:
            source.orders.delete_one({"_id": 2})
        await sync_keys(bridge, {"orders": [key_bytes(2)]}, "shadow")
    assert rig.one("select count(*) from midflight.quarantine") == 0


async def test_the_applications_user_can_publish_what_reads_showed(rig: Rig, moved: Users) -> None:
    async with open_target(moved.application) as target:
        for _ in range(2):
            await target.registry.publish("orders", "web-1", [ReadReport("balance", 1, compared=2, equal=2)], [])
    assert rig.one("select sum(compared) from midflight.reads") == 4


@pytest.mark.parametrize(
    "statement",
    [
        "update midflight.domains set authority = 'target', accepting = true",
        "update midflight.domains set stage = 'target'",
        "insert into midflight.domains (domain, fingerprint, plan) values ('mine', '', '{}')",
        "delete from midflight.guards",
        "insert into midflight.dirty values (1, '1', 1)",
        "update midflight.positions set mark = 0",
        "delete from midflight.audit",
        "create table midflight.mine ()",
        "create table shop.mine ()",
        "create or replace function midflight.fence() returns trigger language plpgsql as $$begin return null; end$$",
        "alter table shop.orders disable trigger all",
        "drop table shop.orders",
        "truncate shop.orders",
        "set session_replication_role = replica",
    ],
)
async def test_the_applications_user_may_not(rig: Rig, moved: Users, statement: str) -> None:
    go(rig.postgres_dsn, "orders", "target")
    with psycopg.connect(moved.application) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


async def test_the_fence_refuses_the_applications_user_while_the_source_is_in_charge(rig: Rig, moved: Users) -> None:
    go(rig.postgres_dsn, "orders", "ramp")
    with psycopg.connect(moved.application) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute("update shop.orders set customer = 'me'")
    assert refused.value.sqlstate == "MF001"


async def test_the_worker_marks_and_reads_back_what_the_application_wrote(rig: Rig, moved: Users) -> None:
    go(rig.postgres_dsn, "orders", "target")
    with psycopg.connect(moved.application, autocommit=True) as connection:
        connection.execute("update shop.orders set customer = 'me' where id = '1'")
        connection.execute("delete from shop.order_lines")
    async with open_target(moved.worker) as target:
        assert (await target.ledger.authority("orders")).stage == "target"
        assert rig.one("select count(*) from midflight.dirty where seq > written_back") == 1
        await target.fence.remove(rig.plan)


async def test_the_second_half_of_the_script_can_be_repeated(moved: Users) -> None:
    _run(moved.worker, moved.after_prepare)
