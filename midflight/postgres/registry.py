"""What instances of the application's library and the ledger say to one another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from psycopg import sql

from midflight import __version__
from midflight.core.phase import Stage
from midflight.core.routing import Route, Side
from midflight.postgres import observed
from midflight.postgres.session import Session
from midflight.records import Beat, InstanceView, ReadMismatch, ReadReport

# An instance is registered with the first poll; only the next one knows that the controller has seen it.
_POLL = sql.SQL(
    """
    with beats as (
        select * from unnest(%(domain)s::text[], %(instance)s::text[], %(seen)s::bigint[], %(oldest)s::bigint[],
                             %(age)s::float8[], %(lease)s::float8[])
                   as b (domain, instance, seen, oldest, age, lease)
    ), renewed as (
        insert into midflight.instances as i (domain, instance, seen_revision, oldest_revision, oldest_seconds,
                                              lease_until, library)
        select b.domain, b.instance, b.seen, b.oldest, b.age,
               clock_timestamp() + make_interval(secs => b.lease), %(library)s
          from beats b join midflight.domains d using (domain)
        on conflict (domain, instance) do update
           set seen_revision = excluded.seen_revision, oldest_revision = excluded.oldest_revision,
               oldest_seconds = excluded.oldest_seconds, lease_until = excluded.lease_until,
               library = excluded."library", polled_at = clock_timestamp()
    )
    select d.domain, d.authority, d.epoch, d.revision, d.accepting, d.stage, d.reads_bp, d.dark_reads_bp,
           coalesce(p.mark, 0)
      from beats b join midflight.domains d using (domain) left join midflight.positions p using (domain)
    """
)
_LISTEN = sql.SQL("listen midflight")
# Who leaves takes along those that never could.
_LEAVE = sql.SQL(
    "delete from midflight.instances"
    " where domain = %s and (instance = %s or lease_until < clock_timestamp() - interval '1 day')"
)
_INSTANCES = sql.SQL(
    "select instance, seen_revision, oldest_revision, oldest_seconds,"
    " extract(epoch from lease_until - clock_timestamp())::float8,"
    " extract(epoch from clock_timestamp() - polled_at)::float8"
    " from midflight.instances where domain = %s and lease_until > clock_timestamp() order by instance"
)


class PostgresRegistry:
    """Implements `midflight.ports.Registry`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._listening = False

    async def poll(self, beats: dict[str, Beat]) -> dict[str, Route]:
        """Renew the leases and acknowledge, then the routes, in one statement."""
        said = list(beats.values())
        parameters = {
            "domain": list(beats),
            "instance": [beat.instance for beat in said],
            "seen": [beat.seen_revision for beat in said],
            "oldest": [beat.oldest_revision for beat in said],
            "age": [beat.oldest_seconds for beat in said],
            "lease": [beat.lease_seconds for beat in said],
            "library": __version__,
        }
        return {row[0]: _route(row) for row in await self._session.rows(_POLL, parameters)}

    async def woken(self, seconds: float) -> bool:
        """Wait until some route has changed; may be cancelled to poll, and then loses at most what the poll tells."""
        if not self._listening:
            await self._session.run(_LISTEN)
            self._listening = True
            return True  # what changed before we listened told nobody
        async with (
            self._session.alone() as connection,
            aclosing(connection.notifies(timeout=seconds, stop_after=1)) as news,
        ):
            async for _ in news:
                return True
        return False

    async def leave(self, domain: str, instance: str) -> None:
        """The instance ends: nobody needs to wait for it."""
        await self._session.run(_LEAVE, (domain, instance))

    async def instances(self, domain: str) -> list[InstanceView]:
        """Instances whose lease has not run out."""
        return [InstanceView(*row) for row in await self._session.rows(_INSTANCES, (domain,))]

    async def publish(
        self, domain: str, instance: str, reports: Sequence[ReadReport], mismatches: Sequence[ReadMismatch]
    ) -> None:
        """Add what reads showed; old entries are pruned."""
        await observed.publish(self._session, domain, instance, reports, mismatches)

    async def mismatches(self, domain: str, at_most: int) -> list[dict[str, Any]]:
        """The newest differences first."""
        return await observed.mismatches(self._session, domain, at_most)


def _route(row: tuple[Any, ...]) -> Route:
    domain, authority, epoch, revision, accepting, stage, reads_bp, dark_reads_bp, mark = row
    return Route(
        domain=domain,
        authority=Side(authority),
        epoch=epoch,
        revision=revision,
        accepting=accepting,
        stage=Stage(stage),
        reads_bp=reads_bp,
        dark_reads_bp=dark_reads_bp,
        applied_mark=mark,
    )
