"""The SQL that merges staged outcomes into a collection's tables: pure text from the plan's tables.

Outcomes are staged in temporary tables: `keys` (one row an outcome), `accepted` (the keys whose guard row let them
pass) and one table of rows for each table of the collection. The merge then works on sets, never on single documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from psycopg import sql

from midflight.core.plan import CollectionMap
from midflight.core.tables import Table, tables
from midflight.postgres.adapt import staged_type

LIVE, ABSENT, REFUSED = 0, 1, 2
"""What a staged outcome is: rows follow, the source holds nothing, or the target cannot hold it."""

KEY_COLUMNS = ("key", "row_key", "checksum", "kind")


@dataclass(frozen=True, slots=True)
class CopyIn:
    """A COPY into a staging table, and the types of its columns."""

    statement: sql.Composed
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MergeStatements:
    """All statements of one collection; the lists by table are in the order of `tables()`.

    `accept` takes collection_id, token and path, and returns how many keys it accepted: live, absent, refused, new,
    new and live.
    `delete_root` and `insert_new` take replace: whether rows that exist are removed first instead of updated.
    """

    create_stage: tuple[sql.Composed, ...]
    empty_stage: sql.Composed
    copy_keys: CopyIn
    copy_rows: tuple[CopyIn, ...]
    accept: sql.Composed
    delete_children: tuple[sql.Composed, ...]
    delete_root: sql.Composed
    insert_new: sql.Composed
    update_root: sql.Composed
    insert_children: tuple[sql.Composed, ...]
    quarantine: sql.Composed
    release: sql.Composed


@lru_cache(maxsize=256)
def merge_statements(schema: str, collection: CollectionMap) -> MergeStatements:
    """The statements that stage and merge this collection."""
    return _Writer(schema, collection).statements()


class _Writer:
    """Knows the names; every method writes one statement."""

    def __init__(self, schema: str, collection: CollectionMap) -> None:
        self._schema = schema
        self._tables = tables(collection)
        self._root = self._tables[0]
        stage = _stage_name(schema, self._tables)
        self._keys = sql.Identifier("pg_temp", f"{stage}_keys")
        self._accepted = sql.Identifier("pg_temp", f"{stage}_accepted")
        self._staged = [sql.Identifier("pg_temp", f"{stage}_{n}") for n in range(len(self._tables))]

    def statements(self) -> MergeStatements:
        children = self._tables[1:]
        return MergeStatements(
            create_stage=self._create_stage(),
            empty_stage=self._empty_stage(),
            copy_keys=self._copy_keys(),
            copy_rows=tuple(self._copy_rows(n) for n in range(len(self._tables))),
            accept=self._accept(),
            delete_children=tuple(self._delete_child(child) for child in reversed(children)),
            delete_root=self._delete_root(),
            insert_new=self._insert_new(),
            update_root=self._update_root(),
            insert_children=tuple(self._insert(n) for n in range(1, len(self._tables))),
            quarantine=self._quarantine(),
            release=self._release(),
        )

    def _create_stage(self) -> tuple[sql.Composed, ...]:
        # The key column is taken from the target, so that it has the same collation and joins use the target's index.
        keys = sql.SQL(
            "create temporary table if not exists {keys} on commit delete rows as"
            " select null::bytea as key, {row_key}, null::bytea as checksum, null::int2 as kind"
            " from {root} with no data"
        ).format(
            keys=self._keys,
            row_key=_staged_column(self._root, self._root.root_key, "row_key"),
            root=self._target(self._root),
        )
        accepted = sql.SQL(
            "create temporary table if not exists {accepted} on commit delete rows as"
            " select key, row_key, kind, null::bool as fresh from {keys} with no data"
        ).format(accepted=self._accepted, keys=self._keys)
        return (keys, accepted, *(self._create_rows(n) for n in range(len(self._tables))))

    def _create_rows(self, number: int) -> sql.Composed:
        table = self._tables[number]
        columns = [_staged_column(table, column.name, column.name) for column in table.columns]
        return sql.SQL(
            "create temporary table if not exists {staged} on commit delete rows as"
            " select {columns} from {target} with no data"
        ).format(staged=self._staged[number], columns=_commas(columns), target=self._target(table))

    def _empty_stage(self) -> sql.Composed:
        return sql.SQL("truncate {}").format(_commas([self._keys, self._accepted, *self._staged]))

    def _copy_keys(self) -> CopyIn:
        key_type = staged_type(self._root.columns[0].type)
        return CopyIn(_copy(self._keys, KEY_COLUMNS), ("bytea", key_type, "bytea", "int2"))

    def _copy_rows(self, number: int) -> CopyIn:
        table = self._tables[number]
        types = tuple(staged_type(column.type) for column in table.columns)
        return CopyIn(_copy(self._staged[number], _names(table)), types)

    def _accept(self) -> sql.Composed:
        # In key order, so that two appliers with the same keys wait for one another instead of embracing.
        return sql.SQL(
            "with passed as ("
            " insert into midflight.guards as guard"
            " (collection_id, key, token, deleted, refused, checksum, applied_at, path)"
            " select %(collection_id)s, key, %(token)s, kind = {absent}, kind = {refused}, checksum, now(), %(path)s"
            " from {keys} order by key"
            " on conflict (collection_id, key) do update set token = excluded.token, deleted = excluded.deleted,"
            " refused = excluded.refused, checksum = excluded.checksum, applied_at = excluded.applied_at,"
            " path = excluded.path"
            " where guard.token < excluded.token"
            " returning guard.key, guard.xmax = 0 as fresh"
            "), accepted as ("
            " insert into {accepted} (key, row_key, kind, fresh)"
            # What the application wrote while the target was in charge has rows, but no guard row yet; neither has what
            # somebody wrote past the fence, which is what a repair is for.
            " select key, row_key, kind, fresh and %(path)s <> 'repair'"
            " and not exists (select from midflight.dirty as d"
            ' where d.collection_id = %(collection_id)s and d.row_key = k.row_key::text collate "default")'
            " from passed join {keys} as k using (key)"
            " returning kind, fresh"
            ") select count(*) filter (where kind = {live}), count(*) filter (where kind = {absent}),"
            " count(*) filter (where kind = {refused}), count(*) filter (where fresh),"
            " count(*) filter (where fresh and kind = {live}) from accepted"
        ).format(keys=self._keys, accepted=self._accepted, live=LIVE, absent=ABSENT, refused=REFUSED)

    # Deletes find their rows by an array of keys: joined with a staging table, whose size the planner can only
    # guess, the target table would be read from end to end for a single document.

    def _delete_child(self, table: Table) -> sql.Composed:
        return sql.SQL(
            "delete from {target} where {root_key} = any(array(select row_key from {accepted} where not fresh))"
        ).format(target=self._target(table), accepted=self._accepted, root_key=sql.Identifier(table.root_key))

    def _delete_root(self) -> sql.Composed:
        return sql.SQL(
            "delete from {target} where {root_key} = any(array("
            "select row_key from {accepted} where not fresh and (kind <> {live} or %(replace)s)))"
        ).format(
            target=self._target(self._root),
            accepted=self._accepted,
            live=LIVE,
            root_key=sql.Identifier(self._root.root_key),
        )

    def _insert_new(self) -> sql.Composed:
        return sql.SQL("{insert} and (a.fresh or %(replace)s)").format(insert=self._insert(0))

    def _update_root(self) -> sql.Composed:
        rest = [sql.Identifier(c.name) for c in self._root.columns if c.name != self._root.root_key]
        assignments = _commas([sql.SQL("{0} = excluded.{0}").format(name) for name in rest])
        action = sql.SQL("do update set {}").format(assignments) if rest else sql.SQL("do nothing")
        return sql.SQL("{insert} and not a.fresh on conflict ({key}) {action}").format(
            insert=self._insert(0), key=sql.Identifier(self._root.root_key), action=action
        )

    def _insert(self, number: int) -> sql.Composed:
        table = self._tables[number]
        names = [sql.Identifier(name) for name in _names(table)]
        return sql.SQL(
            "insert into {target} ({columns}) select {values} from {staged} as s"
            " join {accepted} as a on a.row_key = s.{root_key} where a.kind = {live}"
        ).format(
            target=self._target(table),
            columns=_commas(names),
            values=_commas([sql.SQL("s.{}").format(name) for name in names]),
            staged=self._staged[number],
            accepted=self._accepted,
            root_key=sql.Identifier(table.root_key),
            live=LIVE,
        )

    def _quarantine(self) -> sql.Composed:
        # A waiver covers one image of a document: another image, or another reason, needs a waiver of its own.
        same = sql.SQL("q.checksum = excluded.checksum and q.field = excluded.field and q.reason = excluded.reason")
        kept = [sql.SQL("{0} = case when {1} then q.{0} end").format(sql.Identifier(n), same) for n in _WAIVER]
        return sql.SQL(
            "insert into midflight.quarantine as q (domain, collection_id, key, token, checksum, field, value_type,"
            " column_name, reason, path, first_seen, last_seen)"
            " select %(domain)s, %(collection_id)s, key, %(token)s, r.checksum, r.field, r.value_type,"
            " r.column_name, r.reason, %(path)s, now(), now()"
            " from unnest(%(keys)s::bytea[], %(checksums)s::bytea[], %(fields)s::text[], %(value_types)s::text[],"
            " %(columns)s::text[], %(reasons)s::text[]) as r(key, checksum, field, value_type, column_name, reason)"
            " join {accepted} using (key)"
            " on conflict (collection_id, key) where path <> 'tripwire'"
            " do update set token = excluded.token, checksum = excluded.checksum,"
            " field = excluded.field, value_type = excluded.value_type, column_name = excluded.column_name,"
            " reason = excluded.reason, path = excluded.path, last_seen = excluded.last_seen, {kept}"
        ).format(accepted=self._accepted, kept=_commas(kept))

    def _release(self) -> sql.Composed:
        # A late write's image is in no store: only a person may let go of it.
        return sql.SQL(
            "delete from midflight.quarantine where collection_id = %(collection_id)s and path <> 'tripwire'"
            " and key = any(array(select key from {accepted} where kind <> {refused}))"
        ).format(accepted=self._accepted, refused=REFUSED)

    def _target(self, table: Table) -> sql.Identifier:
        return sql.Identifier(self._schema, table.name)


_WAIVER = ("waived_by", "waived_reason", "waived_at")


def _stage_name(schema: str, of_collection: tuple[Table, ...]) -> str:
    """Another shape has another name: a staging table lives as long as its connection, a plan may change meanwhile."""
    shape = hashlib.blake2b(repr((schema, of_collection)).encode(), digest_size=6).hexdigest()
    return f"stage_{of_collection[0].name[:30]}_{shape}"


def _staged_column(table: Table, name: str, staged_as: str) -> sql.Composed:
    """The column's expression in the staging table: keys keep the target's collation, the others only have a type."""
    column = next(c for c in table.columns if c.name == name)
    return sql.SQL("{value}::{type} as {name}").format(
        value=sql.Identifier(name) if name in table.primary_key else sql.SQL("null"),
        type=sql.SQL(staged_type(column.type)),
        name=sql.Identifier(staged_as),
    )


def _copy(table: sql.Identifier, columns: Sequence[str]) -> sql.Composed:
    names = _commas([sql.Identifier(name) for name in columns])
    return sql.SQL("copy {} ({}) from stdin (format binary)").format(table, names)


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


def _commas(parts: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
