"""Merge one set of outcomes: stage it by binary COPY, let the guard rows choose, replace the chosen keys' rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from midflight.core.outcome import Absent, Applied, Mapped, Outcome, Path, Refused
from midflight.core.plan import CollectionMap
from midflight.core.tables import Table
from midflight.postgres.failures import sendable
from midflight.postgres.session import Connection
from midflight.postgres.statements import ABSENT, LIVE, REFUSED, CopyIn, MergeStatements


@dataclass(frozen=True, slots=True)
class Desk:
    """What it takes to merge one collection."""

    collection: CollectionMap
    collection_id: int
    tables: tuple[Table, ...]
    statements: MergeStatements


@dataclass(frozen=True, slots=True)
class Item:
    """One outcome and the desk it belongs to."""

    desk: Desk
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Accepted:
    """How many keys of one collection passed their guard rows."""

    desk: Desk
    outcomes: Sequence[Outcome]
    live: int
    absent: int
    refused: int
    fresh: int
    fresh_live: int

    @property
    def known(self) -> int:
        """Keys that had a guard row before: there may be rows to remove or update."""
        return self.live + self.absent + self.refused - self.fresh

    @property
    def stale(self) -> int:
        return len(self.outcomes) - self.live - self.absent - self.refused


class Merge:
    """Merges sets of outcomes on one connection, inside the caller's transaction, under one token."""

    def __init__(self, connection: Connection, domain: str, token: int, path: Path) -> None:
        self._connection = connection
        self._parameters = {"domain": domain, "token": token, "path": path}
        self._dirty: set[int] = set()

    async def run(self, items: Sequence[Item], *, replace: bool) -> Applied:
        """Merge the items, which come in table order and key order.

        With `replace` the rows of known keys are deleted and inserted again, so that two documents may swap a
        unique value and references are checked anew; without, root rows are updated in place.
        """
        # Both ends of a reference may be in the set: its order within the set must not matter.
        await self._connection.execute("set constraints all deferred")
        accepted = [await self._accept(desk, outcomes) for desk, outcomes in _by_desk(items)]
        for one in reversed(accepted):
            await self._delete(one, replace)
        rows = sum([await self._insert(one, replace) for one in accepted])
        for one in accepted:
            await self._quarantine(one)
        await self._connection.execute("set constraints all immediate")
        return _applied(accepted, rows)

    async def _accept(self, desk: Desk, outcomes: Sequence[Outcome]) -> _Accepted:
        await self._empty_stage(desk)
        statements = desk.statements
        await self._copy(statements.copy_keys, map(_key_row, outcomes))
        live = [outcome.rows for outcome in outcomes if isinstance(outcome, Mapped)]
        for number, copy_in in enumerate(statements.copy_rows if live else ()):
            await self._copy(copy_in, (row for rows in live for row in rows[number]))
        parameters = {**self._parameters, "collection_id": desk.collection_id}
        cursor = await self._connection.execute(statements.accept, parameters)
        counts = await cursor.fetchone()
        assert counts is not None
        return _Accepted(desk, outcomes, *counts)

    async def _empty_stage(self, desk: Desk) -> None:
        """Commit empties the stage; only a second merge in the same transaction has to do it itself."""
        if desk.collection_id in self._dirty:
            await self._connection.execute(desk.statements.empty_stage)
        self._dirty.add(desk.collection_id)

    async def _copy(self, copy_in: CopyIn, rows: Iterable[Sequence[Any]]) -> None:
        async with self._connection.cursor() as cursor, cursor.copy(copy_in.statement) as copy:
            copy.set_types(copy_in.types)
            # The formatter gathers rows in a buffer; only a full buffer is worth an await.
            format_row = copy.formatter.write_row
            with sendable():
                for row in rows:
                    if block := format_row(row):
                        await copy.write(block)

    async def _delete(self, accepted: _Accepted, replace: bool) -> None:
        if not accepted.known:
            return
        statements = accepted.desk.statements
        for statement in statements.delete_children:
            await self._connection.execute(statement)
        await self._connection.execute(statements.delete_root, {"replace": replace})

    async def _insert(self, accepted: _Accepted, replace: bool) -> int:
        if not accepted.live:
            return 0
        statements = accepted.desk.statements
        rows = await self._count(statements.insert_new, {"replace": replace})
        if accepted.live > accepted.fresh_live and not replace:
            rows += await self._count(statements.update_root)
        return rows + sum([await self._count(statement) for statement in statements.insert_children])

    async def _quarantine(self, accepted: _Accepted) -> None:
        desk = accepted.desk
        parameters = {**self._parameters, "collection_id": desk.collection_id}
        if accepted.known:
            await self._connection.execute(desk.statements.release, parameters)
        if accepted.refused:
            refused = [outcome for outcome in accepted.outcomes if isinstance(outcome, Refused)]
            await self._connection.execute(desk.statements.quarantine, {**parameters, **_entries(refused)})

    async def _count(self, statement: Any, parameters: dict[str, Any] | None = None) -> int:
        return (await self._connection.execute(statement, parameters)).rowcount


def _by_desk(items: Sequence[Item]) -> Iterator[tuple[Desk, list[Outcome]]]:
    for _, group in groupby(items, key=lambda item: item.desk.collection_id):
        of_one = list(group)
        yield of_one[0].desk, [item.outcome for item in of_one]


def _key_row(outcome: Outcome) -> tuple[bytes, Any, bytes, int]:
    if isinstance(outcome, Mapped):
        return outcome.key, outcome.rows[0][0][0], outcome.checksum, LIVE
    if isinstance(outcome, Absent):
        return outcome.key, outcome.row_key, b"", ABSENT
    return outcome.key, outcome.row_key, outcome.checksum, REFUSED


def _entries(refused: Sequence[Refused]) -> dict[str, list[Any]]:
    return {
        "keys": [outcome.key for outcome in refused],
        "checksums": [outcome.checksum for outcome in refused],
        "fields": [outcome.field for outcome in refused],
        "value_types": [outcome.value_type for outcome in refused],
        "columns": [outcome.column for outcome in refused],
        "reasons": [outcome.reason for outcome in refused],
    }


def _applied(accepted: Sequence[_Accepted], rows: int) -> Applied:
    return Applied(
        written=sum(one.live for one in accepted),
        deleted=sum(one.absent for one in accepted),
        stale=sum(one.stale for one in accepted),
        quarantined=sum(one.refused for one in accepted),
        rows=rows,
    )
