"""Triggers on the target tables: they refuse whom the authority row does not allow, and mark dirty keys."""

from __future__ import annotations

import asyncio

from psycopg import sql

from midflight.core.plan import Plan
from midflight.postgres import authority
from midflight.postgres.failures import Contended
from midflight.postgres.session import Connection, Session
from midflight.postgres.triggers import (
    TRIGGERS,
    Marked,
    create_function,
    create_triggers,
    drop_function,
    drop_triggers,
    marked_tables,
)
from midflight.records import AuthorityRow, FenceView

_COLLECTION_IDS = sql.SQL("select collection, id from midflight.collections where domain = %s")
_INSTALLED = sql.SQL(
    "select t.tgname from pg_trigger t where t.tgrelid = to_regclass(format('%%I.%%I', %s::text, %s::text))"
    " and t.tgname = any(%s) and t.tgenabled = 'A'"
)
_THERE = sql.SQL("select to_regclass(format('%%I.%%I', %s::text, %s::text)) is not null")
_SHORT_WAIT = sql.SQL("set local lock_timeout = '100ms'")
AWHILE_SECONDS = 0.2
"""Between two attempts to lock a table that is in use."""
_WRITES = ("insert", "update", "delete", "truncate")


class PostgresFence:
    """Implements `midflight.ports.TargetFence`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def install(self, plan: Plan) -> None:
        """Fence and dirty marks on every table of the plan. Repeating is safe. DomainUnknown before `register`."""
        async with self._session.transaction() as connection:
            await install_fence(connection, plan)

    async def remove(self, plan: Plan) -> None:
        """Take ours off again, while the application writes; tables that are gone are left out. Repeating is safe."""
        for marked in marked_tables(plan):
            while not await self._taken_off(marked):
                pass

    async def _taken_off(self, marked: Marked) -> bool:
        """False, after a while, where others were faster.

        With two tables locked we could wait for an application that waits for us; and whoever comes while we wait for
        a lock waits behind us, so we do not wait long.
        """
        try:
            async with self._session.transaction() as connection:
                await connection.execute(_SHORT_WAIT)
                if await _is_there(connection, marked):
                    for statement in (*drop_triggers(marked), drop_function(marked)):
                        await connection.execute(statement)
        except Contended:
            await asyncio.sleep(AWHILE_SECONDS)
            return False
        return True

    async def status(self, plan: Plan) -> list[FenceView]:
        """By table: what is refused and from whom. DomainUnknown."""
        row = await authority.read(self._session, plan.domain)
        async with self._session.snapshot() as connection:
            return [_view(one, await _installed(connection, one), plan.domain, row) for one in marked_tables(plan)]


async def install_fence(connection: Connection, plan: Plan) -> None:
    """In the caller's transaction. A table that has all of the triggers is not locked."""
    found = await (await connection.execute(_COLLECTION_IDS, (plan.domain,))).fetchall()
    ids: dict[str, int] = dict(found)
    if not ids:
        raise authority.unknown(plan.domain)
    for marked in marked_tables(plan):
        await connection.execute(create_function(marked, plan.domain, ids[marked.collection.collection]))
        if await _installed(connection, marked) == set(TRIGGERS):
            continue
        for statement in drop_triggers(marked):
            await connection.execute(statement)
        for statement in create_triggers(marked, plan.domain):
            await connection.execute(statement)


async def _installed(connection: Connection, marked: Marked) -> set[str]:
    """Those of our triggers that the table has, enabled for every session."""
    place = (marked.schema, marked.table.name, list(TRIGGERS))
    return {name for (name,) in await (await connection.execute(_INSTALLED, place)).fetchall()}


async def _is_there(connection: Connection, marked: Marked) -> bool:
    row = await (await connection.execute(_THERE, (marked.schema, marked.table.name))).fetchone()
    return row is not None and bool(row[0])


def _view(marked: Marked, installed: set[str], domain: str, row: AuthorityRow) -> FenceView:
    place = f"{marked.schema}.{marked.table.name}"
    if missing := sorted(set(TRIGGERS) - installed):
        return FenceView(place, (), ("everybody",), f"triggers missing or disabled: {', '.join(missing)}")
    applier = f"the applier (midflight.applier = {domain})"
    if row.authority == "target" and row.accepting:
        detail = f"the target is the authority (stage {row.stage})"
        return FenceView(place, ("truncate",), (applier, "everybody's insert, update and delete, marked dirty"), detail)
    why = "the source is the authority" if row.authority == "source" else "the target is closed"
    return FenceView(place, _WRITES, (applier,), f"{why} (stage {row.stage})")
