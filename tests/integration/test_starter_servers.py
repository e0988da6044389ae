"""`up`, `down` and `worker`: servers of this test's own, started and stopped by the command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.fixtures.cli import ROOT, Cli

DEADLINE = 10.0


@pytest.fixture
async def cli(tmp_path: Path) -> AsyncIterator[Cli]:
    """An environment that names no server; whatever runs in it is stopped at the end."""
    cli = Cli(os.environ, tmp_path, interpreter=True)
    yield cli
    await cli("down")


def processes(home: Path) -> list[psutil.Process]:
    """The supervisor and everything below it."""
    supervisor = psutil.Process(json.loads((home / "state" / "state.json").read_text())["supervisor"]["pid"])
    return [supervisor, *supervisor.children(recursive=True)]


def lives(process: psutil.Process) -> bool:
    """Whether it still does anything; one that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def until_ended(running: list[psutil.Process]) -> None:
    """The supervisor itself ends a moment after it has let go of everything."""
    async with asyncio.timeout(DEADLINE):
        while any(lives(process) for process in running):
            await asyncio.sleep(0.02)


async def test_up_leaves_servers_that_other_commands_find_and_down_leaves_nothing(cli: Cli) -> None:
    up = await cli("up", "--workers", "0", "--source", "old", "--target", "new", "--json")

    assert up.code == 0
    assert up.data["temporal_ui"].startswith("http://127.0.0.1:")
    assert {"MIDFLIGHT_STORE_OLD", "MIDFLIGHT_STORE_NEW"} < set(up.data["environment"])
    assert (await cli("list", "--json")).data == []
    again = await cli("up")
    assert again.code == 4
    assert "midflight down" in again.err
    running = processes(cli.home)
    assert len(running) >= 4
    assert (await cli("down", "--json")).data == {"stopped": True}
    await until_ended(running)


async def test_a_worker_by_hand_finds_the_servers_and_stops_cleanly_when_asked(cli: Cli) -> None:
    await cli("up", "--workers", "0")

    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "starter",
        "worker",
        cwd=ROOT,
        env={**cli.environment, "MIDFLIGHT_STATE_DIR": str(cli.home / "state")},
        stderr=asyncio.subprocess.PIPE,
    )
    assert worker.stderr is not None
    while b"worker_started" not in (line := await worker.stderr.readline()):
        assert line, "the worker ended by itself"
    worker.send_signal(signal.SIGTERM)
    await worker.communicate()

    assert worker.returncode == 0
