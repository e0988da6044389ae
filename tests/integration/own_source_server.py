"""A source server of a test's own: with a password, without a replica set, with a short memory, or to be killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from embedded import programs
from embedded.ports import LOOPBACK, Ports
from embedded.service import Child, Service

PASSWORD = "correct horse"
QUICKLY = "serverSelectionTimeoutMS=2000"


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A running server."""

    port: int
    child: Child

    def uri(self, user: str = "", password: str = PASSWORD) -> str:
        login = f"{user}:{password.replace(' ', '%20')}@" if user else ""
        return f"mongodb://{login}{LOOPBACK}:{self.port}/?directConnection=true&{QUICKLY}"


@contextmanager
def own_server(home: Path, *arguments: str, port: int = 0) -> Iterator[OwnServer]:
    """The embedded server with these arguments; killed at the end. Data stay in `home` for another start."""
    port = port or Ports().filled().mongo
    program = programs.find("secantusd-py", "SecantusDB", "MIDFLIGHT_SOURCE_URI")
    base = ("--host", LOOPBACK, "--port", str(port), "--storage-path", str(home / "data"), "--log-level", "WARNING")
    service = Service("mongo", (program, *base, "--sync-on-commit", *arguments), _greeting(port), grace_seconds=1.0)
    child = Child(service, home / "mongo.log")
    try:
        child.wait_ready()
        yield OwnServer(port, child)
    finally:
        child.ask_to_stop()
        child.wait_stopped()


def _greeting(port: int) -> Callable[[], None]:
    def ready() -> None:
        with MongoClient[dict[str, Any]](f"mongodb://{LOOPBACK}:{port}/?directConnection=true&{QUICKLY}") as client:
            client.admin.command("hello")

    return ready


def create_users(uri: str, database: str) -> None:
    """`reader` may read the database, `mover` has what Midflight asks for; the password is PASSWORD."""
    with MongoClient[dict[str, Any]](uri) as client:
        for user, roles in (("reader", ["read"]), ("mover", ["readWrite", "dbAdmin"])):
            granted = [{"role": role, "db": database} for role in roles]
            client.admin.command("createUser", user, pwd=PASSWORD, roles=granted)
