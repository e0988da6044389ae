"""Find the documents that the target does not take, by halving the set; everything else goes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from midflight.core.outcome import Absent, Applied, Mapped, Refused
from midflight.postgres.failures import Violation, violations
from midflight.postgres.merge import Item, Merge
from midflight.postgres.session import Connection


@dataclass(frozen=True, slots=True)
class _Parked:
    """An item that the target refused, and why."""

    item: Item
    violation: Violation


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
        raise parked[0].violation
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
            return Applied(), [_Parked(items[0], violation)]
    middle = len(items) // 2
    first, parked = await _divide(connection, merge, items[:middle], replacing)
    second, more = await _divide(connection, merge, items[middle:], replacing)
    return first + second, parked + more


def _as_it_is(parked: _Parked) -> Item:
    return parked.item


def _as_refused(parked: _Parked) -> Item:
    """Named by the constraint: the target knows columns, not values."""
    outcome, violation = parked.item.outcome, parked.violation
    if isinstance(outcome, Refused):
        return parked.item
    row_key = outcome.row_key if isinstance(outcome, Absent) else outcome.rows[0][0][0]
    refused = Refused(
        key=outcome.key,
        row_key=row_key,
        field=violation.column,
        value_type="",
        column=".".join(name for name in (violation.table, violation.column) if name),
        reason=violation.reason,
        checksum=outcome.checksum if isinstance(outcome, Mapped) else b"",
    )
    return replace(parked.item, outcome=refused)


def _as_refused_in_place(parked: _Parked) -> Item:
    """Something outside the plan still refers to its rows: they stay, and the quarantine says so."""
    refused = _as_refused(parked).outcome
    assert isinstance(refused, Refused)
    reason = f"{refused.reason}; its rows could not be removed ({parked.violation.reason})"
    return replace(parked.item, outcome=replace(refused, row_key=None, reason=reason))
