"""Servers that outlive the command that started them: `up`, `down`, and where they are."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from embedded.ports import Ports
from embedded.serve import to_json
from embedded.service import LOG_LINES_SHOWN, POLL_SECONDS, READY_SECONDS, ServerFailed
from embedded.stack import WORKER_DIRECTORY, Servers, StackOptions, addresses
from embedded.supervisor import StateDirBusy, hold_lock, read_state, reap, same_process
from midflight.settings import Settings

STOP_SECONDS = 45.0
_detached: list[subprocess.Popen[bytes]] = []  # kept, as they outlive us: forgetting one would be a warning


def up(state_dir: Path, options: StackOptions | None = None, settings: Settings | None = None) -> Servers:
    """Start the servers and leave them running. Raises StateDirBusy or ServerFailed."""
    home = state_dir.resolve()
    (home / "log").mkdir(parents=True, exist_ok=True)
    hold_lock(home).close()  # says at once that somebody else owns it
    log = home / "log" / "supervisor.log"
    supervisor = _detach(home, options or StackOptions(), log)
    deadline = time.monotonic() + READY_SECONDS
    while (servers := running(home, settings)) is None:
        if supervisor.poll() is not None or time.monotonic() > deadline:
            supervisor.terminate()
            lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            raise ServerFailed("The servers did not start:\n" + "\n".join(lines), next_step=f"See {log.parent}.")
        time.sleep(POLL_SECONDS)
    return servers


def down(state_dir: Path) -> bool:
    """Stop the servers of this state directory, and what a killed supervisor left. False when nothing ran."""
    home = state_dir.resolve()
    if not home.is_dir():
        return False
    state = read_state(home)
    supervisor = same_process(state["supervisor"]) if "supervisor" in state else None
    if supervisor is not None:
        supervisor.send_signal(signal.SIGTERM)
    _take_over(home)
    return bool(state)


def running(state_dir: Path, settings: Settings | None = None) -> Servers | None:
    """Where the servers of this state directory are; None when they do not run or are not ready yet."""
    home = state_dir.resolve()
    state = read_state(home)
    if "ports" not in state or same_process(state["supervisor"]) is None:
        return None
    return addresses(Ports(**state["ports"]), settings or Settings.from_environment())


def _detach(home: Path, options: StackOptions, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "embedded", str(home), to_json(options)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=WORKER_DIRECTORY,
        )
    _detached.append(supervisor)
    return supervisor


def _take_over(home: Path) -> None:
    """Wait until the supervisor has let go, then clean up after it."""
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            lock = hold_lock(home)
        except StateDirBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)
        else:
            break
    reap(home)
    lock.close()
