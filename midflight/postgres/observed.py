"""What the application's reads showed, in the ledger: published in batches, summed for the gates, pruned.

One row an instance, operation and revision, and it grows: what a gate or a watcher sums up stays small however long a
stage lasts. Publishing is at least once: after a lost answer the same counts may be added twice, which shifts rates by
the share of one batch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from psycopg import sql

from midflight.core.breach import ReadEvidence
from midflight.core.histogram import percentile
from midflight.postgres.session import Connection, Session
from midflight.records import ReadMismatch, ReadReport

KEPT_FOR = "24 hours"
MISMATCHES_KEPT = 1_000
CAUSES_SHOWN = 20
_COUNTS = (
    "compared",
    "equal",
    "ignored",
    "unclear",
    "dropped",
    "fallbacks",
    "shadow_skipped",
    "source_errors",
    "target_errors",
)
_COLUMNS = ("operation", "revision", *_COUNTS, "source_latency", "target_latency", "causes")
_NAMES = ", ".join(_COLUMNS)
_SUM_OF_ARRAYS = (
    "{0} = (select coalesce(array_agg(coalesce(a, 0) + coalesce(b, 0) order by place), '{{}}')"
    " from unnest(old.{0}, new.{0}) with ordinality as both_sides(a, b, place))"
)
_SUM_OF_CAUSES = (
    "causes = (select coalesce(jsonb_object_agg(cause, total), '{}') from ("
    "select key as cause, sum(value::bigint) as total from ("
    "select * from jsonb_each_text(old.causes) union all select * from jsonb_each_text(new.causes)"
    ") as each group by key) as summed)"
)
_SUMS = ", ".join(
    (
        *(f"{name} = old.{name} + new.{name}" for name in _COUNTS),
        *(_SUM_OF_ARRAYS.format(name) for name in ("source_latency", "target_latency")),
        _SUM_OF_CAUSES,
    )
)

# A row of the current revision is evidence however old it is; everything else is history, kept for a while.
_PUBLISH = sql.SQL(
    f"""
    with known as (select domain, revision from midflight.domains where domain = %(domain)s),
    news as (
        select * from jsonb_to_recordset(%(reports)s::jsonb) as (
            operation text, revision bigint, {", ".join(f"{name} bigint" for name in _COUNTS)},
            source_latency bigint[], target_latency bigint[], causes jsonb)
    ), grown as (
        update midflight.reads as old set at = clock_timestamp(), {_SUMS}
          from news as new
         where old.domain = %(domain)s and old.instance = %(instance)s
           and old.operation = new.operation and old.revision = new.revision
        returning old.operation, old.revision
    ), begun as (
        insert into midflight.reads (domain, instance, {_NAMES})
        select known.domain, %(instance)s, {", ".join(f"news.{name}" for name in _COLUMNS)} from known, news
         where not exists
               (select from grown where grown.operation = news.operation and grown.revision = news.revision)
    ), found as (
        insert into midflight.read_mismatches (domain, instance, operation, entity, fields, cause, sides)
        select known.domain, %(instance)s, m.operation, m.entity, m.fields, m.cause, m.sides
          from known, jsonb_to_recordset(%(mismatches)s::jsonb)
               as m (operation text, entity text, fields text[], cause text, sides jsonb)
    ), history as (
        delete from midflight.reads as past using known
         where past.domain = known.domain and past.at < now() - interval '{KEPT_FOR}'
           and past.revision < known.revision
           and not exists (select from news where news.revision = past.revision)
    )
    delete from midflight.read_mismatches as past
     where past.domain = %(domain)s and (past.at < now() - interval '{KEPT_FOR}' or past.number <= (
               select m.number from midflight.read_mismatches m
                where m.domain = %(domain)s order by m.number desc offset {MISMATCHES_KEPT} limit 1))
    """
)
_MISMATCHES = sql.SQL(
    "select at, instance, operation, entity, fields, cause, sides from midflight.read_mismatches"
    " where domain = %s order by number desc limit %s"
)
_OF_THIS_STAGE = sql.SQL(
    "select extract(epoch from now() - d.staged_at)::float8, "
    + ", ".join(f"r.{name}" for name in _COLUMNS)
    + " from midflight.domains d join midflight.reads r on r.domain = d.domain and r.revision = d.revision"
    " where d.domain = %s"
)


async def publish(
    session: Session, domain: str, instance: str, reports: Sequence[ReadReport], mismatches: Sequence[ReadMismatch]
) -> None:
    """Add what reads showed, and prune what is old; one round trip. A domain the ledger does not know is left out."""
    news = [{name: getattr(report, name) for name in _COLUMNS} for report in reports]
    parameters = {
        "domain": domain,
        "instance": _storable(instance),
        "reports": json.dumps(_storable(news)),
        "mismatches": json.dumps(_storable([asdict(mismatch) for mismatch in mismatches])),
    }
    await session.run(_PUBLISH, parameters)


async def mismatches(session: Session, domain: str, at_most: int) -> list[dict[str, Any]]:
    """The newest differences first: at (ISO), instance, operation, entity, fields, cause, sides."""
    return [
        {
            "at": at.isoformat(),
            "instance": instance,
            "operation": operation,
            "entity": entity,
            "fields": fields,
            "cause": cause,
            "sides": None if sides is None else json.loads(sides),
        }
        for at, instance, operation, entity, fields, cause, sides in await session.rows(_MISMATCHES, (domain, at_most))
    ]


async def read_evidence(connection: Connection, domain: str) -> ReadEvidence | None:
    """What reads showed since the stage was set, as far as they obeyed it; None where no instance reported any."""
    rows = await (await connection.execute(_OF_THIS_STAGE, (domain,))).fetchall()
    if not rows:
        return None
    total = ReadReport("", 0)
    for _, *values in rows:
        counted = dict(zip(_COLUMNS, values, strict=True))
        total.add(ReadReport(**{**counted, "causes": json.loads(counted["causes"])}))
    return _evidence(total).model_copy(update={"seconds": round(rows[0][0], 1), "revision": rows[0][2]})


def _evidence(total: ReadReport) -> ReadEvidence:
    causes = sorted(total.causes.items(), key=lambda cause: (-cause[1], cause[0]))[:CAUSES_SHOWN]
    return ReadEvidence(
        seconds=0.0,
        compared=total.compared - total.unclear,
        mismatched=total.compared - total.unclear - total.equal - total.ignored,
        unclear=total.unclear,
        source_reads=sum(total.source_latency),
        target_reads=sum(total.target_latency),
        source_errors=total.source_errors,
        target_errors=total.target_errors,
        source_p95_ms=_milliseconds(total.source_latency, 0.95),
        target_p95_ms=_milliseconds(total.target_latency, 0.95),
        source_p99_ms=_milliseconds(total.source_latency, 0.99),
        target_p99_ms=_milliseconds(total.target_latency, 0.99),
        causes=dict(causes),
    )


def _milliseconds(counts: Sequence[int], share: float) -> float | None:
    found = percentile(counts, share)
    return None if found is None else round(found * 1_000, 3)


def _storable(value: Any) -> Any:
    """What jsonb takes: no NUL and no half of a character pair in text, no other types than JSON's."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {str(_storable(str(name))): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    return value if value is None or isinstance(value, int) else _storable(str(value))
