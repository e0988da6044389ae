"""The Mongo-compatible server (wheel SecantusDB, GPL-2.0): always a process of its own, never imported."""

from __future__ import annotations

import signal
from pathlib import Path

from pymongo import MongoClient

from embedded import programs
from embedded.ports import LOOPBACK
from embedded.service import Service

DURABLE = ("--sync-on-commit",)
"""Without it a kill loses acknowledged writes, and resumed change feeds skip events silently. With it a write costs six
times as much, and a drop milliseconds a document: throw-away data, which nobody reads after a kill, does without."""


def address(port: int) -> str:
    """The URI clients use."""
    return f"mongodb://{LOOPBACK}:{port}/?directConnection=true"


def service(port: int, data: Path, *, ephemeral: bool) -> Service:
    """The server on its port; throw-away data is not worth its slow clean stop."""
    program = programs.find("secantusd-py", "SecantusDB", "MIDFLIGHT_SOURCE_URI")
    stop = signal.SIGKILL if ephemeral else signal.SIGTERM
    command = (program, *_arguments(port, data), *(() if ephemeral else DURABLE))
    return Service("mongo", command, lambda: _ready(port), stop_signal=stop)


def _arguments(port: int, data: Path) -> list[str]:
    return [
        f"--host={LOOPBACK}",
        f"--port={port}",
        f"--storage-path={data}",
        "--cache-size=256M",
        "--enable-test-commands",
        # The default makes a position unresumable after 100,000 writes.
        "--oplog-max-entries=2000000",
        "--log-level=WARNING",
    ]


def _ready(port: int) -> None:
    with MongoClient[dict[str, object]](address(port), serverSelectionTimeoutMS=500) as client:
        client.admin.command("ping")
