"""What is there already: tables, their shape and owners, read from the catalog and compared with the plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from midflight.core.column_types import parse_type
from midflight.core.plan import Plan
from midflight.core.tables import Column, Table
from midflight.postgres.ddl import all_tables
from midflight.postgres.session import Connection

_COLUMNS = sql.SQL(
    "select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,"
    " coalesce(a.attnum = any(k.conkey), false)"
    " from pg_attribute a left join pg_constraint k on k.conrelid = a.attrelid and k.contype = 'p'"
    " where a.attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) and a.attnum > 0 and not a.attisdropped"
    " order by a.attnum"
)
_OWNER = sql.SQL("select domain from midflight.target_tables where schema_name = %s and table_name = %s")
_LEDGER = sql.SQL("select to_regclass('midflight.target_tables') is not null")
_LONG_NAMES = {
    "varchar": "character varying",
    "timestamptz": "timestamp with time zone",
    "objectid": "text",
    "any": "text",
}


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column as the catalog describes it."""

    name: str
    type: str
    required: bool
    in_key: bool


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table that is there: its shape, the domain that owns it (None: not ours), and whether it holds rows."""

    columns: tuple[FoundColumn, ...]
    owner: str | None
    empty: bool


async def find_table(connection: Connection, schema: str, table: str) -> FoundTable | None:
    """The table, or None where there is none of that name."""
    rows = await (await connection.execute(_COLUMNS, (schema, table))).fetchall()
    if not rows:
        return None
    has_rows = sql.SQL("select exists (select from {})").format(sql.Identifier(schema, table))
    full = await _value(connection, has_rows)
    return FoundTable(tuple(FoundColumn(*row) for row in rows), await _owner(connection, schema, table), not full)


async def table_problems(connection: Connection, plan: Plan) -> list[str]:
    """What stands in the way of using the plan's tables: one sentence a table, naming what differs."""
    problems = []
    for table in all_tables(plan):
        found = await find_table(connection, plan.target.schema_, table.name)
        if found is not None and (objections := list(table_objections(plan.domain, table, found))):
            problems.append(f"table {plan.target.schema_}.{table.name}: {', '.join(objections)}")
    return problems


def table_objections(domain: str, table: Table, found: FoundTable) -> Iterator[str]:
    """Why the table that is there cannot be used for `table` of this domain."""
    if found.owner not in (None, domain):
        yield f"belongs to domain {found.owner}"
    yield from _differences(table, found)
    if found.owner is None and not found.empty:
        yield "holds rows that Midflight did not write"


def _differences(table: Table, found: FoundTable) -> Iterator[str]:
    there = {column.name: column for column in found.columns}
    wanted = {column.name: column for column in table.columns}
    yield from (f"column {name} is missing" for name in wanted if name not in there)
    yield from (f"column {name} is not in the plan" for name in there if name not in wanted)
    for name in wanted:
        if name in there:
            yield from _column_differences(wanted[name], there[name], name in table.primary_key)
    if {c.name for c in found.columns if c.in_key} != set(table.primary_key):
        yield f"the primary key is not ({', '.join(table.primary_key)})"


def _column_differences(wanted: Column, there: FoundColumn, in_key: bool) -> Iterator[str]:
    wanted_type = long_type_name(wanted.type)
    if there.type != wanted_type:
        yield f"column {wanted.name} is {there.type}, the plan says {wanted_type}"
    required = wanted.required or in_key
    if there.required != required:
        yield f"column {wanted.name} is {_null(there.required)}, the plan says {_null(required)}"


def long_type_name(type_text: str) -> str:
    """The plan's type as the catalog writes it."""
    parsed = parse_type(type_text)
    arguments = f"({','.join(map(str, parsed.arguments))})" if parsed.arguments else ""
    return _LONG_NAMES.get(parsed.name, parsed.name) + arguments


def _null(required: bool) -> str:
    return "not null" if required else "nullable"


async def _owner(connection: Connection, schema: str, table: str) -> str | None:
    if not await _value(connection, _LEDGER):
        return None
    owner: str | None = await _value(connection, _OWNER, (schema, table))
    return owner


async def _value(connection: Connection, query: sql.SQL | sql.Composed, parameters: tuple[Any, ...] = ()) -> Any:
    row = await (await connection.execute(query, parameters)).fetchone()
    return None if row is None else row[0]
