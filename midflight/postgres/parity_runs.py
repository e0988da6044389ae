"""Runs of parity in the ledger: the record, the places of its ranges, and the mismatches found on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import sql
from pydantic import TypeAdapter

from midflight.errors import RunUnknown, Superseded
from midflight.parity.kept import differences_from_json, differences_to_json
from midflight.parity.records import (
    Cause,
    EntityCounts,
    FieldCensus,
    Kind,
    LevelOutcome,
    Mismatch,
    RunRecord,
    State,
)
from midflight.postgres.session import Connection, Session
from midflight.records import KeyRange, ParityProgress

_LEVELS = TypeAdapter(tuple[LevelOutcome, ...])
_ENTITIES = TypeAdapter(tuple[EntityCounts, ...])
_CENSUS = TypeAdapter(tuple[FieldCensus, ...])

_RECORD = (
    "select domain, run, mode, started_at, finished_at, plan_fingerprint, levels, entities, census"
    " from midflight.parity_reports where domain = %s "
)
_ONE = sql.SQL(_RECORD + "and run = %s")
_NEWEST = sql.SQL(_RECORD + "order by number desc limit %s")
_BEGIN = sql.SQL(
    "insert into midflight.parity_reports (domain, run, mode, started_at, plan_fingerprint, levels)"
    " values (%s, %s, %s, %s, %s, %s::jsonb) on conflict (domain, run) do nothing"
)
_BEGIN_RANGE = sql.SQL(
    "insert into midflight.parity_places (domain, run, entity, number, lower_key, upper_key)"
    " values (%s, %s, %s, %s, %s, %s)"
)
_PLACES = sql.SQL(
    "select number, lower_key, upper_key, cursor, batches, compared, equal, done, tally from midflight.parity_places"
    " where domain = %s and run = %s and entity = %s order by number"
)
_ADVANCE = sql.SQL(
    "update midflight.parity_places set cursor = %s, compared = %s, equal = %s, done = %s, tally = %s::jsonb,"
    " batches = batches + 1"
    " where domain = %s and run = %s and entity = %s and number = %s and batches = %s"
)
_KNOWN = (
    "entity, key, kind, differences, cause, state, first_seen, last_seen, rounds, source_version, target_version,"
    " token, resets"
)
_PUT = sql.SQL(
    f"insert into midflight.parity_mismatches (domain, run, {_KNOWN})"
    f" select %(domain)s, %(run)s, {_KNOWN.replace(' differences', ' differences::jsonb')}"
    " from unnest(%(entity)s::text[], %(key)s::bytea[], %(kind)s::text[], %(differences)s::text[], %(cause)s::text[],"
    " %(state)s::text[], %(first_seen)s::timestamptz[], %(last_seen)s::timestamptz[], %(rounds)s::integer[],"
    " %(source_version)s::bytea[], %(target_version)s::bytea[], %(token)s::bigint[],"
    " %(resets)s::integer[])"
    f" as found({_KNOWN}) order by entity, key"
    " on conflict (domain, run, entity, key) do update set kind = excluded.kind, differences = excluded.differences,"
    " cause = excluded.cause, state = excluded.state, first_seen = excluded.first_seen, last_seen = excluded.last_seen,"
    " rounds = excluded.rounds, source_version = excluded.source_version, target_version = excluded.target_version,"
    " token = excluded.token, resets = excluded.resets"
)
_MISMATCHES = sql.SQL(
    f"select {_KNOWN} from midflight.parity_mismatches where domain = %(domain)s and run = %(run)s"
    " and (%(states)s::text[] = '{}' or state = any(%(states)s::text[]))"
    " and (%(entity)s::text is null or (entity, key) > (%(entity)s::text, %(key)s::bytea))"
    " order by entity, key limit %(at_most)s"
)
_FINISH = sql.SQL(
    "update midflight.parity_reports set levels = %s::jsonb, entities = %s::jsonb, census = %s::jsonb,"
    " finished_at = coalesce(finished_at, %s, now()) where domain = %s and run = %s"
)


class PostgresRuns:
    """Implements `midflight.parity.ports.RunStore`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def begin(self, record: RunRecord, ranges: Mapping[str, Sequence[KeyRange]]) -> None:
        """Record a run, its levels and, by entity, its ranges, numbered from 0. A known run stays as it is."""
        levels = _text(_LEVELS, record.levels)
        new = (record.domain, record.run, record.mode, record.started_at, record.plan_fingerprint, levels)
        places = [
            (record.domain, record.run, entity, number, keys.lower, keys.upper)
            for entity, of_one in ranges.items()
            for number, keys in enumerate(of_one)
        ]
        async with self._session.transaction() as connection:
            # Of two first calls the second waits here until the first has committed, and then finds the run known.
            begun = await connection.execute(_BEGIN, new)
            if begun.rowcount == 1 and places:
                await connection.cursor().executemany(_BEGIN_RANGE, places)

    async def record(self, domain: str, run: str) -> RunRecord:
        """The run as it stands. RunUnknown."""
        row = await self._session.row(_ONE, (domain, run))
        if row is None:
            raise _unknown(domain, run)
        return _run_record(row)

    async def history(self, domain: str, at_most: int = 50) -> list[RunRecord]:
        """The newest runs, newest first."""
        return [_run_record(row) for row in await self._session.rows(_NEWEST, (domain, at_most))]

    async def progress(self, domain: str, run: str, entity: str) -> list[ParityProgress]:
        """Every range of the entity, in order of number."""
        rows = await self._session.rows(_PLACES, (domain, run, entity))
        return [_progress(row) for row in rows]

    async def advance(
        self, domain: str, run: str, entity: str, moved: ParityProgress, found: Sequence[Mismatch]
    ) -> None:
        """Commit a range's new place with the mismatches found on the way to it. Superseded."""
        to = (moved.cursor, moved.compared, moved.equal, moved.done, json.dumps(dict(moved.tally)))
        async with self._session.transaction() as connection:
            place = (domain, run, entity, moved.number, moved.batches)
            if (await connection.execute(_ADVANCE, (*to, *place))).rowcount != 1:
                raise Superseded(f"Another attempt moved range {moved.number} of {entity} in parity run {run}.")
            await _put(connection, domain, run, found)

    async def mismatches(
        self,
        domain: str,
        run: str,
        *,
        states: Sequence[str] = (),
        after: tuple[str, bytes] | None = None,
        at_most: int = 1_000,
    ) -> list[Mismatch]:
        """In order of entity (by its bytes) and key, strictly after the given one; all states where none is named."""
        entity, key = after or (None, None)
        place = {"domain": domain, "run": run, "entity": entity, "key": key}
        rows = await self._session.rows(_MISMATCHES, {**place, "states": list(states), "at_most": at_most})
        return [_mismatch(row) for row in rows]

    async def judge(self, domain: str, run: str, looked_at: Sequence[Mismatch]) -> None:
        """Replace what is known of these keys. Those that are unknown are added."""
        async with self._session.transaction() as connection:
            await _put(connection, domain, run, looked_at)

    async def finish(self, record: RunRecord) -> None:
        """Keep levels, counts and census, and close the run; repeating keeps the first end. RunUnknown."""
        kept = (_text(_LEVELS, record.levels), _text(_ENTITIES, record.entities), _text(_CENSUS, record.census))
        if not await self._session.run(_FINISH, (*kept, record.finished_at, record.domain, record.run)):
            raise _unknown(record.domain, record.run)


async def _put(connection: Connection, domain: str, run: str, found: Sequence[Mismatch]) -> None:
    """The last word on each key counts."""
    last = list({(one.entity, one.key): one for one in found}.values())
    if last:
        await connection.execute(_PUT, {"domain": domain, "run": run, **_columns(last)})


def _columns(found: Sequence[Mismatch]) -> dict[str, list[Any]]:
    return {
        "entity": [one.entity for one in found],
        "key": [one.key for one in found],
        "kind": [one.kind.value for one in found],
        "differences": [differences_to_json(one.fields) for one in found],
        "cause": [one.cause.value for one in found],
        "state": [one.state.value for one in found],
        "first_seen": [one.first_seen for one in found],
        "last_seen": [one.last_seen for one in found],
        "rounds": [one.rounds for one in found],
        "source_version": [one.source_version for one in found],
        "target_version": [one.target_version for one in found],
        "token": [one.token for one in found],
        "resets": [one.resets for one in found],
    }


def _progress(row: tuple[Any, ...]) -> ParityProgress:
    number, lower, upper, cursor, batches, compared, equal, done, tally = row
    return ParityProgress(number, KeyRange(lower, upper), cursor, batches, compared, equal, done, json.loads(tally))


def _mismatch(row: tuple[Any, ...]) -> Mismatch:
    entity, key, kind, differences, cause, state, *rest = row
    fields = differences_from_json(differences)
    return Mismatch(entity, key, Kind(kind), fields, Cause(cause), State(state), *rest)


def _run_record(row: tuple[Any, ...]) -> RunRecord:
    domain, run, mode, started_at, finished_at, plan_fingerprint, levels, entities, census = row
    record = RunRecord(domain, run, mode, started_at, finished_at, plan_fingerprint)
    return replace(
        record,
        levels=_LEVELS.validate_json(levels),
        entities=_ENTITIES.validate_json(entities),
        census=_CENSUS.validate_json(census),
    )


def _text(adapter: TypeAdapter[Any], value: Any) -> str:
    return adapter.dump_json(value).decode()


def _unknown(domain: str, run: str) -> RunUnknown:
    return RunUnknown(f"The ledger knows no parity run {run} of {domain}.", next_step="List the runs of the domain.")
