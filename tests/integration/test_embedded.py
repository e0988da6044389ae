"""The embedded servers: they start, answer, and leave nothing running, however they end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from pymongo import MongoClient
from temporalio.client import Client

import embedded
from embedded import system_user
from embedded.supervisor import hold_lock, reap
from midflight.contracts.search_attributes import SEARCH_ATTRIBUTES

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 30.0
# A program that starts the servers, says so, and waits until it is killed. A shell that runs this suite in the
# background has taught it to ignore SIGINT.
HOLDER = """
    import signal, sys, time
    from pathlib import Path
    import embedded
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with embedded.stack(Path(sys.argv[1]), ephemeral=True) as servers:
        print("ready", flush=True)
        time.sleep(600)
"""


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


@pytest.fixture
def home() -> Iterator[Path]:
    """A state directory that any user can reach, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="midflight-state-"))
    path.chmod(0o755)
    yield path
    embedded.down(path)
    shutil.rmtree(path, ignore_errors=True)


def identities(home: Path) -> dict[str, Any]:
    services: dict[str, Any] = json.loads((home / "state.json").read_text())["services"]
    return services


def processes(home: Path) -> list[psutil.Process]:
    """The servers of this state directory and all their children."""
    servers = [psutil.Process(service["pid"]) for service in identities(home).values()]
    return [one for server in servers for one in (server, *server.children(recursive=True))]


def gone(watched: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in watched)


def hold(home: Path, *prefix: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-c", textwrap.dedent(HOLDER), str(home)]
    held = subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})}
    )
    assert held.stdout is not None
    assert held.stdout.readline().strip() == "ready"
    return held


def end(held: subprocess.Popen[str], number: int) -> None:
    held.send_signal(number)
    held.wait(DEADLINE_SECONDS)
    assert held.stdout is not None
    held.stdout.close()


async def test_all_three_servers_answer(servers: embedded.Servers, postgres_database: str, mongo_database: str) -> None:
    await Client.connect(servers.temporal_address)
    with MongoClient[dict[str, Any]](servers.mongo_uri) as client:
        client[mongo_database]["things"].insert_one({"_id": 1})
        assert client[mongo_database]["things"].find_one() == {"_id": 1}
    with psycopg.connect(postgres_database) as connection:
        assert connection.execute("show wal_level").fetchone() == ("logical",)
        assert connection.execute("show server_encoding").fetchone() == ("UTF8",)


async def test_temporal_knows_our_search_attributes(temporal_address: str) -> None:
    client = await Client.connect(temporal_address)
    for name in SEARCH_ATTRIBUTES:
        # Listing by an attribute that the server does not know is an error.
        assert [run async for run in client.list_workflows(f"{name} is null and WorkflowId = 'nobody'")] == []


def test_a_clean_stop_leaves_nothing(home: Path) -> None:
    with embedded.stack(home, ephemeral=True):
        watched = processes(home)
        assert len(watched) > 3
    assert gone(watched)
    assert not (home / "state.json").exists()


def test_kept_data_is_there_after_a_restart(home: Path) -> None:
    with embedded.stack(home) as servers:
        with MongoClient[dict[str, Any]](servers.mongo_uri) as client:
            client["kept"]["things"].insert_one({"_id": 1})
        with psycopg.connect(servers.postgres_dsn) as connection:
            connection.execute("create table kept as select 1 as one")
    with embedded.stack(home) as servers:
        with MongoClient[dict[str, Any]](servers.mongo_uri) as client:
            assert client["kept"]["things"].count_documents({}) == 1
        with psycopg.connect(servers.postgres_dsn) as connection:
            assert connection.execute("select one from kept").fetchone() == (1,)


@pytest.mark.skipif(
    sys.platform != "linux", reason="the kernel's death signal is Linux's; elsewhere the next start cleans up"
)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_parent_is_killed(home: Path, number: signal.Signals) -> None:
    held = hold(home)
    watched = processes(home)
    end(held, number)
    eventually(lambda: gone(watched), "all servers gone")


def test_the_next_start_stops_what_a_dead_supervisor_left(home: Path) -> None:
    orphan = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    note = {"pid": orphan.pid, "created": psutil.Process(orphan.pid).create_time(), "signal": int(signal.SIGTERM)}
    (home / "state.json").write_text(json.dumps({"services": {"orphan": note}}))
    with hold_lock(home):
        reap(home)
    assert orphan.poll() is not None


def test_a_process_that_only_got_the_number_is_left_alone(home: Path) -> None:
    stranger = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    note = {"pid": stranger.pid, "created": psutil.Process(stranger.pid).create_time() - 60, "signal": 9}
    (home / "state.json").write_text(json.dumps({"services": {"old": note}}))
    with hold_lock(home):
        reap(home)
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_second_start_on_the_same_state_directory_says_so(home: Path) -> None:
    with (
        embedded.stack(home, ephemeral=True),
        pytest.raises(embedded.StateDirBusy, match="midflight down"),
        embedded.stack(home, ephemeral=True),
    ):
        pass


def test_a_server_that_cannot_start_shows_its_log(home: Path, servers: embedded.Servers) -> None:
    taken = embedded.Ports(
        temporal=int(servers.temporal_address.rpartition(":")[2]), temporal_ui=1, mongo=1, postgres=1
    )
    with (
        pytest.raises(embedded.ServerFailed, match=r"ended with code(?s:.)*log is in"),
        embedded.stack(home, ports=taken),
    ):
        pass
    assert not (home / "state.json").exists()


def test_a_server_that_the_environment_names_is_not_started(
    home: Path, servers: embedded.Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIDFLIGHT_TEMPORAL_ADDRESS", servers.temporal_address)
    monkeypatch.setenv("MIDFLIGHT_SOURCE_URI", servers.mongo_uri)
    with embedded.stack(home, ephemeral=True) as started:
        assert set(identities(home)) == {"postgres"}
        assert (started.temporal_address, started.mongo_uri) == (servers.temporal_address, servers.mongo_uri)
        assert started.temporal_ui is None


def test_up_leaves_servers_running_and_down_stops_them(home: Path) -> None:
    assert embedded.running(home) is None
    started = embedded.up(home, embedded.StackOptions(ephemeral=True))
    assert embedded.running(home) == started
    with pytest.raises(embedded.StateDirBusy):
        embedded.up(home)
    watched = processes(home)
    assert embedded.down(home)
    assert gone(watched)
    assert embedded.running(home) is None
    assert not embedded.down(home)


def test_down_after_the_supervisor_was_killed_leaves_nothing(home: Path) -> None:
    embedded.up(home, embedded.StackOptions(ephemeral=True))
    watched = processes(home)
    os.kill(json.loads((home / "state.json").read_text())["supervisor"]["pid"], signal.SIGKILL)
    embedded.down(home)
    eventually(lambda: gone(watched), "all servers gone")


def test_an_ordinary_user_can_run_the_servers(home: Path) -> None:
    """As root, in a user namespace where we are somebody else; otherwise every test here shows it."""
    prefix = ("unshare", "--user", "--map-user=1000", "--map-group=1000") if os.geteuid() == 0 else ()
    if prefix and (not shutil.which("unshare") or subprocess.run([*prefix, "true"], check=False).returncode):
        pytest.skip("no user namespaces here")
    held = hold(home, *prefix)
    assert set(identities(home)) == {"mongo", "temporal", "postgres"}
    watched = processes(home)
    end(held, signal.SIGINT)
    eventually(lambda: gone(watched), "all servers gone")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
def test_root_runs_postgres_as_somebody_else_even_below_a_closed_home(home: Path) -> None:
    home.chmod(0o700)
    with embedded.stack(home / "state", ephemeral=True) as servers:
        postmaster = psutil.Process(identities(home / "state")["postgres"]["pid"])
        assert postmaster.uids().real != 0
        with psycopg.connect(servers.postgres_dsn) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        stand_in = Path((home / "state" / system_user.STAND_IN_NOTE).read_text())
    assert not stand_in.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
def test_binaries_behind_a_closed_home_are_copied_to_where_their_user_can_run_them(tmp_path: Path) -> None:
    owner = system_user.for_server()
    closed = tmp_path / "venv"
    (closed / "bin").mkdir(parents=True)
    (closed / "bin" / "postgres").write_text("#!/bin/sh\necho here\n")
    (closed / "bin" / "postgres").chmod(0o700)
    tmp_path.chmod(0o700)
    copy = system_user.reachable_copy(closed, owner)
    try:
        done = subprocess.run(
            [copy / "bin" / "postgres"], capture_output=True, cwd="/", check=True, **system_user.as_owner(owner)
        )
    finally:
        shutil.rmtree(copy)
    assert done.stdout == b"here\n"
