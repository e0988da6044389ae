"""Counts the fields of a collection where its rows are: how often each is there, null, and of which BSON type.

A column says how often it has a value; the rest column says which of the values were of another type than the column
gives back, which fields were null, and what has no column at all. What the rest column notes of a value that the
application has overwritten since is counted by the type that is noted.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from psycopg import sql

from midflight.core.ejson import unescape
from midflight.core.layers import ELEMENT, CountedField, Layer, layers
from midflight.core.plan import CollectionMap
from midflight.core.residue import CHILDREN, EXACT
from midflight.postgres.session import Connection
from midflight.records import FieldCount

Types = dict[str, Counter[str]]
_NULL = "null"
_TAGS = {
    "$missing": "missing",
    "$utf8": "string",
    "$long": "long",
    "$double": "double",
    "$decimal": "decimal",
    "$oid": "objectId",
    "$date": "date",
    "$binary": "binData",
    "$regex": "regex",
    "$timestamp": "timestamp",
    "$code": "javascript",
    "$minKey": "minKey",
    "$maxKey": "maxKey",
}
# The type that packed JSON `v` stands for, told by how its text begins; a tag of ours is an object's first name.
_TYPE_OF_V = (
    "case left(v, 1) when '\"' then 'string' when '[' then 'array' when 'n' then 'null' when 't' then 'bool'"
    " when 'f' then 'bool' when '{{' then coalesce(substring(v from '^{{\"([$][^$\"][^\"]*)\"'), 'object')"
    " else case when strpos(v, '.') > 0 then 'double' else 'int' end end"
)


async def census_in(connection: Connection, schema: str, collection: CollectionMap) -> dict[str, FieldCount]:
    """By path."""
    counted: Types = {}
    for layer in layers(collection):
        named = await _columns(connection, schema, collection, layer)
        if collection.rest is not None:
            _correct(layer, named, await _noted(connection, _exact(schema, collection, layer)))
            others = await _noted(connection, _others(schema, collection, layer))
            named |= {path: types for path, types in others.items() if path not in layer.homes}
        counted |= {layer.whole(path): types for path, types in named.items()}
    return {path: _count(path, types) for path, types in counted.items()}


def _count(path: str, types: Counter[str]) -> FieldCount:
    null = types.pop(_NULL, 0)
    return FieldCount(path, null, {kind: n for kind, n in types.items() if n > 0})


# --- columns ------------------------------------------------------------------------------------------------------


async def _columns(connection: Connection, schema: str, collection: CollectionMap, layer: Layer) -> Types:
    """By path: how many values the columns have, as of the type that the columns give back."""
    rest = None if layer.children else collection.rest
    table = sql.Identifier(schema, layer.table.name)
    counts = sql.SQL(", ").join(sql.SQL("count({})").format(sql.Identifier(field.column)) for field in layer.fields)
    comma = sql.SQL(", " if layer.fields else "")
    rows, *values = await _one(connection, sql.SQL("select count(*){}{} from {}").format(comma, counts, table))
    found: Types = {}
    for field, n in zip(layer.fields, values, strict=True):
        kind = field.natural
        found[field.path] = Counter({kind: n}) if kind else await _self_telling(connection, table, field, rest)
    if layer.children:
        _add_elements(found, rows)
    return found


def _add_elements(found: Types, rows: int) -> None:
    """An element is there even where its column is empty."""
    if ELEMENT in found:
        found[ELEMENT][_NULL] += rows - found[ELEMENT].total()
    else:
        found[ELEMENT] = Counter({"object": rows})


async def _self_telling(
    connection: Connection, table: sql.Identifier, field: CountedField, rest: str | None
) -> Counter[str]:
    """By what the exact value says that is noted in the same row, else by what the column says."""
    column = sql.Identifier(field.column)
    noted = sql.SQL("({} #> array[{}, {}])::text").format(
        sql.Identifier(rest or ""), sql.Literal(EXACT), sql.Literal(field.path)
    )
    query = sql.SQL(
        f"select {_TYPE_OF_V}, count(*) from (select coalesce({{exact}}, {{column}}::text) as v from {{table}}"
        " where {column} is not null) as t group by 1"
    ).format(exact=noted if rest else sql.NULL, column=column, table=table)
    found: Counter[str] = Counter()
    for tag, n in await _all(connection, query):
        found[_name(tag)] += n
    return found


# --- the rest column ----------------------------------------------------------------------------------------------


def _correct(layer: Layer, named: Types, exact: Types) -> None:
    """Exact values by their own types, in place of the types that their columns give back."""
    natural = {ELEMENT: "object"} | {field.path: field.natural for field in layer.fields}
    for path, types in exact.items():
        for kind, n in types.items() if path in named else ():
            column = natural.get(path)
            if kind == _NULL and path != ELEMENT:
                named[path][_NULL] += n
            elif kind != "missing" and column is not None:
                named[path].update({kind: n, column: -n})


async def _noted(connection: Connection, query: sql.Composed) -> Types:
    """By name: how many of each type the rest column notes."""
    found: Types = {}
    for name, tag, n in await _all(connection, query):
        found.setdefault(unescape(name), Counter())[_name(tag)] += n
    return found


def _exact(schema: str, collection: CollectionMap, layer: Layer) -> sql.Composed:
    residues = _residues(schema, collection, layer)
    return _by_name(residues, sql.SQL("r.residue -> {}").format(sql.Literal(EXACT)), sql.SQL("true"))


def _others(schema: str, collection: CollectionMap, layer: Layer) -> sql.Composed:
    return _by_name(
        _residues(schema, collection, layer),
        sql.SQL("r.residue"),
        sql.SQL("(left(e.key, 1) <> '$' or left(e.key, 2) = '$$')"),
    )


def _by_name(residues: sql.Composed, part: sql.Composable, wanted: sql.SQL) -> sql.Composed:
    return sql.SQL(
        f"select name, {_TYPE_OF_V}, count(*) from (select e.key as name, e.value::text as v"
        " from ({residues}) as r cross join lateral jsonb_each({pairs}) as e where {wanted}) as t group by 1, 2"
    ).format(residues=residues, pairs=_object(part), wanted=wanted)


def _residues(schema: str, collection: CollectionMap, layer: Layer) -> sql.Composed:
    """A query for the residue of every document or element of the layer."""
    assert collection.rest is not None
    query = sql.SQL("select {rest} as residue from {table} where {rest} is not null").format(
        rest=sql.Identifier(collection.rest), table=sql.Identifier(schema, collection.table)
    )
    for child in layer.children:
        path = sql.SQL("r.residue #> array[{}, {}]").format(sql.Literal(CHILDREN), sql.Literal(child.path))
        query = sql.SQL(
            "select e.value as residue from ({query}) as r cross join lateral jsonb_each({pairs}) as e"
            " where e.key <> '$order'"
        ).format(query=query, pairs=_object(path))
    return query


def _object(part: sql.Composable) -> sql.Composed:
    """What is no object has no names."""
    return sql.SQL("case when jsonb_typeof({0}) = 'object' then {0} else '{{}}'::jsonb end").format(part)


# --- what they share ----------------------------------------------------------------------------------------------


def _name(tag: str) -> str:
    return _TAGS.get(tag, "object") if tag.startswith("$") else tag


async def _all(connection: Connection, query: sql.Composed) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query)).fetchall()


async def _one(connection: Connection, query: sql.Composed) -> tuple[Any, ...]:
    return (await _all(connection, query))[0]
