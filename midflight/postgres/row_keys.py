"""Queries that walk the root rows of a collection by their key column alone. Pure.

Each row they give is what `midflight.core.mapping.Mapper.id_of` needs of a root row: the key column, and of the rest
column the exact `_id` that may be noted there.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, LiteralString

from psycopg import sql

from midflight.core.plan import CollectionMap
from midflight.core.residue import EXACT
from midflight.core.tables import tables
from midflight.postgres.adapt import staged_type
from midflight.records import RowSpan

SAMPLED_ROWS = 100_000
"""So many rows say well enough where to cut a table."""


def scan(schema: str, collection: CollectionMap, span: RowSpan) -> sql.Composed:
    """In order of the key column; parameters from `place`."""
    template = f"select {{shown}} from {{table}} where {_where(span)} order by {{key}} limit %(at_most)s"
    return _query(template, schema, collection)


def where(key: sql.Composable, span: RowSpan) -> sql.Composed:
    """Whether a key lies in the span; parameters from `place`."""
    return sql.SQL(_where(span)).format(key=key)


def place(span: RowSpan, at_most: int | None) -> dict[str, Any]:
    """The parameters of `scan` and `where`; all rows where `at_most` is None."""
    return asdict(span) | {"at_most": at_most}


def bounds(schema: str, collection: CollectionMap) -> sql.Composed:
    """The first row of each part but the first one; of a large table pages taken at random say where."""
    return _query(
        "with known as (select count(*) as rows from {table}),"
        " sampled as (select * from {table} tablesample system"
        " ((select least(100, 100.0 * {sampled} / greatest(rows, 1)) from known)) repeatable (1)),"
        " cut as (select *, ntile(%(parts)s) over (order by {key}) as part from sampled),"
        " first as (select distinct on (part) * from cut order by part, {key})"
        " select {shown} from first where part > 1 order by {key}",
        schema,
        collection,
    )


def sample(schema: str, collection: CollectionMap) -> sql.Composed:
    """Rows by the hash of their keys."""
    return _query(
        "select {shown} from {table} order by hashtextextended({key}::text, %(seed)s), {key} limit %(size)s",
        schema,
        collection,
    )


def keys_within(schema: str, collection: CollectionMap, span: RowSpan) -> sql.Composed:
    """How many rows a span has, at most so many, and their keys in one text; parameters from `place`."""
    first = f"select {{key}} as key from {{table}} where {_where(span)} order by {{key}} limit %(at_most)s"
    shown = "count(*), coalesce(string_agg(key, ' ' order by key), '')"
    return _query(f"select {shown} from ({first}) as first", schema, collection)


def count(schema: str, collection: CollectionMap) -> sql.Composed:
    """How many rows there are."""
    return _query("select count(*) from {table}", schema, collection)


_SIGNS = {"lower": ">=", "after": ">", "upto": "<=", "upper": "<"}


def _where(span: RowSpan) -> LiteralString:
    bounds = [f"{{key}} {sign} %({name})s" for name, sign in _SIGNS.items() if getattr(span, name) is not None]
    return " and ".join(bounds) or "true"


def _query(template: str, schema: str, collection: CollectionMap) -> sql.Composed:
    root = tables(collection)[0]
    return sql.SQL(template).format(
        table=sql.Identifier(schema, root.name),
        key=_ordered(collection),
        shown=_shown(collection),
        sampled=sql.Literal(SAMPLED_ROWS),
    )


def _ordered(collection: CollectionMap) -> sql.Composed:
    """Text by its bytes, whatever the collation of a column that was there before us."""
    collate = ' collate "C"' if staged_type(collection.key.type) == "text" else ""
    return sql.SQL("{}" + collate).format(sql.Identifier(collection.key.column))


def _shown(collection: CollectionMap) -> sql.Composed:
    key = sql.Identifier(collection.key.column)
    if collection.rest is None:
        return sql.Composed([key])
    # Only two levels of the rest column travel; it may be large.
    return sql.SQL(
        "{key}, case when {rest} #> {exact_id} is not null"
        " then jsonb_build_object({exact}, jsonb_build_object('_id', {rest} #> {exact_id})) end"
    ).format(
        key=key,
        rest=sql.Identifier(collection.rest),
        exact=sql.Literal(EXACT),
        exact_id=sql.SQL("array[{}, '_id']").format(sql.Literal(EXACT)),
    )
