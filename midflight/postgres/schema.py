"""Target tables, indexes and foreign keys from the plan; created, or checked against what is there."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql

from midflight.core.plan import Plan
from midflight.core.tables import Table
from midflight.errors import TargetError, TargetNotOurs
from midflight.postgres.adapt import staged_type
from midflight.postgres.catalog import find_table, table_objections
from midflight.postgres.ddl import (
    ForeignKey,
    TableIndex,
    all_tables,
    create_foreign_key,
    create_index,
    create_table,
    foreign_keys,
    table_indexes,
)
from midflight.postgres.fence import install_fence
from midflight.postgres.inspection import findings
from midflight.postgres.session import Connection, Session
from midflight.postgres.structure import structure_in
from midflight.records import Finding

LEDGER_VERSION = 3
_ONE_AT_A_TIME = sql.SQL("select pg_advisory_xact_lock(hashtextextended('midflight.schema', 0))")
_VERSION = sql.SQL("select version from midflight.version")
_HAS_VERSION = sql.SQL("select to_regclass('midflight.version') is not null")
_OWN = sql.SQL(
    "insert into midflight.target_tables (schema_name, table_name, domain) values (%s, %s, %s) on conflict do nothing"
)
_INDEX_VALID = sql.SQL(
    "select i.indisvalid from pg_index i where i.indexrelid = to_regclass(format('%%I.%%I', %s::text, %s::text))"
)
_KEY_VALID = sql.SQL(
    "select convalidated from pg_constraint"
    " where conname = %s and conrelid = to_regclass(format('%%I.%%I', %s::text, %s::text))"
)


def ledger_statements() -> str:
    """The SQL that creates the ledger, or brings an older one to our version."""
    return files("midflight.postgres").joinpath("schema.sql").read_text(encoding="utf-8")


class PostgresSchema:
    """Implements `midflight.ports.Schema`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def inspect(self, plan: Plan, expected_bytes: int) -> list[Finding]:
        """Version, privileges, tables, disk (as far as visible); nothing is changed."""
        async with self._session.snapshot() as connection:
            return await findings(connection, plan, expected_bytes)

    async def install_ledger(self) -> None:
        """Create or upgrade the `midflight` schema. Repeating is safe. TargetError if the ledger is newer than us.

        A ledger of our version is not locked.
        """
        async with self._session.transaction() as connection:
            if await _is_current(connection):
                return
            await connection.execute(_ONE_AT_A_TIME)
            if not await _is_current(connection):
                await connection.execute(ledger_statements().encode())

    async def create_tables(self, plan: Plan) -> None:
        """Create what is missing, check what is there (TargetNotOurs), record all as ours, and fence it.

        In one transaction: there is no moment in which a table of ours takes anybody's write.
        """
        schema = plan.target.schema_
        async with self._session.transaction() as connection:
            await connection.execute(_ONE_AT_A_TIME)
            await _create_schema(connection, schema)
            for table in all_tables(plan):
                await _create_or_check(connection, plan, table)
                await connection.execute(_OWN, (schema, table.name, plan.domain))
            await install_fence(connection, plan)

    async def create_indexes(self, plan: Plan) -> None:
        """The plan's indexes, concurrently; invalid leftovers are rebuilt. Repeating is safe."""
        schema = plan.target.schema_
        async with self._session.patient() as connection:
            for index in table_indexes(plan):
                valid = await _value(connection, _INDEX_VALID, (schema, index.name))
                if valid is False:
                    leftover = sql.Identifier(schema, index.name)
                    await connection.execute(sql.SQL("drop index concurrently if exists {}").format(leftover))
                if not valid:
                    await _create_index(connection, schema, index)

    async def create_foreign_keys(self, plan: Plan) -> list[str]:
        """Add foreign keys NOT VALID; returns the names of those not validated yet. Repeating is safe."""
        schema = plan.target.schema_
        async with self._session.transaction() as connection:
            # In one transaction with the look: two attempts must not both find it missing.
            await connection.execute(_ONE_AT_A_TIME)
            states = {key.name: await _key_valid(connection, schema, key) for key in foreign_keys(plan)}
            for key in foreign_keys(plan):
                if states[key.name] is None:
                    await connection.execute(create_foreign_key(schema, key))
        return [name for name, valid in states.items() if not valid]

    async def orphans(self, plan: Plan, constraint: str, at_most: int) -> dict[str, list[Any]]:
        """Root key values (by collection) of documents whose rows violate the named foreign key."""
        key = _named(plan, constraint)
        async with self._session.patient() as connection:
            cursor = await connection.execute(_orphans(plan.target.schema_, key), (at_most,))
            found = [value for (value,) in await cursor.fetchall()]
        return {key.collection: found} if found else {}

    async def validate_foreign_key(self, plan: Plan, constraint: str) -> None:
        """Validate one; repeating is safe. TargetError where rows violate it."""
        key = _named(plan, constraint)
        validate = sql.SQL("alter table {} validate constraint {}").format(
            sql.Identifier(plan.target.schema_, key.table.name), sql.Identifier(key.name)
        )
        async with self._session.patient() as connection:
            try:
                await connection.execute(validate)
            except psycopg.errors.ForeignKeyViolation as error:
                raise TargetError(
                    f"Rows of {key.table.name} refer to {key.to_table} rows that are not there ({key.name}).",
                    next_step="Repair or quarantine the orphans, then validate again.",
                ) from error

    async def structure(self, plan: Plan) -> list[Finding]:
        """One finding for each table, index and foreign key of the plan, good and bad; nothing is changed."""
        async with self._session.snapshot() as connection:
            return await structure_in(connection, plan)

    async def pending(self, plan: Plan) -> int:
        """How many indexes and foreign keys of the plan are missing or not valid."""
        schema = plan.target.schema_
        async with self._session.snapshot() as connection:
            indexes = [await _value(connection, _INDEX_VALID, (schema, i.name)) for i in table_indexes(plan)]
            keys = [await _key_valid(connection, schema, key) for key in foreign_keys(plan)]
        return sum(not valid for valid in (*indexes, *keys))


async def _is_current(connection: Connection) -> bool:
    """Whether the ledger has our version. TargetError where it has a newer one."""
    if not await _value(connection, _HAS_VERSION):
        return False
    version = await _value(connection, _VERSION)
    if version is not None and version > LEDGER_VERSION:
        raise TargetError(
            f"The ledger has version {version}, this Midflight knows {LEDGER_VERSION}.",
            next_step="Use the Midflight that installed it, or a newer one.",
        )
    return bool(version == LEDGER_VERSION)


async def _create_schema(connection: Connection, schema: str) -> None:
    """Only where it is missing: `if not exists` asks for the privilege to create even where there is nothing to do."""
    if await _value(connection, sql.SQL("select to_regnamespace(%s)"), (schema,)) is None:
        await connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))


async def _create_or_check(connection: Connection, plan: Plan, table: Table) -> None:
    schema = plan.target.schema_
    found = await find_table(connection, schema, table.name)
    if found is None:
        await connection.execute(create_table(schema, table))
    elif objections := list(table_objections(plan.domain, table, found)):
        raise TargetNotOurs(
            f"Table {schema}.{table.name} cannot be used: {', '.join(objections)}.",
            next_step="Rename, drop or empty it, or name another table in the plan.",
        )


async def _create_index(connection: Connection, schema: str, index: TableIndex) -> None:
    try:
        await connection.execute(create_index(schema, index))
    except psycopg.errors.UniqueViolation as error:
        columns = ", ".join(index.columns)
        raise TargetError(
            f"Rows of {schema}.{index.table} are not unique in ({columns}): index {index.name} cannot be built.",
            next_step=f"Find them: select {columns}, count(*) from {schema}.{index.table} group by {columns}"
            " having count(*) > 1; correct them in the source, then resume.",
        ) from error


async def _key_valid(connection: Connection, schema: str, key: ForeignKey) -> bool | None:
    valid: bool | None = await _value(connection, _KEY_VALID, (key.name, schema, key.table.name))
    return valid


def _named(plan: Plan, constraint: str) -> ForeignKey:
    for key in foreign_keys(plan):
        if key.name == constraint:
            return key
    raise TargetError(f"The plan of {plan.domain} has no foreign key {constraint}.")


def _orphans(schema: str, key: ForeignKey) -> sql.Composed:
    column = next(c for c in key.table.columns if c.name == key.column)
    # The two ends may have different collations; PostgreSQL compares them only when told by which.
    collate = sql.SQL(' collate "C"' if staged_type(column.type) == "text" else "")
    return sql.SQL(
        "select distinct t.{root_key} from {table} as t where t.{column} is not null"
        " and not exists (select from {to_table} as o where o.{to_column}{collate} = t.{column}) limit %s"
    ).format(
        root_key=sql.Identifier(key.table.root_key),
        table=sql.Identifier(schema, key.table.name),
        column=sql.Identifier(key.column),
        to_table=sql.Identifier(schema, key.to_table),
        to_column=sql.Identifier(key.to_column),
        collate=collate,
    )


async def _value(connection: Connection, query: sql.SQL, parameters: tuple[Any, ...] = ()) -> Any:
    row = await (await connection.execute(query, parameters)).fetchone()
    return None if row is None else row[0]
