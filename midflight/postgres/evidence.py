"""What the ledger knows of a domain's health, gathered for the gates in one snapshot."""

from __future__ import annotations

from psycopg import sql

from midflight.core.gates import Evidence
from midflight.postgres.observed import read_evidence
from midflight.postgres.session import Connection

REPORT_TRUSTED_SECONDS = 30.0
"""A tail that has not reported for this long may be dead: then its silence is its lag."""

_EVIDENCE = sql.SQL(
    """
    select to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as gathered_at,
           d.epoch, d.stage,
           extract(epoch from now() - r.finished_at)::float8 as parity_age_seconds,
           coalesce(r.run, '') as parity_run,
           coalesce(r.compared, 0) as documents_compared,
           coalesce(o.keys, 0) as mismatches,
           coalesce(r.failed, '{}') as levels_failed,
           (select count(*) from midflight.quarantine q where q.domain = d.domain and q.waived_by is null)
               as quarantine_open,
           (select count(*) from midflight.quarantine q where q.domain = d.domain and q.waived_by is not null)
               as quarantine_waived,
           case when p.reported_at < now() - make_interval(secs => %(trusted)s)
                then greatest(p.lag_seconds, extract(epoch from now() - p.reported_at)::float8)
                else p.lag_seconds end as lag_seconds,
           coalesce(r.compared - r.unproven - o.documents, 0) as rebuilt_equal,
           i.live as instances, i.late as instances_late,
           (select count(*) from midflight.quarantine q
             where q.domain = d.domain and q.path = 'tripwire' and q.waived_by is null) as late_writes,
           m.pending as reverse_pending, m.refused as reverse_refused
      from midflight.domains d
      left join midflight.positions p on p.domain = d.domain
      left join lateral (
               select p.run, p.finished_at, n.compared, n.unproven, f.failed
                 from midflight.parity_reports p
                cross join lateral (
                          select sum((e ->> 'compared')::bigint)::bigint as compared,
                                 sum((e ->> 'unproven')::bigint)::bigint as unproven,
                                 coalesce(array_agg(e ->> 'entity'), '{}') as entities
                            from jsonb_array_elements(p.entities) e
                      ) n
                cross join lateral (
                          select coalesce(array_agg(l ->> 'level') filter (where l ->> 'verdict' = 'fail'
                                     and l ->> 'level' = 'invariants'), '{}') as failed
                            from jsonb_array_elements(p.levels) l
                      ) f
                where p.domain = d.domain and p.mode = 'gate' and p.finished_at is not null
                  and p.levels @> '[{"level": "full", "details": {"exact": true}}]'
                  and not exists (select from midflight.collections c
                                   where c.domain = d.domain and c.collection <> all(n.entities))
                order by p.finished_at desc limit 1
           ) r on true
      left join lateral (
               -- A key that only the target has was never a compared document.
               select count(*) as keys, count(*) filter (where m.kind <> 'extra') as documents
                 from midflight.parity_mismatches m
                where m.domain = d.domain and m.run = r.run and m.state in ('suspect', 'settled', 'hot')
           ) o on true
      cross join lateral (
               select count(*) as live,
                      coalesce(array_agg(i.instance order by i.instance)
                          filter (where i.seen_revision < d.revision or i.oldest_revision < d.revision), '{}') as late
                 from midflight.instances i where i.domain = d.domain and i.lease_until > now()
           ) i
      cross join lateral (
               select count(*) as pending, count(*) filter (where m.refused is not null) as refused
                 from midflight.dirty m join midflight.collections c on c.id = m.collection_id
                where c.domain = d.domain and m.seq > m.written_back
           ) m
     where d.domain = %(domain)s
    """
)


async def gather(connection: Connection, domain: str) -> Evidence | None:
    """The evidence by the database's clock; None where the ledger knows no such domain. Wants to be in a snapshot."""
    cursor = await connection.execute(_EVIDENCE, {"domain": domain, "trusted": REPORT_TRUSTED_SECONDS})
    row = await cursor.fetchone()
    if row is None:
        return None
    assert cursor.description is not None
    known = dict(zip((column.name for column in cursor.description), row, strict=True))
    return Evidence.model_validate({**known, "reads": await read_evidence(connection, domain)})
