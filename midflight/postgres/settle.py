"""Find the documents that the target does not take, by halving the set; everything else goes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from midflight.core.outcome import Absent, Applied, Mapped, Refused
from midflight.errors import TargetError
from midflight.postgres.failures import Violation, violations
from midflight.postgres.merge import Item, Merge
from midflight.postgres.session import Connection

_COLUMNS_OF_CONSTRAINT = sql.SQL(
    "select string_agg(a.attname, ', ' order by k.place)"
    " from (select c.conrelid as rel, c.conkey as keys from pg_constraint c"
    " where c.conrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) and c.conname = %s"
    " union select i.indrelid, i.indkey::int2[] from pg_index i join pg_class n on n.oid = i.indexrelid"
    " where i.indrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) and n.relname = %s) as f"
    " cross join unnest(f.keys) with ordinality as k(number, place)"
    " join pg_attribute a on a.attrelid = f.rel and a.attnum = k.number"
)


@dataclass(frozen=True, slots=True)
class _Parked:
    """An item that the target refused: why, and where."""

    item: Item
    reason: str
    table: str
    columns: str


async def settle(connection: Connection, merge: Merge, items: Sequence[Item], *, replacing: bool) -> Applied:
    """Merge the items; those that violate a constraint end in quarantine.

    What is refused at first is tried again once the others are in (two documents may have swapped a unique value, or
    one refers to the other); then it goes to quarantine and loses its rows, which stay only if they cannot be removed.
    """
    applied, parked = await _divide(connection, merge, items, replacing)
    for attempt in (_as_it_is, _as_refused, _as_refused_in_place):
        if not parked:
            break
        again = [attempt(one) for one in parked]
        more, parked = await _divide(connection, merge, again, replacing=True)
        applied += more
    if parked:
        raise TargetError(f"The target refuses a document and its quarantine entry: {parked[0].reason}.")
    return applied


async def _divide(
    connection: Connection, merge: Merge, items: Sequence[Item], replacing: bool
) -> tuple[Applied, list[_Parked]]:
    """Merge all, or undo and merge each half; few bad documents cost about log2(n) merges each."""
    try:
        with violations():
            async with connection.transaction():
                return await merge.run(items, replace=replacing), []
    except Violation as violation:
        if len(items) == 1:
            return Applied(), [await _park(connection, items[0], violation)]
    middle = len(items) // 2
    first, parked = await _divide(connection, merge, items[:middle], replacing)
    second, more = await _divide(connection, merge, items[middle:], replacing)
    return first + second, parked + more


async def _park(connection: Connection, item: Item, violation: Violation) -> _Parked:
    """With the constraint's columns, which the server does not send along."""
    columns = violation.columns
    if violation.constraint and not columns:
        names = (violation.schema, violation.table, violation.constraint)
        row = await (await connection.execute(_COLUMNS_OF_CONSTRAINT, (*names, *names))).fetchone()
        columns = (row and row[0]) or ""
    return _Parked(item, violation.reason, violation.table, columns)


def _as_it_is(parked: _Parked) -> Item:
    return parked.item


def _as_refused(parked: _Parked) -> Item:
    """Named by the constraint: the target knows columns, not values."""
    outcome = parked.item.outcome
    if isinstance(outcome, Refused):
        return parked.item
    row_key = outcome.row_key if isinstance(outcome, Absent) else outcome.rows[0][0][0]
    refused = Refused(
        key=outcome.key,
        row_key=row_key,
        field=parked.columns,
        value_type="",
        column=".".join(name for name in (parked.table, parked.columns) if name),
        reason=parked.reason,
        checksum=outcome.checksum if isinstance(outcome, Mapped) else b"",
    )
    return replace(parked.item, outcome=refused)


def _as_refused_in_place(parked: _Parked) -> Item:
    """Something outside the plan still refers to its rows: they stay, and the quarantine says so."""
    refused = _as_refused(parked).outcome
    assert isinstance(refused, Refused)
    reason = f"{refused.reason}; its rows could not be removed ({parked.reason})"
    return replace(parked.item, outcome=replace(refused, row_key=None, reason=reason))
