"""Forgets the copy of a domain in one transaction, so that it can be made again from the beginning."""

from __future__ import annotations

from psycopg import sql

from midflight.core.plan import Plan
from midflight.core.tables import tables
from midflight.errors import AuthorityMoved
from midflight.postgres.authority import unknown
from midflight.postgres.session import Connection

_LOCK = sql.SQL(
    "select authority, epoch, pg_advisory_xact_lock(midflight.turnstile(domain)),"
    " set_config('midflight.applier', domain, true) from midflight.domains where domain = %s for update"
)
_NEXT_EPOCH = sql.SQL("update midflight.domains set epoch = epoch + 1, updated_at = now() where domain = %s")
_OURS = sql.SQL(
    "select t.table_name from midflight.target_tables t where t.domain = %s and t.schema_name = %s"
    " and t.table_name = any(%s) and to_regclass(format('%%I.%%I', t.schema_name, t.table_name)) is not null"
)
_OF_COLLECTIONS = ("guards", "partitions", "quarantine", "dirty")
_OF_DOMAIN = ("parity_reports", "positions")


async def forget_copy(connection: Connection, plan: Plan, epoch: int | None = None) -> None:
    """Epoch + 1, so that older tickets die; our target tables emptied; guard rows and places gone.

    AuthorityMoved where the target is the authority: then its rows are the truth, not a copy. With an epoch: nothing
    is done in the next one, where another attempt has been here already, and in any other it is AuthorityMoved.
    """
    row = await (await connection.execute(_LOCK, (plan.domain,))).fetchone()
    if row is None:
        raise unknown(plan.domain)
    if row[0] != "source":
        raise AuthorityMoved(f"The target is the authority of {plan.domain}: its rows are the truth and stay.")
    if epoch is not None and row[1] == epoch + 1:
        return
    if epoch not in (None, row[1]):
        raise AuthorityMoved(
            f"{plan.domain} is in epoch {row[1]}: its copy is not the one of epoch {epoch}, and stays."
        )
    await connection.execute(_NEXT_EPOCH, (plan.domain,))
    await _empty_tables(connection, plan)
    await _forget(connection, plan.domain)


async def _empty_tables(connection: Connection, plan: Plan) -> None:
    names = [table.name for entry in plan.collections for table in tables(entry)]
    found = await (await connection.execute(_OURS, (plan.domain, plan.target.schema_, names))).fetchall()
    ours = [sql.Identifier(plan.target.schema_, name) for (name,) in found]
    if ours:
        await connection.execute(sql.SQL("truncate {}").format(sql.SQL(", ").join(ours)))


async def _forget(connection: Connection, domain: str) -> None:
    for table in _OF_COLLECTIONS:
        forget = "delete from {} using midflight.collections c where c.id = collection_id and c.domain = %s"
        await connection.execute(sql.SQL(forget).format(sql.Identifier("midflight", table)), (domain,))
    for table in _OF_DOMAIN:
        forget = "delete from {} where domain = %s"
        await connection.execute(sql.SQL(forget).format(sql.Identifier("midflight", table)), (domain,))
