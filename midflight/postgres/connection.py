"""Opens the target: one connection, seen through its ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from midflight.ports import Target
from midflight.postgres.door import PostgresDoor
from midflight.postgres.fence import PostgresFence
from midflight.postgres.ledger import PostgresLedger
from midflight.postgres.parity_runs import PostgresRuns
from midflight.postgres.registry import PostgresRegistry
from midflight.postgres.reverse import PostgresReverse
from midflight.postgres.rows import PostgresRows
from midflight.postgres.schema import PostgresSchema
from midflight.postgres.session import open_session


@asynccontextmanager
async def open_target(dsn: str) -> AsyncIterator[Target]:
    """The target, connected; closed at the end. TargetUnavailable, TargetRefused."""
    async with open_session(dsn) as session:
        yield Target(
            door=PostgresDoor(session),
            schema=PostgresSchema(session),
            ledger=PostgresLedger(session),
            rows=PostgresRows(session),
            reverse=PostgresReverse(session),
            registry=PostgresRegistry(session),
            fence=PostgresFence(session),
        )


@asynccontextmanager
async def open_runs(dsn: str) -> AsyncIterator[PostgresRuns]:
    """Where runs of parity are kept, on a connection of its own; a ledger of an older version is upgraded first."""
    async with open_session(dsn) as session:
        await PostgresSchema(session).install_ledger()
        yield PostgresRuns(session)
