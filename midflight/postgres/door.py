"""The door: draw a token, apply what is newer than its guard row. Protocol section 2, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from psycopg import sql

from midflight.core.outcome import Applied, Batch, Checkpoint, FeedPosition, Outcome, PartitionCursor, Ticket
from midflight.core.plan import CollectionMap, Plan
from midflight.core.plan_check import order_of_tables
from midflight.core.tables import tables
from midflight.errors import AuthorityMoved, Superseded
from midflight.postgres.authority import unknown
from midflight.postgres.failures import Contended
from midflight.postgres.merge import Desk, Item, Merge
from midflight.postgres.session import Connection, Session
from midflight.postgres.settle import settle
from midflight.postgres.statements import merge_statements

ATTEMPTS = 5
"""How often an apply is tried when others hold the same rows."""

_DRAW = sql.SQL(
    "select nextval('midflight.clock'), epoch from midflight.domains where domain = %s and authority = 'source'"
)
_AUTHORITY = sql.SQL("select authority, epoch from midflight.domains where domain = %s")
# In one round trip: past the turnstile, the lock, and the word for the tables' triggers that this transaction applies.
_LOCK_AUTHORITY = sql.SQL(
    "select authority, epoch, pg_advisory_xact_lock_shared(midflight.turnstile(domain)),"
    " set_config('midflight.applier', domain, true) from midflight.domains where domain = %s for share"
)
_COLLECTION_ID = sql.SQL("select id from midflight.collections where domain = %s and collection = %s")
_MOVE_CURSOR = sql.SQL(
    "update midflight.partitions as p set cursor = %s, documents = %s, done = %s, batches = batches + 1"
    " from midflight.collections as c where c.id = p.collection_id and c.domain = %s and c.collection = %s"
    " and p.number = %s and p.batches = %s"
)
_MOVE_POSITION = sql.SQL(
    "update midflight.positions set token = %s, mark = greatest(mark, %s), events = events + %s, commits = commits + 1"
    " where domain = %s and commits = %s"
)


class PostgresDoor:
    """Implements `midflight.ports.Door`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._desks: dict[tuple[str, str, CollectionMap], Desk] = {}

    async def draw(self, domain: str) -> Ticket:
        """A new token and the epoch, in one round trip. Raises AuthorityMoved unless the source is the authority."""
        drawn = await self._session.row(_DRAW, (domain,))
        if drawn is not None:
            return Ticket(*drawn)
        if await self._session.row(_AUTHORITY, (domain,)) is None:
            raise unknown(domain)
        raise AuthorityMoved(f"The target is the authority of {domain}: nothing is drawn any more.")

    async def apply(self, plan: Plan, ticket: Ticket, batch: Batch) -> Applied:
        """Apply what is newer than its guard row, with the checkpoint, in one transaction."""
        items = await self._items(plan, batch)
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._attempt(plan.domain, ticket, batch, items)
            except Contended:
                await asyncio.sleep(0.02 * attempt)
        return await self._attempt(plan.domain, ticket, batch, items)

    async def _attempt(self, domain: str, ticket: Ticket, batch: Batch, items: Sequence[Item]) -> Applied:
        async with self._session.transaction() as connection:
            await _hold_authority(connection, domain, ticket)
            await move_checkpoint(connection, domain, batch.checkpoint)
            if not items:
                return Applied()
            merge = Merge(connection, domain, ticket.token, batch.path)
            # A repair must check references anew, and an update that changes no key is not checked.
            return await settle(connection, merge, items, replacing=batch.path == "repair")

    async def _items(self, plan: Plan, batch: Batch) -> list[Item]:
        """The outcomes in the order in which their rows are written, each key once."""
        place = {table: number for number, table in enumerate(order_of_tables(plan))}
        collections = [plan.collection(name) for name, outcomes in batch.outcomes.items() if outcomes]
        collections.sort(key=lambda collection: place[collection.table])
        desks = [await self._desk(plan, collection) for collection in collections]
        return [Item(desk, o) for desk in desks for o in _in_key_order(batch.outcomes[desk.collection.collection])]

    async def _desk(self, plan: Plan, collection: CollectionMap) -> Desk:
        """Made once a connection; the staging tables live as long as it does."""
        known = (plan.domain, plan.target.schema_, collection)
        if known not in self._desks:
            self._desks[known] = await self._open_desk(plan, collection)
        return self._desks[known]

    async def _open_desk(self, plan: Plan, collection: CollectionMap) -> Desk:
        row = await self._session.row(_COLLECTION_ID, (plan.domain, collection.collection))
        if row is None:
            raise unknown(plan.domain)
        statements = merge_statements(plan.target.schema_, collection)
        for statement in statements.create_stage:
            await self._session.run(statement)
        return Desk(collection, row[0], tables(collection), statements)


async def _hold_authority(connection: Connection, domain: str, ticket: Ticket) -> None:
    """Lock the authority row: a flip waits for us, and after a flip we give up."""
    row = await (await connection.execute(_LOCK_AUTHORITY, (domain,))).fetchone()
    if row is None:
        raise unknown(domain)
    authority, epoch, *_ = row
    if authority != "source":
        raise AuthorityMoved(f"The target is the authority of {domain}: nothing was written.")
    if epoch != ticket.epoch:
        raise AuthorityMoved(
            f"The epoch of {domain} is {epoch}, the token was drawn in {ticket.epoch}: nothing was written.",
            next_step="Draw again and read again.",
        )


async def move_checkpoint(connection: Connection, domain: str, checkpoint: Checkpoint) -> None:
    """Compare and set, before the work: an attempt that was overtaken finds out cheaply."""
    if checkpoint is None:
        return
    moved = await connection.execute(*_checkpoint_update(domain, checkpoint))
    if moved.rowcount != 1:
        raise Superseded(f"Another attempt moved the {_name(checkpoint)} of {domain}: nothing was written.")


def _name(checkpoint: PartitionCursor | FeedPosition) -> str:
    if isinstance(checkpoint, FeedPosition):
        return f"feed position (commits was {checkpoint.commits})"
    return f"cursor of {checkpoint.collection} partition {checkpoint.partition} (batches was {checkpoint.batches})"


def _checkpoint_update(domain: str, checkpoint: PartitionCursor | FeedPosition) -> tuple[sql.SQL, tuple[object, ...]]:
    if isinstance(checkpoint, FeedPosition):
        c = checkpoint
        return _MOVE_POSITION, (c.token, c.mark, c.events, domain, c.commits)
    p = checkpoint
    return _MOVE_CURSOR, (p.cursor, p.documents, p.done, domain, p.collection, p.partition, p.batches)


def _in_key_order(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Each key once (the last word counts), in the order in which guard rows are locked."""
    last = {outcome.key: outcome for outcome in outcomes}
    return [last[key] for key in sorted(last)]
