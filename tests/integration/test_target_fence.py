"""The fence of the target: whom it refuses at which stage, what it says, how it comes and goes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql

from midflight.core.outcome import Batch, Mapped
from midflight.core.phase import Stage
from midflight.errors import DomainUnknown
from midflight.postgres.connection import open_target
from midflight.postgres.door import PostgresDoor
from midflight.postgres.refusals import refused_by_fence
from midflight.postgres.schema import LEDGER_VERSION
from midflight.postgres.session import open_session
from midflight.postgres.triggers import TRIGGERS
from tests.integration.door_kit import DOMAIN, MEMBERS, Shop, member, open_shop, order, shop

WRITES = {
    "insert": "insert into orders (id) values ('new')",
    "update": "update orders set version = 9",
    "an update of nothing": "update orders set version = 9 where false",
    "delete": "delete from orders",
    "copy": "copy orders (id) from stdin",
    "merge": "merge into orders o using (values ('a')) v(id) on o.id = v.id when matched then update set version = 9",
    "upsert": "insert into orders (id) values ('a') on conflict (id) do update set version = 9",
    "truncate": "truncate orders cascade",
    "child": "insert into order_lines (order_id, position) values ('a', 9)",
}


@pytest.fixture
async def here(postgres_database: str) -> AsyncIterator[Shop]:
    async with open_shop(postgres_database) as opened:
        await opened.apply([order("a", 1)])
        yield opened


async def in_charge(here: Shop) -> None:
    await here.target.ledger.flip(DOMAIN, 1)


async def write(here: Shop, statement: str) -> None:
    async with here.look.cursor() as cursor:
        if not statement.startswith("copy"):
            await cursor.execute(statement.encode())
            return
        async with cursor.copy(statement.encode()) as copy:
            await copy.write(b"copied\n")


async def triggers(here: Shop, table: str = "orders") -> list[str]:
    query = "select tgname from pg_trigger where tgrelid = %s::regclass and not tgisinternal order by 1"
    return [name for (name,) in await here.ask(query, table)]


# --- who is refused ---------------------------------------------------------


@pytest.mark.parametrize("name", WRITES)
async def test_under_the_source_every_write_is_refused(here: Shop, name: str) -> None:
    before = await here.everything()
    with pytest.raises(psycopg.Error) as refusal:
        await write(here, WRITES[name])
    assert refusal.value.sqlstate == "MF001"
    assert refused_by_fence(refusal.value)
    assert await here.everything() == before


@pytest.mark.parametrize("name", WRITES)
async def test_a_target_in_charge_takes_every_write_but_truncate(here: Shop, name: str) -> None:
    await in_charge(here)
    if name == "truncate":
        with pytest.raises(psycopg.Error, match="refuses to truncate") as refusal:
            await write(here, WRITES[name])
        assert refused_by_fence(refusal.value)
    else:
        await write(here, WRITES[name])


@pytest.mark.parametrize("name", WRITES)
async def test_a_closed_target_refuses_every_write(here: Shop, name: str) -> None:
    await in_charge(here)
    await here.target.ledger.close(DOMAIN)
    with pytest.raises(psycopg.Error) as refusal:
        await write(here, WRITES[name])
    assert refused_by_fence(refusal.value)


async def test_a_refusal_names_domain_table_stage_and_what_to_do(here: Shop) -> None:
    await here.target.ledger.set_stage(DOMAIN, Stage.RAMP, 10_000, 0)
    with pytest.raises(psycopg.Error) as refusal:
        await write(here, WRITES["child"])
    said = refusal.value.diag
    assert said.message_primary == (
        "Domain shop refuses to insert public.order_lines: the source is the authority (stage ramp)."
    )
    assert "through the library" in (said.message_hint or "")
    await in_charge(here)
    await here.target.ledger.close(DOMAIN)
    with pytest.raises(psycopg.Error, match=r"the target is closed while the authority moves \(stage hold\)"):
        await write(here, WRITES["insert"])


async def test_the_applier_of_another_domain_is_nobody_here(here: Shop) -> None:
    await here.look.execute("set midflight.applier = 'elsewhere'")
    with pytest.raises(psycopg.Error) as refusal:
        await write(here, WRITES["insert"])
    assert refused_by_fence(refusal.value)


async def test_who_is_the_applier_ends_with_the_apply(here: Shop) -> None:
    """One connection in a pool must not stay the applier after the door has used it."""
    async with open_session(here.dsn) as session:
        door = PostgresDoor(session)
        await door.apply(here.plan, await door.draw(DOMAIN), Batch("shadow", {"orders": [order("b", 1)]}))
        assert await session.row(sql.SQL("select current_setting('midflight.applier', true)")) == ("",)


async def test_no_session_can_be_set_to_pass_the_fence_by(here: Shop) -> None:
    await here.look.execute("set session_replication_role = replica")
    with pytest.raises(psycopg.Error) as refusal:
        await write(here, WRITES["insert"])
    assert refused_by_fence(refusal.value)


async def test_an_application_needs_rights_on_its_tables_only(here: Shop) -> None:
    role = sql.Identifier(f"app_{here.dsn.rsplit('=', 1)[-1][-12:]}")
    await here.look.execute(sql.SQL("create role {}").format(role))
    try:
        rights = sql.SQL("grant select, insert, update, delete on orders, order_lines to {}").format(role)
        await here.look.execute(rights)
        await here.look.execute(sql.SQL("set role {}").format(role))
        with pytest.raises(psycopg.Error) as refusal:
            await write(here, WRITES["insert"])
        assert refused_by_fence(refusal.value)
        await in_charge(here)
        for name in ("insert", "update", "child", "delete"):
            await write(here, WRITES[name])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await here.look.execute("select * from midflight.domains")
    finally:
        await here.look.execute("reset role")
        await here.look.execute(sql.SQL("drop owned by {}").format(role))
        await here.look.execute(sql.SQL("drop role {}").format(role))
    assert {key.row_key for key in await here.target.reverse.dirty(here.plan, "orders", 10)} == {"a", "new"}


async def test_what_shadows_the_ledger_in_a_session_does_not_open_the_fence(here: Shop) -> None:
    await here.look.execute("create temporary table domains as select 'shop' as domain, 'target' as authority")
    await here.look.execute(
        "create function pg_temp.current_setting(text, boolean) returns text language sql return 'shop'"
    )
    await here.look.execute("set search_path = pg_temp, public, pg_catalog")
    with pytest.raises(psycopg.Error) as refusal:
        await write(here, "insert into public.orders (id) values ('new')")
    assert refused_by_fence(refusal.value)


async def test_a_domain_that_is_gone_from_the_ledger_says_how_to_be_rid_of_its_triggers(here: Shop) -> None:
    await in_charge(here)
    for table in ("positions", "target_tables", "collections", "domains"):
        await here.look.execute(sql.SQL("delete from {}").format(sql.Identifier("midflight", table)))
    with pytest.raises(psycopg.Error, match="does not know the domain any more") as refusal:
        await write(here, WRITES["insert"])
    assert refusal.value.diag.message_hint == ("Drop the triggers of public.orders whose names begin with midflight_.")


async def test_dropping_the_ledger_takes_the_triggers_with_it(here: Shop) -> None:
    await here.look.execute("drop schema midflight cascade")
    assert await triggers(here) == []
    await write(here, WRITES["insert"])


# --- install, remove, status ------------------------------------------------


async def test_tables_are_fenced_from_the_moment_they_are_ours(here: Shop) -> None:
    for table in ("orders", "order_lines", "members"):
        assert await triggers(here, table) == sorted(TRIGGERS)


async def test_installing_again_takes_no_lock_that_a_writer_would_feel(here: Shop) -> None:
    await in_charge(here)
    async with await psycopg.AsyncConnection.connect(here.dsn) as writer:
        await writer.execute(WRITES["update"].encode())
        await here.target.schema.install_ledger()
        await here.target.fence.install(here.plan)
        await here.target.schema.create_tables(here.plan)


async def test_a_trigger_that_was_disabled_or_dropped_is_put_back(here: Shop) -> None:
    await here.look.execute("alter table orders disable trigger midflight_fence")
    await here.look.execute("drop trigger midflight_mark_delete on orders")
    [view, *_] = [v for v in await here.target.fence.status(here.plan) if v.place == "public.orders"]
    assert view.refuses == ()
    assert view.detail == "triggers missing or disabled: midflight_fence, midflight_mark_delete"
    await here.target.fence.install(here.plan)
    with pytest.raises(psycopg.Error):
        await write(here, WRITES["insert"])
    assert await triggers(here) == sorted(TRIGGERS)


async def test_removing_leaves_nothing_of_ours_on_the_tables(here: Shop) -> None:
    for _ in range(2):
        await here.target.fence.remove(here.plan)
    assert await triggers(here) == []
    assert await here.ask("select proname from pg_proc where proname like 'mark_%%'") == []
    await write(here, WRITES["insert"])
    await here.look.execute("drop table order_lines")
    await here.target.fence.remove(here.plan)


async def test_a_fence_needs_a_registered_domain(postgres_database: str) -> None:
    async with open_target(postgres_database) as target:
        await target.schema.install_ledger()
        with pytest.raises(DomainUnknown):
            await target.fence.install(shop(MEMBERS))
        with pytest.raises(DomainUnknown):
            await target.fence.status(shop(MEMBERS))


async def test_the_status_says_who_refuses_what(here: Shop) -> None:
    fence = here.target.fence
    places = [view.place for view in await fence.status(here.plan)]
    assert places == ["public.members", "public.orders", "public.order_lines"]
    [view, *_] = await fence.status(here.plan)
    assert view.refuses == ("insert", "update", "delete", "truncate")
    assert view.passes == ("the applier (midflight.applier = shop)",)
    assert view.detail == "the source is the authority (stage off)"
    await in_charge(here)
    [view, *_] = await fence.status(here.plan)
    assert view.refuses == ("truncate",)
    await here.target.ledger.close(DOMAIN)
    [view, *_] = await fence.status(here.plan)
    assert view.detail == "the target is closed (stage hold)"


async def test_two_domains_have_fences_of_their_own(here: Shop) -> None:
    await in_charge(here)
    other = shop({**MEMBERS, "table": "guests"}).model_copy(update={"domain": "guests"})
    await here.target.ledger.register(other)
    await here.target.schema.create_tables(other)
    await write(here, WRITES["insert"])
    with pytest.raises(psycopg.Error, match="Domain guests refuses to insert"):
        await write(here, "insert into guests (id, email) values ('a', 'a@x')")


async def test_the_fence_does_not_stop_the_copy_nor_its_reset(here: Shop) -> None:
    documents: list[Mapped] = [order(f"k{n}", 1) for n in range(50)]
    await here.apply({"orders": [*documents], "members": [member("m", "m@x")]}, path="backfill")
    await here.add_constraints()
    await here.apply({"orders": [*documents]}, path="repair")
    await here.target.ledger.reset(here.plan)
    assert await here.orders() == {}
    assert await here.target.reverse.pending(DOMAIN) == (0, 0)


# --- the ledger's version -----------------------------------------------------


async def test_a_ledger_of_the_first_version_is_upgraded_with_its_domains(here: Shop) -> None:
    first = (
        "drop table midflight.instances, midflight.dirty, midflight.reads, midflight.read_mismatches;"
        "drop trigger note_change on midflight.domains; drop function midflight.note_change;"
        "drop function midflight.fence cascade; drop function midflight.turnstile cascade;"
        "alter table midflight.domains drop column revision, drop column staged_at;"
        "alter table midflight.quarantine drop column image; update midflight.version set version = 1"
    )
    await here.look.execute(first.encode())
    await here.target.schema.install_ledger()
    await here.target.schema.create_tables(here.plan)
    assert await here.ask("select version from midflight.version") == [(LEDGER_VERSION,)]
    assert (await here.target.ledger.set_stage(DOMAIN, Stage.SHADOW, 0, 0)).revision == 2
    assert (await here.apply([order("b", 1)])).written == 1
    with pytest.raises(psycopg.Error):
        await write(here, WRITES["insert"])
