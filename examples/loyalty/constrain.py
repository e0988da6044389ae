"""The team's own migration, as its tool would run it: python -m examples.loyalty.constrain"""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
from psycopg.errors import DeadlockDetected, LockNotAvailable

from examples.loyalty.config import Config

CONSTRAINTS = Path(__file__).with_name("constraints.sql")
OPTIONS = "-c search_path={} -c lock_timeout=200ms"
"""Whoever comes while a lock is waited for waits too: so not for long, but again."""
AGAIN_SECONDS = 0.2
TRIES = 50


def constrain(dsn: str, schema: str) -> None:
    """One statement after another, each until it gets its lock. The driver's error when it never does."""
    with psycopg.connect(dsn, autocommit=True, options=OPTIONS.format(schema)) as connection:
        for statement in CONSTRAINTS.read_text(encoding="utf-8").split(";\n"):
            _run(connection, statement)


def _run(connection: psycopg.Connection, statement: str) -> None:
    for left in reversed(range(TRIES)):
        try:
            connection.execute(statement.encode())
        except (LockNotAvailable, DeadlockDetected):
            if not left:
                raise
            time.sleep(AGAIN_SECONDS)
        else:
            return


if __name__ == "__main__":
    config = Config.from_environment()
    constrain(config.postgres, config.schema)
