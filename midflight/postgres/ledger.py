"""The ledger: what Midflight remembers of a domain, and who is in charge of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from psycopg import sql

from midflight.core.fingerprint import fingerprint
from midflight.core.gates import Evidence
from midflight.core.phase import Stage
from midflight.core.plan import Plan, plain
from midflight.core.tables import tables
from midflight.errors import AuthorityMoved, LedgerConflict, TargetError
from midflight.postgres import authority
from midflight.postgres.authority import unknown
from midflight.postgres.evidence import gather
from midflight.postgres.forget import forget_copy
from midflight.postgres.session import Connection, Session
from midflight.records import AuthorityRow, KeyRange, Partition, Position, QuarantineEntry

_LIVE = sql.SQL(
    "select d.fingerprint, d.authority = 'target' or exists"
    " (select from midflight.positions p where p.domain = d.domain)"
    " from midflight.domains d where d.domain = %s for update"
)
_REGISTER = sql.SQL(
    "insert into midflight.domains as d (domain, fingerprint, plan) values (%s, %s, %s::jsonb)"
    " on conflict (domain) do update set fingerprint = excluded.fingerprint, plan = excluded.plan, updated_at = now()"
)
_FORGET_COLLECTIONS = sql.SQL("delete from midflight.collections where domain = %s and collection <> all(%s)")
_REGISTER_COLLECTION = sql.SQL(
    "insert into midflight.collections (domain, collection) values (%s, %s) on conflict do nothing"
)
_PUT_PARTITION = sql.SQL(
    "insert into midflight.partitions (collection_id, number, lower_key, upper_key) values (%s, %s, %s, %s)"
)
_PARTITIONS = sql.SQL(
    "select p.number, p.lower_key, p.upper_key, p.cursor, p.batches, p.documents, p.done"
    " from midflight.partitions p join midflight.collections c on c.id = p.collection_id"
    " where c.domain = %s and c.collection = %s order by p.number"
)
_FORGET_PARTITIONS = sql.SQL(
    "delete from midflight.partitions p using midflight.collections c where c.id = p.collection_id and c.domain = %s"
)
_LOCK_EPOCH = sql.SQL("select epoch from midflight.domains where domain = %s for share")
_POSITION = sql.SQL("select token, commits, mark, lag_seconds, events from midflight.positions where domain = %s")
_ENTRY = (
    "q.number, c.collection, q.key, q.field, q.value_type, q.column_name, q.reason, q.token, q.path, q.first_seen,"
    " q.last_seen, q.waived_by, q.waived_reason"
)
_QUARANTINED = sql.SQL(
    "select " + _ENTRY + " from midflight.quarantine q join midflight.collections c on c.id = q.collection_id"
    " where q.domain = %(domain)s and (%(collection)s::text is null or c.collection = %(collection)s)"
    " and (q.waived_by is null or not %(only_open)s) order by q.number limit %(at_most)s"
)
_WAIVE = sql.SQL(
    "update midflight.quarantine q set waived_by = %s, waived_reason = %s, waived_at = now()"
    " from midflight.collections c where c.id = q.collection_id and q.domain = %s and q.number = %s"
    " returning " + _ENTRY
)
_COUNTS = sql.SQL(
    "select count(*) filter (where not deleted and not refused), count(*) filter (where deleted),"
    " count(*) filter (where refused) from midflight.guards g join midflight.collections c on c.id = g.collection_id"
    " where c.domain = %s and c.collection = %s"
)
CLOCK_LEAP = 1_000_000
"""Others may draw between our look at the clock and its raise: so far ahead that they do not get past it meanwhile."""
_RAISE_CLOCK = sql.SQL("select setval('midflight.clock', %s) from midflight.clock where last_value <= %s")


class PostgresLedger:
    """Implements `midflight.ports.Ledger`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def register(self, plan: Plan) -> None:
        """Record the plan and its authority row; another plan may replace one whose move has not been pinned yet."""
        mine = fingerprint(plan)
        async with self._session.transaction() as connection:
            recorded = await _first(connection, _LIVE, (plan.domain,))
            if recorded is not None and recorded[1] and recorded[0] != mine:
                raise LedgerConflict(
                    f"Domain {plan.domain} is under way with plan {recorded[0][:12]}, this plan is {mine[:12]}.",
                    next_step="Go on with the recorded plan, or roll back to prepare before you start with another.",
                )
            await connection.execute(_REGISTER, (plan.domain, mine, json.dumps(plain(plan))))
            names = [entry.collection for entry in plan.collections]
            await connection.execute(_FORGET_COLLECTIONS, (plan.domain, names))
            for name in names:
                await connection.execute(_REGISTER_COLLECTION, (plan.domain, name))

    async def plan(self, domain: str) -> Plan:
        """The recorded plan. DomainUnknown."""
        row = await self._session.row(sql.SQL("select plan from midflight.domains where domain = %s"), (domain,))
        return Plan.model_validate_json(_known(row, domain)[0])

    async def authority(self, domain: str) -> AuthorityRow:
        """The authority row. DomainUnknown."""
        return await authority.read(self._session, domain)

    async def set_stage(
        self, domain: str, stage: Stage, reads_bp: int, dark_reads_bp: int, epoch: int | None = None
    ) -> AuthorityRow:
        """Move the stage while the source is the authority; AuthorityMoved otherwise (unless it is already so).

        With an epoch also AuthorityMoved in another epoch, and out of `hold`, which only a handover may leave.
        """
        wanted = authority.Wanted(stage, reads_bp, dark_reads_bp)
        return await authority.set_stage(self._session, domain, wanted, epoch)

    async def set_back(self, domain: str, revision: int, dark_reads_bp: int, breaches: Sequence[str]) -> bool:
        """All reads back to the source, with the reason in the audit trail, unless the row has moved meanwhile."""
        return await authority.set_back(self._session, domain, revision, dark_reads_bp, breaches)

    async def flip(self, domain: str, epoch: int, revision: int | None = None) -> int:
        """Make the target the authority; waits for applies under way. Repeating with the old epoch is safe."""
        return (await authority.flip(self._session, domain, epoch, revision)).epoch

    async def raise_clock(self, above: int) -> None:
        """Every token and every dirty mark from now on is larger than this. A clock that is larger already stays."""
        await self._session.rows(_RAISE_CLOCK, (above + CLOCK_LEAP, above))

    async def hold(self, domain: str) -> AuthorityRow:
        """The target stays the authority in stage hold, and still accepts. Repeating is safe."""
        return await authority.hold(self._session, domain)

    async def close(self, domain: str, revision: int | None = None) -> AuthorityRow:
        """The target stays the authority but accepts nothing; waits for writes it has accepted. Repeating is safe."""
        return await authority.close(self._session, domain, revision)

    async def reopen(self, domain: str) -> AuthorityRow:
        """Take `hold` and `close` back. Repeating is safe. AuthorityMoved while the source is the authority."""
        return await authority.reopen(self._session, domain)

    async def flip_back(self, domain: str, epoch: int) -> AuthorityRow:
        """The source is the authority again; NotDrained before that. Repeating with the old epoch is safe."""
        return await authority.flip_back(self._session, domain, epoch)

    async def retire(self, domain: str) -> None:
        """stage = target_only. Repeating is safe. AuthorityMoved while the source is the authority."""
        await authority.retire(self._session, domain)

    async def reset(self, plan: Plan, epoch: int | None = None) -> None:
        """Forget the copy: epoch + 1, target tables emptied; guard rows, places, quarantine and parity gone.

        With an epoch: nothing is done in the next one (this was asked for before), AuthorityMoved in any other.
        """
        async with self._session.transaction() as connection:
            await connection.execute("set local statement_timeout = 0")
            await forget_copy(connection, plan, epoch)

    async def pin(self, domain: str, token: bytes) -> None:
        """Record the starting position; an existing one stays."""
        pinned = sql.SQL("insert into midflight.positions (domain, token) values (%s, %s) on conflict do nothing")
        await self._session.run(pinned, (domain, token))

    async def position(self, domain: str) -> Position | None:
        """The tail's position, or None before the capture."""
        row = await self._session.row(_POSITION, (domain,))
        return None if row is None else Position(*row)

    async def report_lag(self, domain: str, lag_seconds: float) -> None:
        """What the tail says of itself, with the time at which it says so."""
        report = sql.SQL("update midflight.positions set lag_seconds = %s, reported_at = now() where domain = %s")
        await self._session.run(report, (lag_seconds, domain))

    async def put_partitions(self, domain: str, collection: str, ranges: Sequence[KeyRange]) -> None:
        """Record the partitions; existing ones stay (a repeated call changes nothing)."""
        async with self._session.transaction() as connection:
            # The lock makes two first calls follow one another: partitions of two different cuts must never mix.
            lock = sql.SQL(
                "select id from midflight.collections where domain = %s and collection = %s for no key update"
            )
            number = _known(await _first(connection, lock, (domain, collection)), domain)[0]
            found = sql.SQL("select 1 from midflight.partitions where collection_id = %s limit 1")
            if await _first(connection, found, (number,)):
                return
            rows = [(number, n, keys.lower, keys.upper) for n, keys in enumerate(ranges)]
            await connection.cursor().executemany(_PUT_PARTITION, rows)

    async def partitions(self, domain: str, collection: str) -> list[Partition]:
        """The collection's partitions in key order."""
        rows = await self._session.rows(_PARTITIONS, (domain, collection))
        return [Partition(number, KeyRange(lower, upper), *place) for number, lower, upper, *place in rows]

    async def reset_partitions(self, domain: str, epoch: int | None = None) -> None:
        """Forget all partitions, so that a new backfill starts from the beginning. AuthorityMoved: another epoch."""
        async with self._session.transaction() as connection:
            found = _known(await _first(connection, _LOCK_EPOCH, (domain,)), domain)[0]
            if epoch not in (None, found):
                raise AuthorityMoved(f"{domain} is in epoch {found}: the partitions of {epoch} are gone already.")
            await connection.execute(_FORGET_PARTITIONS, (domain,))

    async def quarantined(
        self, domain: str, *, collection: str | None = None, only_open: bool = True, at_most: int = 1_000
    ) -> list[QuarantineEntry]:
        """Entries of the domain, oldest first; waived ones only where asked for."""
        parameters = {"domain": domain, "collection": collection, "only_open": only_open, "at_most": at_most}
        return [QuarantineEntry(*row) for row in await self._session.rows(_QUARANTINED, parameters)]

    async def waive(self, domain: str, number: int, person: str, reason: str) -> QuarantineEntry:
        """Accept that this image of the document stays out. TargetError where there is no such entry."""
        row = await self._session.row(_WAIVE, (person, reason, domain, number))
        if row is None:
            raise TargetError(
                f"Domain {domain} has no quarantine entry {number}.", next_step="List the entries; it may be cleared."
            )
        return QuarantineEntry(*row)

    async def record(self, domain: str, kind: str, person: str, details: dict[str, Any]) -> None:
        """Append to the audit trail."""
        append = "insert into midflight.audit (domain, kind, person, details) values (%s, %s, %s, %s::jsonb)"
        await self._session.run(sql.SQL(append), (domain, kind, person, json.dumps(details, default=str)))

    async def audit(self, domain: str, at_most: int = 1_000) -> list[dict[str, Any]]:
        """The last `at_most` entries of the audit trail, oldest first: at, kind, person, details."""
        last = "select at, kind, person, details from midflight.audit where domain = %s order by number desc limit %s"
        rows = await self._session.rows(sql.SQL(last), (domain, at_most))
        return [
            {"at": at.isoformat(), "kind": kind, "person": person, "details": json.loads(details)}
            for at, kind, person, details in reversed(rows)
        ]

    async def evidence(self, domain: str) -> Evidence:
        """Everything the gates ask for except what the source and the schema know."""
        async with self._session.snapshot() as connection:
            found = await gather(connection, domain)
        if found is None:
            raise unknown(domain)
        return found

    async def counts(self, plan: Plan) -> dict[str, dict[str, int]]:
        """By collection: documents (live guard rows), tombstones, quarantined, rows (of all its tables)."""
        async with self._session.snapshot() as connection:
            await connection.execute("set local statement_timeout = 0")
            return {c.collection: await _counts(connection, plan, c.collection) for c in plan.collections}


async def _counts(connection: Connection, plan: Plan, collection: str) -> dict[str, int]:
    counted = await _first(connection, _COUNTS, (plan.domain, collection))
    assert counted is not None
    rows = 0
    for table in tables(plan.collection(collection)):
        name = sql.Identifier(plan.target.schema_, table.name)
        counted_rows = await _first(connection, sql.SQL("select count(*) from {}").format(name), ())
        rows += counted_rows[0] if counted_rows else 0
    return {"documents": counted[0], "tombstones": counted[1], "quarantined": counted[2], "rows": rows}


async def _first(connection: Connection, query: sql.SQL | sql.Composed, parameters: Sequence[Any]) -> Any:
    return await (await connection.execute(query, parameters)).fetchone()


def _known(row: tuple[Any, ...] | None, domain: str) -> tuple[Any, ...]:
    if row is None:
        raise unknown(domain)
    return row
