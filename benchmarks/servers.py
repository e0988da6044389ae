"""The benchmark's own servers: PostgreSQL with its durable defaults, and the replay server."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from pymongo import MongoClient

from benchmarks import replay
from embedded import postgres
from embedded.ports import Ports
from embedded.service import Service
from embedded.supervisor import Supervisor
from midflight.settings import child_environment

ROOT = Path(__file__).resolve().parent.parent
SEED = 7
MAKE_DOCUMENTS_SECONDS = 600.0
_TOLD = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")


@dataclass(frozen=True, slots=True)
class BenchServers:
    """Where the servers are, and their process ids by name."""

    uri: str
    port: int
    pids: dict[str, int]

    def fresh_database(self, name: str) -> str:
        """The DSN of an empty database; all that came before it is written out, so that it disturbs nobody."""
        with psycopg.connect(postgres.address(self.port), autocommit=True) as connection:
            database = sql.Identifier(name)
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(database))
            connection.execute(sql.SQL("create database {}").format(database))
            connection.execute("checkpoint")
        return postgres.address(self.port, name)

    def copy_of(self, known: str, name: str) -> str:
        """The DSN of a new database that holds what a known one does, to which nobody is connected."""
        with psycopg.connect(postgres.address(self.port), autocommit=True) as connection:
            names = sql.Identifier(name), sql.Identifier(known)
            connection.execute(sql.SQL("create database {} template {}").format(*names))
        return postgres.address(self.port, name)

    def target_settings(self) -> dict[str, str]:
        """The settings that decide what a commit costs."""
        with psycopg.connect(postgres.address(self.port)) as connection:
            query = "select name, current_setting(name) from unnest(%s::text[]) as name"
            return dict(connection.execute(query, (list(_TOLD),)).fetchall())


@contextmanager
def running(state_dir: Path, documents: int) -> Iterator[BenchServers]:
    """Both servers until the end of the block; then their data is gone."""
    with _supervised(state_dir) as supervisor:
        yield _start(supervisor, state_dir, documents)


@contextmanager
def postgres_alone(state_dir: Path) -> Iterator[BenchServers]:
    """PostgreSQL until the end of the block; there is no source."""
    with _supervised(state_dir) as supervisor:
        port = Ports().filled().postgres
        target = supervisor.launch(postgres.service(port, state_dir, ephemeral=False))
        target.wait_ready()
        yield BenchServers("", port, {"target": target.pid})


@contextmanager
def _supervised(state_dir: Path) -> Iterator[Supervisor]:
    state_dir.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(state_dir)
    try:
        postgres.forget(state_dir)  # a killed predecessor had no time to
        yield supervisor
    finally:
        supervisor.stop_services()
        postgres.forget(state_dir)
        supervisor.close()
        shutil.rmtree(state_dir, ignore_errors=True)


def _start(supervisor: Supervisor, state_dir: Path, documents: int) -> BenchServers:
    ports = Ports().filled()
    source = supervisor.launch(_replay_service(ports.mongo, documents))
    target = supervisor.launch(postgres.service(ports.postgres, state_dir, ephemeral=False))
    target.wait_ready()
    source.wait_ready(MAKE_DOCUMENTS_SECONDS)
    return BenchServers(replay.address(ports.mongo), ports.postgres, {"source": source.pid, "target": target.pid})


def _replay_service(port: int, documents: int) -> Service:
    arguments = (f"--documents={documents}", f"--seed={SEED}", f"--port={port}")
    return Service(
        "replay",
        (sys.executable, "-m", "benchmarks.replay", *arguments),
        lambda: _answers(port),
        environment=child_environment({"PYTHONPATH": str(ROOT)}),
    )


def _answers(port: int) -> None:
    with MongoClient[dict[str, object]](replay.address(port), serverSelectionTimeoutMS=500) as client:
        client.admin.command("ping")
