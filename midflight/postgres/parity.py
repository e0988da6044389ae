"""Parity's progress and suspects, in the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from midflight.errors import DomainUnknown, Superseded
from midflight.postgres.session import Session
from midflight.records import KeyRange, ParityProgress, Suspect

_BEGIN_RUN = sql.SQL(
    "insert into midflight.parity_runs as r (domain, run, collections) values (%s, %s, array[%s::text])"
    " on conflict (domain, run) do update set collections = case"
    " when r.collections @> excluded.collections then r.collections else r.collections || excluded.collections end"
)
_COLLECTION_ID = sql.SQL("select id from midflight.collections where domain = %s and collection = %s")
_BEGIN_RANGE = sql.SQL(
    "insert into midflight.parity_ranges (domain, run, collection_id, number, lower_key, upper_key)"
    " values (%s, %s, %s, %s, %s, %s)"
)
_RANGES = sql.SQL(
    "select number, lower_key, upper_key, cursor, batches, compared, equal, done from midflight.parity_ranges"
    " where domain = %s and run = %s and collection_id = %s order by number"
)
_ADVANCE = sql.SQL(
    "update midflight.parity_ranges as r set cursor = %s, compared = %s, equal = %s, done = %s, batches = batches + 1"
    " from midflight.collections as c where c.id = r.collection_id and c.domain = r.domain and c.collection = %s"
    " and r.domain = %s and r.run = %s and r.number = %s and r.batches = %s returning c.id"
)
_SUSPECT = sql.SQL(
    "insert into midflight.parity_suspects as s (domain, run, collection_id, key, kind, fields)"
    " values (%s, %s, %s, %s, %s, %s) on conflict (domain, run, collection_id, key) do update"
    " set kind = case when excluded.kind = 'extra' then s.kind else excluded.kind end, fields = excluded.fields"
)
_SUSPECTS = sql.SQL(
    "select c.collection, s.key, s.kind, s.fields from midflight.parity_suspects s"
    " join midflight.collections c on c.id = s.collection_id"
    " where s.domain = %s and s.run = %s order by c.id, s.key limit %s"
)
_CLEAR = sql.SQL(
    # A compared document that was suspect and is equal now was rebuilt equal; an extra row was never a document.
    "with cleared as (delete from midflight.parity_suspects s using midflight.collections c"
    " where c.id = s.collection_id and s.domain = %(domain)s and s.run = %(run)s and c.collection = %(collection)s"
    " and s.key = any(%(keys)s) returning s.kind)"
    " update midflight.parity_runs set cleared = cleared + (select count(*) from cleared where kind <> 'extra')"
    " where domain = %(domain)s and run = %(run)s"
)
_FINISH = sql.SQL(
    """
    update midflight.parity_runs r
       set finished_at = coalesce(r.finished_at, now()),
           whole = not exists (select from midflight.parity_ranges p
                                where p.domain = r.domain and p.run = r.run and not p.done)
               and not exists (select from midflight.collections c
                                where c.domain = r.domain and c.collection <> all(r.collections)),
           compared = coalesce((select sum(compared) from midflight.parity_ranges p
                                 where p.domain = r.domain and p.run = r.run), 0),
           equal = coalesce((select sum(equal) from midflight.parity_ranges p
                              where p.domain = r.domain and p.run = r.run), 0)
     where r.domain = %s and r.run = %s
    """
)


class PostgresParity:
    """Implements `midflight.ports.ParityStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def begin(self, domain: str, run: str, collection: str, ranges: Sequence[KeyRange]) -> list[ParityProgress]:
        """Record a run's ranges; an existing run is returned as it stands."""
        async with self._session.transaction() as connection:
            # The upsert locks the run's row: two first calls follow one another.
            await connection.execute(_BEGIN_RUN, (domain, run, collection))
            row = await (await connection.execute(_COLLECTION_ID, (domain, collection))).fetchone()
            if row is None:
                raise DomainUnknown(f"The ledger knows no collection {collection} of domain {domain}.")
            recorded = await (await connection.execute(_RANGES, (domain, run, row[0]))).fetchall()
            if not recorded:
                new = [(domain, run, row[0], n, keys.lower, keys.upper) for n, keys in enumerate(ranges)]
                await connection.cursor().executemany(_BEGIN_RANGE, new)
                recorded = await (await connection.execute(_RANGES, (domain, run, row[0]))).fetchall()
        return [ParityProgress(number, KeyRange(lower, upper), *place) for number, lower, upper, *place in recorded]

    async def advance(
        self, domain: str, run: str, collection: str, progress: ParityProgress, suspects: Sequence[Suspect]
    ) -> None:
        """Commit a range's new place (`batches` is the count before, the other counts are totals) with its suspects."""
        p = progress
        place = (p.cursor, p.compared, p.equal, p.done, collection, domain, run, p.number, p.batches)
        async with self._session.transaction() as connection:
            moved = await (await connection.execute(_ADVANCE, place)).fetchone()
            if moved is None:
                raise Superseded(f"Another attempt moved range {p.number} of {collection} in parity run {run}.")
            rows = [(domain, run, moved[0], s.key, s.kind, list(s.fields)) for s in suspects]
            if rows:
                await connection.cursor().executemany(_SUSPECT, rows)

    async def suspects(self, domain: str, run: str, at_most: int) -> list[Suspect]:
        """Suspects of the run that are not cleared."""
        rows = await self._session.rows(_SUSPECTS, (domain, run, at_most))
        return [Suspect(collection, key, kind, tuple(fields)) for collection, key, kind, fields in rows]

    async def clear(self, domain: str, run: str, keys: Sequence[Suspect]) -> None:
        """These are equal now, or quarantined."""
        async with self._session.transaction() as connection:
            for name in dict.fromkeys(s.collection for s in keys):
                of_one = [s.key for s in keys if s.collection == name]
                parameters = {"domain": domain, "run": run, "collection": name, "keys": of_one}
                await connection.execute(_CLEAR, parameters)

    async def finish(self, domain: str, run: str) -> None:
        """The run is complete: its counts are the evidence, if it covered every range of every collection."""
        await self._session.run(_FINISH, (domain, run))
