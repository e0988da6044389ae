"""The statements of a table that is compared: what it is, hashes by bucket, rows by key.

A row is hashed as the bytes of its binary record: of every value its type, its length (-1 for NULL), and itself, as
PostgreSQL sends it. PostgreSQL's own hash of a record is not used by itself. It is made for hash joins, where equal
rows must have equal hashes and not the other way round: it forgets the sign of a numeric, takes 0 and 4294967297 for
the same bigint, and adds up the columns, so that the sum over a bucket stays when two of its rows swap a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from midflight.parity.tables.shapes import Cut
from midflight.postgres.table_catalog import Table
from midflight.records import KeyRange

SAMPLED_ROWS = 100_000
"""So many rows say well enough where to cut a table."""

ESTIMATE = sql.SQL(
    "select case when relpages > 0 and reltuples >= 0"
    " then (reltuples / relpages * pg_relation_size(oid) / current_setting('block_size')::int)::int8 end"
    " from pg_class where oid = %s"
)
ENGINE = sql.SQL(
    "select current_setting('server_version_num')::int / 10000"
    " || ' ' || hash_record_extended(row(record_send(row(1::int8, 'probe'::text, 1.5, null::text))), 0)"
)
# Text must be the same on both servers, whatever their settings are.
SETTINGS = sql.SQL(
    "select set_config('datestyle', 'ISO, YMD', false), set_config('intervalstyle', 'postgres', false),"
    " set_config('bytea_output', 'hex', false), set_config('extra_float_digits', '1', false),"
    # Compiling costs more than it saves where most time goes into functions that are compiled already.
    " set_config('jit', 'off', false)"
)


class TableQueries:
    """The statements of one table. Parts of keys are the text or the whole number that `Column.told` gives."""

    def __init__(self, table: Table) -> None:
        key = self._key = table.key
        self._columns = table.columns
        self._names = [sql.Identifier(f"key part {place}") for place in range(len(key))]
        self._parts: dict[str, sql.Composable] = {
            "table": sql.Identifier(table.schema, table.name),
            "order": _listed([column.identifier for column in key]),
            # Told values have the columns' names, too, and would be what is sorted.
            "sorted": _listed([sql.Identifier(table.schema, table.name, column.name) for column in key]),
            "told": _listed([column.told() for column in key]),
            "shown": _listed([column.told() for column in key] + [column.read() for column in table.columns]),
            # Names that no column of the table should have.
            "bucket": sql.Identifier("bucket number"),
            "part": sql.Identifier("part number"),
        }

    def count(self) -> sql.Composed:
        """The number of rows."""
        return self._query("select count(*) from {table}")

    def span(self) -> sql.Composed:
        """The smallest and the largest key, which is one whole number."""
        return self._query("select min({order})::int8, max({order})::int8 from {table}")

    def buckets(self, cut: Cut) -> sql.Composed:
        """Number, rows, sum and xor of the hashes of each bucket. `offset 0` has each hash computed once only."""
        return self._query(
            "select {bucket}, count(*), sum(hash)::text, bit_xor(hash) from"
            " (select {number} as {bucket}, {hash} as hash from {table} offset 0) hashed"
            " group by {bucket} order by {bucket}",
            number=self._number(cut),
            hash=self._hash(cut),
        )

    def hashes(self, cut: Cut) -> sql.Composed:
        """Number, keys (an array for each part), hashes of buckets; parameter: their numbers."""
        told = zip(self._key, self._names, strict=True)
        return self._query(
            _OF_RANGES if cut.dense else _OF_HASHES,
            arrays=_listed([sql.SQL("array_agg({})").format(name) for name in self._names]),
            named=_listed([sql.SQL("{} as {}").format(column.told(), name) for column, name in told]),
            number=self._number(cut),
            hash=self._hash(cut),
            bits=sql.Literal(cut.bits),
            rest=sql.Literal(2**cut.bits - 1),
        )

    def rows(self) -> sql.Composed:
        """Key and compared columns of some keys; parameters: an array for each part."""
        pairs = zip(self._key, self._names, strict=True)
        equal = [sql.SQL("{} = {}").format(column.identifier, column.of_key(name)) for column, name in pairs]
        return self._query(
            "select {shown} from unnest({arrays}) as wanted({names}) join {table} on {equal}",
            arrays=_listed([sql.SQL("%s::{}[]").format(column.key_type) for column in self._key]),
            names=_listed(self._names),
            equal=sql.SQL(" and ").join(equal),
        )

    def page(self, keys: KeyRange, above: bytes | None, *, whole: bool) -> sql.Composed:
        """The next rows, or keys alone, in order; parameters: the parts of lower, above and upper, then how many."""
        signs = ((">=", keys.lower), (">", above), ("<", keys.upper))
        bounds = [self._bound(sign) for sign, key in signs if key is not None]
        return self._query(
            "select {chosen} from {table} {where} order by {sorted} limit %s",
            chosen=self._parts["shown" if whole else "told"],
            where=sql.SQL("where {}").format(sql.SQL(" and ").join(bounds)) if bounds else sql.SQL(""),
        )

    def cuts(self) -> sql.Composed:
        """The first key of each part but the first; of a large table pages taken at random say where."""
        return self._query(
            "with known as (select count(*) as counted from {table}),"
            " sampled as (select {order} from {table} tablesample system"
            " ((select least(100, 100.0 * {most} / greatest(counted, 1)) from known)) repeatable (1)),"
            " cut as (select *, ntile(%s) over (order by {order}) as {part} from sampled),"
            " first as (select distinct on ({part}) * from cut order by {part}, {order})"
            " select {told} from first where {part} > 1 order by {part}",
            most=sql.Literal(SAMPLED_ROWS),
        )

    def sample(self) -> sql.Composed:
        """Keys by their hash; parameters: seed, how many."""
        return self._query(
            "select {told} from {table} order by hash_record_extended(row({told}), %s), {sorted} limit %s"
        )

    def _number(self, cut: Cut) -> sql.Composed:
        if cut.dense:
            return self._query("{order}::int8 >> {bits}", bits=sql.Literal(cut.bits))
        parts = [column.hashed(column.kind) for column in self._key]
        return sql.SQL("{} & {}").format(_hash(parts, native=cut.native), sql.Literal(2**cut.bits - 1))

    def _hash(self, cut: Cut) -> sql.Composed:
        """Of the columns in the order in which the tables agreed on them."""
        by_name = {column.name: column for column in self._columns}
        return _hash([by_name[name].hashed(kind) for name, kind in cut.kinds.items()], native=cut.native)

    def _bound(self, sign: str) -> sql.Composed:
        parts = [column.of_key(sql.SQL("%s::{}").format(column.key_type)) for column in self._key]
        return self._query("({order}) {sign} ({parts})", sign=sql.SQL(sign), parts=_listed(parts))

    def _query(self, template: LiteralString, **parts: sql.Composable) -> sql.Composed:
        return sql.SQL(template).format(**self._parts, **parts)


# A bucket is a range of the key, so that its index finds it.
_OF_RANGES: LiteralString = (
    "select {bucket}, {arrays}, array_agg(hash) from unnest(%s::int8[]) as wanted({bucket}) cross join lateral"
    " (select {named}, {hash} as hash from {table}"
    " where {order} >= ({bucket} << {bits}) and {order} <= ({bucket} << {bits}) + {rest} offset 0) hashed"
    " group by {bucket} order by {bucket}"
)
_OF_HASHES: LiteralString = (
    "select {bucket}, {arrays}, array_agg(hash) from"
    " (select {number} as {bucket}, {named}, {hash} as hash from {table} where ({number}) = any(%s::int8[])) hashed"
    " group by {bucket} order by {bucket}"
)


def _hash(values: Sequence[sql.Composable], *, native: bool) -> sql.Composed:
    record = sql.SQL("record_send(row({}))").format(_listed(values))
    if native:
        return sql.SQL("hash_record_extended(row({}), 0)").format(record)
    return sql.SQL("('x' || left(md5({}), 16))::bit(64)::int8").format(record)


def _listed(parts: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
