"""The SQL that makes a collection's tables, indexes and foreign keys: pure text and names from the plan."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from midflight.core.column_types import parse_type
from midflight.core.plan import CollectionMap, Plan
from midflight.core.tables import Column, Table, tables

LONGEST_NAME = 63
"""PostgreSQL cuts longer names off, silently."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of the plan. `owned`: from a child table to its root, so rows go with their document."""

    name: str
    collection: str
    table: Table
    column: str
    to_table: str
    to_column: str
    owned: bool


@dataclass(frozen=True, slots=True)
class TableIndex:
    """An index of the plan."""

    name: str
    table: str
    columns: tuple[str, ...]
    unique: bool


def object_name(*parts: str) -> str:
    """The parts joined by underscores; where that is too long, cut and made unique again by a digest."""
    name = "_".join(parts)
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{name[: LONGEST_NAME - 9]}_{digest}"


def create_table(schema: str, table: Table) -> sql.Composed:
    """The table with its primary key; foreign keys come after the backfill."""
    columns = [_column(table, column) for column in table.columns]
    key = sql.SQL("constraint {} primary key ({})").format(
        sql.Identifier(object_name(table.name, "pkey")), _names(table.primary_key)
    )
    parts = sql.SQL(", ").join([*columns, key])
    return sql.SQL("create table {} ({})").format(sql.Identifier(schema, table.name), parts)


def create_index(schema: str, index: TableIndex) -> sql.Composed:
    """Built while others write."""
    return sql.SQL("create {unique} index concurrently {name} on {table} ({columns})").format(
        unique=sql.SQL("unique" if index.unique else ""),
        name=sql.Identifier(index.name),
        table=sql.Identifier(schema, index.table),
        columns=_names(index.columns),
    )


def create_foreign_key(schema: str, key: ForeignKey) -> sql.Composed:
    """Not validated yet. Deferrable, so that a batch may bring both ends in any order; immediate for all others."""
    return sql.SQL(
        "alter table {table} add constraint {name} foreign key ({column}) references {to_table} ({to_column})"
        " {action} deferrable initially immediate not valid"
    ).format(
        table=sql.Identifier(schema, key.table.name),
        name=sql.Identifier(key.name),
        column=sql.Identifier(key.column),
        to_table=sql.Identifier(schema, key.to_table),
        to_column=sql.Identifier(key.to_column),
        action=sql.SQL("on delete cascade" if key.owned else ""),
    )


def foreign_keys(plan: Plan) -> tuple[ForeignKey, ...]:
    """Those from child tables to their roots, and the plan's references."""
    return tuple(key for entry in plan.collections for key in _foreign_keys(entry))


def table_indexes(plan: Plan) -> tuple[TableIndex, ...]:
    """The plan's indexes."""
    return tuple(index for entry in plan.collections for index in _indexes(entry))


def all_tables(plan: Plan) -> tuple[Table, ...]:
    """Every table of the plan, roots before their children."""
    return tuple(table for entry in plan.collections for table in tables(entry))


def column_ddl(column: Column) -> str:
    """The column's type as PostgreSQL writes it."""
    return parse_type(column.type).postgres


def _foreign_keys(entry: CollectionMap) -> Iterator[ForeignKey]:
    root, *children = tables(entry)
    for table in children:
        name = object_name(table.name, table.root_key, "fkey")
        yield ForeignKey(name, entry.collection, table, table.root_key, root.name, root.root_key, owned=True)
    for table in (root, *children):
        for column in table.columns:
            if column.references is not None:
                name = object_name(table.name, column.name, "fkey")
                to = column.references
                yield ForeignKey(name, entry.collection, table, column.name, to.table, to.column, owned=False)


def _indexes(entry: CollectionMap) -> Iterator[TableIndex]:
    for index in entry.indexes:
        table = index.table or entry.table
        name = object_name(table, *index.columns, "key" if index.unique else "idx")
        yield TableIndex(name, table, index.columns, index.unique)


def _column(table: Table, column: Column) -> sql.Composed:
    type_text = column_ddl(column)
    # Keys and positions are ordered by their bytes, as the source orders them.
    by_bytes = column.name in table.primary_key and type_text.startswith(("text", "varchar", "character varying"))
    return sql.SQL("{name} {type}{collate}{required}").format(
        name=sql.Identifier(column.name),
        type=sql.SQL(type_text),
        collate=sql.SQL(' collate "C"' if by_bytes else ""),
        required=sql.SQL(" not null" if column.required else ""),
    )


def _names(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in columns)
