"""What `prepare` finds out about the target before anything is changed there."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from midflight.core.plan import Plan
from midflight.postgres.catalog import table_problems
from midflight.postgres.session import Connection
from midflight.records import Finding

OLDEST_VERSION = 140_000
ROOM = 2.5
"""Rows, indexes, guard rows and write-ahead log, as a multiple of the documents' bytes. Measured on small documents."""

_SERVER = sql.SQL(
    "select current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),"
    " current_setting('server_encoding'), current_database(), current_user, pg_database_size(current_database())"
)
_PRIVILEGES = sql.SQL(
    "select has_database_privilege(current_database(), 'CREATE'), has_database_privilege(current_database(), 'TEMP'),"
    " (select has_schema_privilege(oid, 'CREATE') and has_schema_privilege(oid, 'USAGE')"
    " from pg_namespace where nspname = 'midflight'),"
    " (select has_schema_privilege(oid, 'CREATE') and has_schema_privilege(oid, 'USAGE')"
    " from pg_namespace where nspname = %s)"
)
_LEDGER_IS_VISIBLE = sql.SQL(
    "select coalesce(bool_or(has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT')), false)"
    " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where n.nspname = 'midflight' and c.relname = 'domains'"
)
_SHARED_USERS = sql.SQL(
    "select u.name, d.domain from midflight.domains d"
    " cross join jsonb_array_elements_text(d.plan #> '{{source,application_users}}') as u(name)"
    " where d.domain <> %(domain)s and d.authority = 'source' and u.name = any(%(users)s)"
    " and d.plan #>> '{{source,store}}' = %(store)s and d.plan #>> '{{source,database}}' = %(database)s order by 1, 2"
)


async def findings(connection: Connection, plan: Plan, expected_bytes: int) -> list[Finding]:
    """All findings, good and bad."""
    server = await _row(connection, _SERVER)
    privileges = await _row(connection, _PRIVILEGES, (plan.target.schema_,))
    version, name, standby, encoding, database, user, size = server
    return [
        _version(version, name),
        _primary(standby),
        _encoding(encoding),
        *_privileges(privileges, plan.target.schema_, database, user),
        await _tables(connection, plan),
        await _users(connection, plan),
        _disk(expected_bytes, size),
    ]


def _version(number: int, name: str) -> Finding:
    good = number >= OLDEST_VERSION
    return Finding("version", good, f"PostgreSQL {name}", "" if good else "Use PostgreSQL 14 or newer.")


def _primary(standby: bool) -> Finding:
    if not standby:
        return Finding("writable", True, "a primary")
    return Finding("writable", False, "a standby, read only", "Give the address of the primary.")


def _encoding(encoding: str) -> Finding:
    good = encoding == "UTF8"
    return Finding("encoding", good, encoding, "" if good else "Create the database with encoding UTF8.")


def _privileges(found: tuple[Any, ...], schema: str, database: str, user: str) -> list[Finding]:
    """`in_ledger` and `in_schema` are None where the schema does not exist yet: then it has to be created."""
    create, temporary, in_ledger, in_schema = found
    on_database = f'GRANT CREATE ON DATABASE "{database}" TO "{user}";'
    on_ledger = f'GRANT USAGE, CREATE ON SCHEMA midflight TO "{user}";'
    on_schema = f'GRANT USAGE, CREATE ON SCHEMA "{schema}" TO "{user}";'
    return [
        _privilege(
            "ledger", create if in_ledger is None else in_ledger, on_database if in_ledger is None else on_ledger
        ),
        _privilege(
            "tables", create if in_schema is None else in_schema, on_database if in_schema is None else on_schema
        ),
        _privilege("staging", temporary, f'GRANT TEMPORARY ON DATABASE "{database}" TO "{user}";'),
    ]


def _privilege(what: str, granted: bool, grant: str) -> Finding:
    detail = "granted" if granted else "the privilege is missing"
    return Finding(f"privilege: {what}", granted, detail, "" if granted else f"Run: {grant}")


async def _tables(connection: Connection, plan: Plan) -> Finding:
    problems = await table_problems(connection, plan)
    if not problems:
        return Finding("tables", True, "absent, empty, or ours")
    return Finding(
        "tables", False, "; ".join(problems), "Rename, drop or empty them, or name other tables in the plan."
    )


async def _users(connection: Connection, plan: Plan) -> Finding:
    """A user's right to write is taken in the whole database: no other domain may still need it."""
    check, source = "application users", plan.source
    (visible,) = await _row(connection, _LEDGER_IS_VISIBLE)
    if not visible or not source.application_users:
        return Finding(check, True, "shared with no other domain")
    where = {"domain": plan.domain, "store": source.store, "database": source.database}
    cursor = await connection.execute(_SHARED_USERS, {**where, "users": list(source.application_users)})
    shared = [f"`{user}` writes for domain {domain} too" for user, domain in await cursor.fetchall()]
    if not shared:
        return Finding(check, True, "shared with no other domain")
    next_step = (
        "At the cutover such a user loses the right to write in the whole database: give each domain a user of its own,"
        " or move the other domain first, or move both as one."
    )
    return Finding(check, False, "; ".join(shared), next_step)


def _disk(expected_bytes: int, database_bytes: int) -> Finding:
    needed = expected_bytes * ROOM
    detail = (
        f"about {_human(needed)} will be needed, the database has {_human(database_bytes)} now;"
        " how much is free is unknown, PostgreSQL does not say"
    )
    return Finding("disk", True, detail)


def _human(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


async def _row(connection: Connection, query: sql.SQL, parameters: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    row = await (await connection.execute(query, parameters)).fetchone()
    assert row is not None
    return row
