"""How the demonstration's application learns who is in charge: it reads the authority rows.

(The application's library, with leases and parked writes, is a later step.)
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg

POLL_SECONDS = 0.05
WRITABLE = frozenset({"off", "shadow", "dark_read", "ramp"})
EARLY = frozenset({"off", "shadow"})
"""Before anybody looks at the target."""

_ALL: LiteralString = "select domain, stage from midflight.domains"
_ONE: LiteralString = "select stage from midflight.domains where domain = %s for share"


class Stages(threading.Thread):
    """Polls the stages of all domains; where it cannot read them, nobody may write."""

    def __init__(self, dsn: str, stop: threading.Event) -> None:
        super().__init__(name="stages", daemon=True)
        self._dsn, self._stop_asked = dsn, stop
        self._known: dict[str, str] | None = None

    def of(self, domain: str) -> str:
        """The stage as last read; `off` before the domain's move has begun, `unknown` while the target is away."""
        known = self._known
        return "unknown" if known is None else known.get(domain, "off")

    def run(self) -> None:
        """Read again and again, on a new connection after each failure."""
        while not self._stop_asked.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True, connect_timeout=2) as connection:
                    self._poll(connection)
            except psycopg.OperationalError:
                self._known = None
                self._stop_asked.wait(POLL_SECONDS)

    def _poll(self, connection: psycopg.Connection) -> None:
        while not self._stop_asked.is_set():
            try:
                self._known = dict(connection.execute(_ALL).fetchall())
            except psycopg.errors.UndefinedTable:
                self._known = {}
            self._stop_asked.wait(POLL_SECONDS)


class Latch:
    """Keeps the stage of a domain from moving while something is done that a fence cannot refuse: a delete."""

    def __init__(self, dsn: str, domain: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._domain = domain

    @contextmanager
    def held(self) -> Iterator[str]:
        """The stage, true until the end of the block: whoever moves it waits for us."""
        with self._connection.transaction():
            yield self._stage()

    def close(self) -> None:
        """No more."""
        self._connection.close()

    def _stage(self) -> str:
        try:
            with self._connection.transaction():
                row = self._connection.execute(_ONE, (self._domain,)).fetchone()
        except psycopg.errors.UndefinedTable:
            return "off"
        return row[0] if row else "off"
