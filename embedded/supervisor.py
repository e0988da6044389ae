"""The supervisor: owns one state directory and every process started for it.

Three nets keep anything from running on: `close()`; the kernel, which signals the children when the
supervisor dies (Linux); and the next start, which reaps what `state.json` names, if process id *and* creation
time agree.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path
from typing import IO, Any

import psutil

from embedded.service import Child, Service
from midflight.errors import MidflightError

CREATED_TOLERANCE_SECONDS = 1.0
REAP_SECONDS = 10.0


class StateDirBusy(MidflightError):
    """Another supervisor owns this state directory."""


class Supervisor:
    """Starts services and stops them; one a state directory. Raises StateDirBusy."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._logs = state_dir / "log"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._lock = hold_lock(state_dir)
        self._children: list[Child] = []
        self._facts: dict[str, Any] = {}
        reap(state_dir)

    def launch(self, service: Service) -> Child:
        """Start a service and note it for a later reaping; does not wait until it is ready."""
        child = Child(service, self._logs / f"{service.name}.log")
        self._children.append(child)
        self.note({})
        return child

    def wait_ready(self) -> None:
        """Return when every service answers. Raises ServerFailed for the first that will not."""
        for child in self._children:
            child.wait_ready()

    def child(self, name: str) -> Child:
        """The running process of a service, or the last one. KeyError."""
        found = [child for child in self._children if child.service.name == name]
        if not found:
            raise KeyError(name)
        return found[-1]

    def start_again(self, name: str) -> Child:
        """Start a service that has ended once more, at the same address with the same data; does not wait."""
        ended = self.child(name)
        self._children.remove(ended)
        return self.launch(ended.service)

    def dead(self) -> list[Child]:
        """Services that ended without being asked."""
        return [child for child in self._children if not child.alive()]

    def note(self, facts: dict[str, Any]) -> None:
        """Write `state.json`: our processes and all `facts` so far, whole or not at all."""
        self._facts |= facts
        me = psutil.Process()
        state = {
            "supervisor": {"pid": me.pid, "created": me.create_time(), "signal": int(signal.SIGTERM)},
            "services": {child.service.name: _identity(child) for child in self._children},
            **self._facts,
        }
        draft = self.state_dir / "state.json.new"
        draft.write_text(json.dumps(state, indent=2))
        draft.replace(state_file(self.state_dir))

    def stop_services(self) -> None:
        """Stop everything, last started first: all are asked, then all are awaited."""
        for child in reversed(self._children):
            child.ask_to_stop()
        for child in reversed(self._children):
            child.wait_stopped()
        self._children.clear()

    def close(self) -> None:
        """Stop everything and give the state directory back."""
        self.stop_services()
        state_file(self.state_dir).unlink(missing_ok=True)
        self._lock.close()


def state_file(state_dir: Path) -> Path:
    """Where the supervisor notes its processes and addresses."""
    return state_dir / "state.json"


def read_state(state_dir: Path) -> dict[str, Any]:
    """What the last supervisor noted; empty when there is nothing readable."""
    try:
        state: dict[str, Any] = json.loads(state_file(state_dir).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return state


def hold_lock(state_dir: Path) -> IO[str]:
    """Own the state directory until the returned file is closed or this process dies. Raises StateDirBusy."""
    lock = (state_dir / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StateDirBusy(
            f"Servers are already running on {state_dir}.",
            next_step="Stop them with `midflight down`, or choose another MIDFLIGHT_STATE_DIR.",
        ) from None
    return lock


def reap(state_dir: Path) -> None:
    """Stop what a supervisor that died left running. Call only while holding the lock."""
    left = [
        (process, identity["signal"])
        for identity in read_state(state_dir).get("services", {}).values()
        if (process := same_process(identity)) is not None
    ]
    for process, stop_signal in left:
        _signal(process, stop_signal)
    _, stubborn = psutil.wait_procs([process for process, _ in left], timeout=REAP_SECONDS)
    for process in stubborn:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=REAP_SECONDS)
    state_file(state_dir).unlink(missing_ok=True)


def same_process(identity: dict[str, Any]) -> psutil.Process | None:
    """The process this note was written about, if it lives; a process that only got its number is not it."""
    try:
        process = psutil.Process(identity["pid"])
        same = abs(process.create_time() - identity["created"]) < CREATED_TOLERANCE_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _signal(process: psutil.Process, signal_number: int) -> None:
    try:
        os.kill(process.pid, signal_number)
    except ProcessLookupError:
        return


def _identity(child: Child) -> dict[str, Any]:
    return {"pid": child.pid, "created": child.created, "signal": int(child.service.stop_signal)}
