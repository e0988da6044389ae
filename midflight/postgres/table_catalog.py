"""Find a table, its columns and its key in the catalog of PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from midflight.errors import PlanError
from midflight.postgres.session import Session
from midflight.postgres.table_columns import Column

OLDEST_SERVER = 140_000

_PLACE = sql.SQL(
    "select n.nspname, c.relname, c.oid::int8 from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    " where c.oid = to_regclass(%s)"
)
_COLUMNS = sql.SQL(
    "select a.attname, format_type(a.atttypid, -1), coalesce(b.typname, t.typname), a.attnotnull"
    " from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_type b on b.oid = nullif(t.typbasetype, 0)"
    " where a.attrelid = %s and a.attnum > 0 and not a.attisdropped order by a.attnum"
)
_UNIQUE_KEYS = sql.SQL(
    "select array(select a.attname::text from unnest(i.indkey[:i.indnkeyatts - 1]) with ordinality k(number, place)"
    " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number order by k.place)"
    " from pg_index i where i.indrelid = %s and i.indisunique and i.indisvalid and i.indpred is null"
    " and i.indexprs is null order by i.indisprimary desc, i.indexrelid"
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table and what is compared of it: `columns` begins with those of `key`."""

    number: int
    schema: str
    name: str
    key: tuple[Column, ...]
    columns: tuple[Column, ...]


async def find_table(session: Session, written: str, key: Sequence[str], columns: Sequence[str]) -> Table:
    """The table as it is written in SQL. PlanError where it, a column, or a unique index over the key is missing."""
    if session.connection.info.server_version < OLDEST_SERVER:
        raise PlanError("Tables are hashed by functions that PostgreSQL has since version 14.")
    place = await session.row(_PLACE, (written,))
    if place is None:
        raise PlanError(f"There is no table {written}.", next_step="Write it as in SQL, with its schema.")
    schema, name, number = place
    known = {row[0]: Column(*row) for row in await session.rows(_COLUMNS, (number,))}
    unique = [tuple(names) for (names,) in await session.rows(_UNIQUE_KEYS, (number,))]
    key_columns = _required(_named(known, _key(unique, tuple(key), written), written), written)
    compared = _named(known, tuple(columns) or tuple(known), written)
    return Table(number, schema, name, key_columns, tuple(dict.fromkeys((*key_columns, *compared))))


def _key(unique: Sequence[tuple[str, ...]], wanted: tuple[str, ...], written: str) -> tuple[str, ...]:
    """The wanted key, or that of the first index, which is the primary key's where there is one."""
    if not wanted and unique:
        return unique[0]
    if wanted and any(set(names) == set(wanted) for names in unique):
        return wanted
    raise PlanError(
        f"{written} has no unique index over {', '.join(wanted) or 'any columns'}.",
        next_step="Name columns that tell its rows apart, and index them.",
    )


def _required(key: tuple[Column, ...], written: str) -> tuple[Column, ...]:
    for column in key:
        if not column.required:
            raise PlanError(f"{written}.{column.name} may be NULL.", next_step="Name a key whose columns are NOT NULL.")
    return key


def _named(known: Mapping[str, Column], names: Sequence[str], written: str) -> tuple[Column, ...]:
    missing = [name for name in names if name not in known]
    if missing:
        raise PlanError(f"{written} has no column {', '.join(missing)}.", next_step="Correct the name.")
    return tuple(known[name] for name in names)
