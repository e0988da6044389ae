"""The authority row: read, and moved. Whoever moves it waits for all who have locked it for share (door and fence)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import sql

from midflight.core.phase import Stage
from midflight.errors import AuthorityMoved, DomainUnknown, NotDrained
from midflight.postgres.session import Connection, Session
from midflight.records import READS_BREACHED, AuthorityRow

_ROW = "authority, epoch, accepting, stage, reads_bp, dark_reads_bp, revision"
_READ = sql.SQL("select " + _ROW + " from midflight.domains where domain = %(domain)s")
# First the turnstile: share locks are granted past a waiting update, which would starve under steady load. Meanwhile
# everybody's writes queue up behind us: so we give up, and let them pass, sooner than others would.
_TURNSTILE = (
    "with turnstile as materialized (select set_config('lock_timeout', '3s', true),"
    " pg_advisory_xact_lock(midflight.turnstile(%(domain)s)))"
)
_READ_TO_MOVE = sql.SQL(
    f"{_TURNSTILE} select {_ROW} from midflight.domains, turnstile where domain = %(domain)s for update of domains"
)
_PENDING = sql.SQL(
    "select count(*), count(*) filter (where d.refused is not null)"
    " from midflight.dirty d join midflight.collections c on c.id = d.collection_id"
    " where c.domain = %(domain)s and d.seq > d.written_back"
)


def _move(assignments: str, condition: str) -> sql.SQL:
    return sql.SQL(
        f"{_TURNSTILE} update midflight.domains set {assignments}, updated_at = now() from turnstile"
        f" where domain = %(domain)s and {condition} returning {_ROW}"
    )


# With an epoch: not in another one, nor out of the hold of a handover.
_SET_STAGE = _move(
    "stage = %(stage)s, reads_bp = %(reads_bp)s, dark_reads_bp = %(dark_reads_bp)s",
    "authority = 'source' and (%(epoch)s::bigint is null or epoch = %(epoch)s and stage <> 'hold')",
)
_FLIP = _move(
    "authority = 'target', epoch = epoch + 1, accepting = true, stage = 'target'",
    "authority = 'source' and epoch = %(epoch)s and revision = coalesce(%(revision)s, revision)",
)
_SET_BACK = sql.SQL(
    _TURNSTILE + ", moved as (update midflight.domains set stage = 'dark_read', reads_bp = 0,"
    " dark_reads_bp = %(dark_reads_bp)s, updated_at = now() from turnstile"
    " where domain = %(domain)s and authority = 'source' and stage = 'ramp' and revision = %(revision)s"
    " returning domain, revision)"
    " insert into midflight.audit (domain, kind, person, details) select domain, %(kind)s, 'midflight',"
    " jsonb_build_object('revision', revision, 'breaches', %(breaches)s::jsonb) from moved"
)
_HOLD = _move("stage = 'hold'", "authority = 'target' and accepting")
_CLOSE = _move(
    "accepting = false, stage = 'hold'", "authority = 'target' and revision = coalesce(%(revision)s, revision)"
)
_REOPEN = _move("accepting = true, stage = 'target'", "authority = 'target' and (not accepting or stage = 'hold')")
_FLIP_BACK = _move("authority = 'source', epoch = epoch + 1", "authority = 'target' and not accepting")
_RETIRE = _move("stage = 'target_only'", "authority = 'target'")


async def read(session: Session, domain: str) -> AuthorityRow:
    """The authority row. DomainUnknown."""
    return _row(await session.row(_READ, {"domain": domain}), domain)


class Wanted(NamedTuple):
    """What a stage is to be."""

    stage: Stage
    reads_bp: int
    dark_reads_bp: int


async def set_stage(session: Session, domain: str, wanted: Wanted, epoch: int | None = None) -> AuthorityRow:
    """The row with this stage. AuthorityMoved under the target, unless it is already so.

    With an epoch also AuthorityMoved in another epoch, and out of `hold`, which only a handover may leave.
    """
    row, moved = await _moved(session, domain, _SET_STAGE, {**wanted._asdict(), "epoch": epoch})
    as_wanted = (row.stage, row.reads_bp, row.dark_reads_bp) == wanted and epoch in (None, row.epoch)
    if not moved and not as_wanted:
        raise AuthorityMoved(
            f"The {row.authority} is the authority of {domain} in epoch {row.epoch}: its stage stays {row.stage}."
        )
    return row


async def set_back(session: Session, domain: str, revision: int, dark_reads_bp: int, breaches: Sequence[str]) -> bool:
    """Whether the row still was in `ramp` with this revision: then it no longer is, and the audit trail says why."""
    parameters = {
        "domain": domain,
        "revision": revision,
        "dark_reads_bp": dark_reads_bp,
        "kind": READS_BREACHED,
        "breaches": json.dumps(list(breaches)),
    }
    return bool(await session.run(_SET_BACK, parameters))


async def flip(session: Session, domain: str, epoch: int, revision: int | None = None) -> AuthorityRow:
    """The target's row, one epoch on. AuthorityMoved where another epoch, or another hold than the caller's, ends."""
    row, moved = await _moved(session, domain, _FLIP, {"epoch": epoch, "revision": revision})
    if not moved and (row.authority, row.epoch) != ("target", epoch + 1):
        raise AuthorityMoved(
            f"The authority of {domain} is the {row.authority} in epoch {row.epoch}, revision {row.revision}:"
            f" it is not flipped from epoch {epoch}, revision {revision}."
        )
    return row


async def hold(session: Session, domain: str) -> AuthorityRow:
    """The target's row in stage hold: writes in flight are still accepted. AuthorityMoved under the source."""
    row, moved = await _moved(session, domain, _HOLD)
    return _of_target(row, moved or row.authority == "target", domain, "held")


async def close(session: Session, domain: str, revision: int | None = None) -> AuthorityRow:
    """The target's row, accepting nothing. AuthorityMoved under the source, and in another revision than the given."""
    row, moved = await _moved(session, domain, _CLOSE, {"revision": revision})
    if not moved and row.authority == "target":
        raise AuthorityMoved(f"{domain} is in revision {row.revision}: the hold of revision {revision} was taken back.")
    return _of_target(row, moved, domain, "closed")


async def reopen(session: Session, domain: str) -> AuthorityRow:
    """The target's row, accepting again. AuthorityMoved under the source."""
    row, moved = await _moved(session, domain, _REOPEN)
    return _of_target(row, moved or row.accepting, domain, "reopened")


async def retire(session: Session, domain: str) -> AuthorityRow:
    """The target's row in its last stage. AuthorityMoved under the source."""
    return _of_target(*await _moved(session, domain, _RETIRE), domain, "retired")


async def flip_back(session: Session, domain: str, epoch: int) -> AuthorityRow:
    """The source's row, one epoch on. NotDrained while the target accepts or marks are pending."""
    async with session.transaction() as connection:
        row = _row(await _first(connection, _READ_TO_MOVE, domain), domain)
        if (row.authority, row.epoch) == ("source", epoch + 1):
            return row
        if (row.authority, row.epoch) != ("target", epoch):
            raise AuthorityMoved(
                f"The authority of {domain} is the {row.authority} in epoch {row.epoch}:"
                f" it is not flipped back from {epoch}."
            )
        # A statement of its own: begun with the row locked, it sees every mark of every write that was accepted.
        _demand_drained(domain, row, await _first(connection, _PENDING, domain))
        return _row(await _first(connection, _FLIP_BACK, domain), domain)


async def pending(session: Session, domain: str) -> tuple[int, int]:
    """How many keys wait to be written back, and how many of them the source refuses."""
    found = await session.row(_PENDING, {"domain": domain})
    assert found is not None
    return found[0], found[1]


async def _moved(
    session: Session, domain: str, move: sql.SQL, to: Mapping[str, Any] | None = None
) -> tuple[AuthorityRow, bool]:
    """The row after the move, and whether its condition held."""
    moved = await session.row(move, {"domain": domain, **(to or {})})
    return (await read(session, domain), False) if moved is None else (_row(moved, domain), True)


async def _first(connection: Connection, query: sql.SQL, domain: str) -> tuple[Any, ...] | None:
    return await (await connection.execute(query, {"domain": domain})).fetchone()


def _of_target(row: AuthorityRow, moved: bool, domain: str, what: str) -> AuthorityRow:
    if moved:
        return row
    raise AuthorityMoved(f"The source is the authority of {domain}: it is not {what}.", next_step="Cut over first.")


def _demand_drained(domain: str, row: AuthorityRow, counted: tuple[Any, ...] | None) -> None:
    assert counted is not None
    waiting, refused = counted
    if row.accepting:
        raise NotDrained(f"The target still accepts writes of {domain}.", next_step="Close it first.")
    if waiting:
        raise NotDrained(
            f"{waiting} keys of {domain} are not written back to the source yet ({refused} of them it refuses).",
            next_step="Let the reverse tail go on; correct what the source refuses.",
        )


def _row(found: tuple[Any, ...] | None, domain: str) -> AuthorityRow:
    if found is None:
        raise unknown(domain)
    authority, epoch, accepting, stage, reads_bp, dark_reads_bp, revision = found
    return AuthorityRow(authority, epoch, accepting, Stage(stage), reads_bp, dark_reads_bp, revision)


def unknown(domain: str) -> DomainUnknown:
    """What to say of a domain that the ledger does not hold."""
    return DomainUnknown(f"The ledger of this target knows no domain {domain}.", next_step="Start it first.")
