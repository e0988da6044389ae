"""Tables, indexes and foreign keys made from the plan, or checked against what is there; and what `prepare` finds."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from midflight.core.plan import Plan
from midflight.errors import TargetError, TargetNotOurs, TargetRefused, TargetUnavailable
from midflight.postgres.connection import open_target
from midflight.records import Finding, RowSpan
from tests.integration.door_kit import DOMAIN, MEMBERS, ORDERS, Shop, member, open_shop, order, shop

MEMBERS_TABLE = 'create table members (id text collate "C" primary key, email text not null, extra jsonb)'


@pytest.fixture
async def here(postgres_database: str) -> AsyncIterator[Shop]:
    async with open_shop(postgres_database) as opened:
        yield opened


@pytest.fixture
def admin(postgres_database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        yield connection


async def prepare(dsn: str, plan: Plan) -> None:
    async with open_target(dsn) as target:
        await target.schema.install_ledger()
        await target.ledger.register(plan)
        await target.schema.create_tables(plan)


async def inspect(dsn: str, plan: Plan) -> dict[str, Finding]:
    async with open_target(dsn) as target:
        return {finding.check: finding for finding in await target.schema.inspect(plan, 10 * 2**30)}


def columns(admin: psycopg.Connection[Any], table: str) -> list[tuple[str, str, bool, str | None]]:
    return admin.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, c.collname from pg_attribute a"
        " left join pg_collation c on c.oid = a.attcollation and c.collname = 'C'"
        " where a.attrelid = %s::regclass and a.attnum > 0 order by a.attnum",
        (table,),
    ).fetchall()


# --- tables -------------------------------------------------------------------


async def test_tables_have_the_plans_columns_and_keys_ordered_by_bytes(
    here: Shop, admin: psycopg.Connection[Any]
) -> None:
    assert columns(admin, "orders") == [
        ("id", "text", True, "C"),
        ("member", "text", False, None),
        ("total", "numeric(6,2)", False, None),
        ("version", "integer", False, None),
        ("code", "character varying(5)", False, None),
        ("extra", "jsonb", False, None),
    ]
    assert columns(admin, "order_lines") == [
        ("order_id", "text", True, "C"),
        ("position", "integer", True, None),
        ("sku", "text", False, None),
    ]
    assert columns(admin, "members")[1] == ("email", "text", True, None)


async def test_preparing_again_changes_nothing_even_when_rows_are_there(here: Shop) -> None:
    await here.apply([order("a", 1)])
    await prepare(here.dsn, here.plan)
    assert await here.orders() == {"a": 1}


async def test_tables_go_to_the_plans_schema_which_is_made_where_it_is_missing(postgres_database: str) -> None:
    plan = shop(MEMBERS)
    plan = plan.model_copy(update={"target": plan.target.model_copy(update={"schema_": "loyalty"})})
    async with open_shop(postgres_database, plan) as here:
        await here.apply({"members": [member("m", "m@x")]})
        assert await here.ask("select id from loyalty.members") == [("m",)]


async def test_an_empty_table_of_the_right_shape_is_taken_over(
    postgres_database: str, admin: psycopg.Connection[Any]
) -> None:
    admin.execute(MEMBERS_TABLE)
    async with open_shop(postgres_database, shop(MEMBERS)) as here:
        assert (await here.apply({"members": [member("m", "m@x")]})).written == 1


async def test_a_key_column_of_the_default_collation_works_too(
    postgres_database: str, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("create table members (id text primary key, email text not null, extra jsonb)")
    async with open_shop(postgres_database, shop(MEMBERS)) as here:
        await here.apply({"members": [member("b", "m@x"), member("A", "a@x")]})
        await here.apply({"members": [member("b", "new@x")]}, path="repair")
        found = await here.target.rows.scan_keys("public", here.plan.collection("members"), RowSpan(), 10)
        assert [row[0] for row in found] == ["A", "b"]


@pytest.mark.parametrize(
    ("ddl", "objection"),
    [
        (
            "create table members (id text primary key, email varchar(9) not null, extra jsonb)",
            r"column email is character varying\(9\), the plan says text",
        ),
        ("create table members (id text primary key, extra jsonb)", "column email is missing"),
        (
            "create table members (id text primary key, email text not null, extra jsonb, age int)",
            "column age is not in the plan",
        ),
        (
            "create table members (id text primary key, email text, extra jsonb)",
            "column email is nullable, the plan says not null",
        ),
        (
            "create table members (id text not null, email text primary key, extra jsonb)",
            r"the primary key is not \(id\)",
        ),
        (f"{MEMBERS_TABLE}; insert into members values ('x', 'x@x')", "holds rows that Midflight did not write"),
    ],
    ids=["type", "missing", "extra", "nullable", "key", "rows"],
)
async def test_a_table_that_is_not_ours_is_refused_and_says_what_differs(
    postgres_database: str, admin: psycopg.Connection[Any], ddl: str, objection: str
) -> None:
    admin.execute(ddl.encode())
    with pytest.raises(TargetNotOurs, match=rf"Table public.members cannot be used: {objection}.*Rename"):
        await prepare(postgres_database, shop(MEMBERS))
    finding = (await inspect(postgres_database, shop(MEMBERS)))["tables"]
    assert not finding.ok
    assert "public.members" in finding.detail


async def test_a_table_of_another_domain_is_refused(here: Shop) -> None:
    other = here.plan.model_copy(update={"domain": "other"})
    with pytest.raises(TargetNotOurs, match=f"belongs to domain {DOMAIN}"):
        await prepare(here.dsn, other)


async def test_when_one_table_is_refused_none_is_created(
    postgres_database: str, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("create table orders (id int)")
    with pytest.raises(TargetNotOurs):
        await prepare(postgres_database, shop())
    assert admin.execute("select to_regclass('members')").fetchone() == (None,)


async def test_a_ledger_of_a_newer_midflight_is_left_alone(here: Shop) -> None:
    await here.look.execute("update midflight.version set version = 99")
    with pytest.raises(TargetError, match="version 99"):
        await here.target.schema.install_ledger()


# --- indexes and foreign keys ---------------------------------------------------


async def test_constraints_are_pending_until_they_are_built_and_valid(here: Shop) -> None:
    schema = here.target.schema
    assert await schema.pending(here.plan) == 3
    await schema.create_indexes(here.plan)
    names = await schema.create_foreign_keys(here.plan)
    assert names == ["order_lines_order_id_fkey", "orders_member_fkey"]
    assert await schema.pending(here.plan) == 2
    assert await schema.create_foreign_keys(here.plan) == names
    for name in names:
        await schema.validate_foreign_key(here.plan, name)
    await schema.validate_foreign_key(here.plan, names[0])
    await schema.create_indexes(here.plan)
    assert await schema.pending(here.plan) == 0
    assert await schema.create_foreign_keys(here.plan) == []


async def test_an_index_left_invalid_is_built_again(here: Shop) -> None:
    schema = here.target.schema
    await here.apply({"members": [member("m", "same@x"), member("n", "same@x")]})
    with pytest.raises(TargetError, match=r"not unique in \(email\).*having count") as caught:
        await schema.create_indexes(here.plan)
    assert "same@x" not in str(caught.value)
    await here.apply({"members": [member("n", "other@x")]})
    assert await schema.pending(here.plan) == 3
    await schema.create_indexes(here.plan)
    assert await schema.pending(here.plan) == 2


async def test_orphans_are_named_by_the_documents_that_hold_them(here: Shop) -> None:
    schema = here.target.schema
    orders = [order("a", 1, member="m"), order("b", 1, member="nobody"), order("c", 1), order("d", 1, member="none")]
    await here.apply({"members": [member("m", "m@x")], "orders": list(orders)})
    names = await schema.create_foreign_keys(here.plan)
    assert {n: await schema.orphans(here.plan, n, 10) for n in names} == {
        "order_lines_order_id_fkey": {},
        "orders_member_fkey": {"orders": ["b", "d"]},
    }
    with pytest.raises(TargetError, match="orders_member_fkey"):
        await schema.validate_foreign_key(here.plan, "orders_member_fkey")
    await here.apply([orders[1], orders[3]], path="repair")
    assert await schema.orphans(here.plan, "orders_member_fkey", 10) == {}
    await schema.validate_foreign_key(here.plan, "orders_member_fkey")


async def test_a_foreign_key_that_is_not_in_the_plan_is_named(here: Shop) -> None:
    with pytest.raises(TargetError, match="no foreign key nonsense"):
        await here.target.schema.orphans(here.plan, "nonsense", 1)


# --- inspection and connecting -----------------------------------------------------


async def test_a_good_target_has_only_good_findings(postgres_database: str) -> None:
    found = await inspect(postgres_database, shop())
    assert [finding for finding in found.values() if not finding.ok] == []
    assert "25.0 GiB" in found["disk"].detail or "25 GiB" in found["disk"].detail
    assert "unknown" in found["disk"].detail


async def test_looking_changes_nothing(postgres_database: str, admin: psycopg.Connection[Any]) -> None:
    await inspect(postgres_database, shop())
    tables = "select count(*) from pg_class where relnamespace not in ('pg_catalog'::regnamespace,"
    tables += " 'information_schema'::regnamespace, 'pg_toast'::regnamespace)"
    assert admin.execute(tables.encode()).fetchone() == (0,)


def of_user(domain: str, database: str = "shop", user: str = "app") -> Plan:
    plan = shop(ORDERS | {"table": domain, "fields": [], "children": []})
    source = plan.source.model_copy(update={"database": database, "application_users": ("other", user)})
    return plan.model_copy(update={"domain": domain, "source": source})


async def test_a_user_that_writes_for_another_domain_is_found_before_its_right_to_write_is_taken(
    postgres_database: str,
) -> None:
    """Red without: the cutover of one domain would stop the application's writes to the other."""
    async with open_target(postgres_database) as target:
        await target.schema.install_ledger()
        for plan in (of_user("one"), of_user("two", "elsewhere")):
            await target.ledger.register(plan)
        found = (await inspect(postgres_database, of_user("three")))["application users"]
        assert not found.ok
        assert found.detail == "`app` writes for domain one too; `other` writes for domain one too"
        for plan in (of_user("one"), shop(ORDERS | {"fields": []}), of_user("three", "third")):
            assert (await inspect(postgres_database, plan))["application users"].ok
        await target.ledger.flip("one", 1)
        assert (await inspect(postgres_database, of_user("three")))["application users"].ok


@pytest.fixture
def stranger(postgres_database: str, admin: psycopg.Connection[Any]) -> Iterator[str]:
    """DSN of a role without any privilege of its own."""
    name = f"stranger_{uuid.uuid4().hex[:8]}"
    role = sql.Identifier(name)
    admin.execute(sql.SQL("create role {} login").format(role))
    yield psycopg.conninfo.make_conninfo(postgres_database, user=name)
    admin.execute(sql.SQL("drop owned by {}").format(role))
    admin.execute(sql.SQL("drop role {}").format(role))


async def test_a_missing_privilege_is_found_with_the_grant_to_run(
    stranger: str, admin: psycopg.Connection[Any]
) -> None:
    found = await inspect(stranger, shop(ORDERS | {"fields": []}))
    assert not found["privilege: ledger"].ok
    assert not found["privilege: tables"].ok
    assert "GRANT CREATE ON DATABASE" in found["privilege: ledger"].next_step
    for check in ("privilege: ledger", "privilege: tables"):
        admin.execute(found[check].next_step.removeprefix("Run: ").encode())
    again = await inspect(stranger, shop(ORDERS | {"fields": []}))
    assert [finding for finding in again.values() if not finding.ok] == []
    await prepare(stranger, shop(MEMBERS))


async def test_without_the_privilege_the_server_is_quoted(stranger: str) -> None:
    async with open_target(stranger) as target:
        with pytest.raises(TargetRefused, match="permission denied for database"):
            await target.schema.install_ledger()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"user": "nobody_here"}, TargetRefused, "role .* does not exist.*Check user"),
        ({"dbname": "not_there"}, TargetRefused, "database .* does not exist"),
        ({"port": "1"}, TargetUnavailable, "does not answer"),
    ],
    ids=["user", "database", "down"],
)
async def test_a_connection_that_fails_says_why(
    postgres_database: str, change: dict[str, str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        async with open_target(psycopg.conninfo.make_conninfo(postgres_database, **change)):
            pass


async def test_a_connection_lost_in_use_is_unavailable(here: Shop) -> None:
    await here.look.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'midflight' and datname = current_database()"
    )
    with pytest.raises(TargetUnavailable):
        await here.draw()
    with pytest.raises(TargetUnavailable):
        await here.draw()
