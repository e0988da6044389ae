"""Whether tables, indexes, foreign keys and triggers are what the plan says: one finding each."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from midflight.core.plan import Plan
from midflight.core.tables import Table
from midflight.postgres.catalog import find_table, table_objections
from midflight.postgres.ddl import all_tables, foreign_keys, table_indexes
from midflight.postgres.session import Connection
from midflight.records import Finding

_INDEX = sql.SQL(
    "select i.indisvalid and i.indisunique = %s,"
    " array(select a.attname::text from unnest(i.indkey::int2[]) with ordinality as k(number, place)"
    " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number order by k.place)"
    " from pg_index i where i.indexrelid = to_regclass(format('%%I.%%I', %s::text, %s::text))"
)
_KEY_VALID = sql.SQL(
    "select convalidated from pg_constraint"
    " where conname = %s and conrelid = to_regclass(format('%%I.%%I', %s::text, %s::text))"
)


async def structure_in(connection: Connection, plan: Plan) -> list[Finding]:
    """Every check, good and bad."""
    schema = plan.target.schema_
    found = [await _table(connection, plan, table) for table in all_tables(plan)]
    for index in table_indexes(plan):
        row = await _row(connection, _INDEX, (index.unique, schema, index.name))
        good = row is not None and row[0] and tuple(row[1]) == tuple(index.columns)
        found.append(_finding(f"index {schema}.{index.name}", good, "missing, not valid, or another one", row is None))
    for key in foreign_keys(plan):
        row = await _row(connection, _KEY_VALID, (key.name, schema, key.table.name))
        good = row is not None and row[0]
        found.append(_finding(f"foreign key {key.name}", good, "not validated", row is None))
    return found


async def _table(connection: Connection, plan: Plan, table: Table) -> Finding:
    check = f"table {plan.target.schema_}.{table.name}"
    found = await find_table(connection, plan.target.schema_, table.name)
    if found is None:
        return Finding(check, False, "missing", "Prepare the domain: it creates its tables.")
    objections = ", ".join(table_objections(plan.domain, table, found))
    return Finding(check, not objections, objections or "as the plan says")


def _finding(check: str, good: bool, otherwise: str, missing: bool) -> Finding:
    if good:
        return Finding(check, True, "as the plan says")
    return Finding(check, False, "missing" if missing else otherwise, "It is built after the backfill; see `status`.")


async def _row(connection: Connection, query: sql.SQL, parameters: tuple[Any, ...]) -> tuple[Any, ...] | None:
    return await (await connection.execute(query, parameters)).fetchone()
