"""Watches the stage of a domain, as the authority row tells it, to the moment at which it changed."""

from __future__ import annotations

import threading
import time
from typing import LiteralString

import psycopg

from examples.loyalty.figures import Mark

LISTEN_SECONDS = 0.25
_ROW: LiteralString = (
    "select revision, stage, reads_bp, extract(epoch from staged_at)::float8 from midflight.domains where domain = %s"
)


class Watch(threading.Thread):
    """Notes every change of the stage. The first mark is the moment the watch was made."""

    def __init__(self, dsn: str, domain: str) -> None:
        super().__init__(name="watch", daemon=True)
        self._dsn, self._domain = dsn, domain
        self._over = threading.Event()
        self._revision = -1
        self.marks: list[Mark] = [Mark(time.time(), "off", "off")]

    def run(self) -> None:
        """Watch until closed, on a new connection after each failure."""
        while not self._over.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True, connect_timeout=2) as connection:
                    connection.execute("listen midflight")
                    self._follow(connection)
            except psycopg.OperationalError:
                self._over.wait(LISTEN_SECONDS)

    def close(self) -> None:
        """No more."""
        self._over.set()
        self.join()

    def _follow(self, connection: psycopg.Connection) -> None:
        while not self._over.is_set():
            self._look(connection)
            for _ in connection.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                pass

    def _look(self, connection: psycopg.Connection) -> None:
        try:
            row = connection.execute(_ROW, (self._domain,)).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
            return
        if row is not None and row[0] != self._revision:
            self._revision, stage, reads_bp, at = row
            label = f"ramp {reads_bp / 100:g} %" if stage == "ramp" else stage
            if self.marks[-1].label != label:
                self.marks.append(Mark(at, stage, label))
