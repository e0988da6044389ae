"""A service: one server as a child process, with its log file, its readiness and its way to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from midflight.errors import MidflightError

LAUNCHER = Path(__file__).with_name("launch.py")
LOG_LINES_SHOWN = 30
READY_SECONDS = 60.0
POLL_SECONDS = 0.05


class ServerFailed(MidflightError):
    """A server ended or did not become ready; the message holds the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The system user a service runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Service:
    """How to start, probe and stop one server. `ready` returns or raises; it is asked until it returns."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], None]
    stop_signal: signal.Signals = signal.SIGTERM
    owner: Owner | None = None
    environment: Mapping[str, str] | None = None
    grace_seconds: float = 10.0


class Child:
    """A running service."""

    def __init__(self, service: Service, log: Path) -> None:
        self.service = service
        self._log = log
        self._process = _spawn(service, log)
        self.created = psutil.Process(self.pid).create_time()

    @property
    def pid(self) -> int:
        """Process id; the launcher becomes the server, so it never changes."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return when the server answers. Raises ServerFailed at once when it ends, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.service.ready()
            except Exception as error:  # any refusal means "not yet", whatever the driver calls it
                self._still_hopeful(deadline, error)
            else:
                return
            time.sleep(POLL_SECONDS)

    def ask_to_stop(self) -> None:
        """Send the stop signal, if there is still someone to receive it."""
        if self.alive():
            self._process.send_signal(self.service.stop_signal)

    def kill(self) -> None:
        """kill -9, also of the processes that it started; returns when all are gone."""
        ours = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        for process in ours:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        psutil.wait_procs(ours[1:], timeout=self.service.grace_seconds)

    def wait_stopped(self) -> None:
        """Wait for the end; after the grace time, kill the whole process group."""
        try:
            self._process.wait(self.service.grace_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def last_words(self) -> str:
        """The last lines of the log."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES_SHOWN:])

    def _still_hopeful(self, deadline: float, error: Exception) -> None:
        if not self.alive():
            raise ServerFailed(
                f"{self.service.name} ended with code {self._process.returncode}:\n{self.last_words()}\n",
                next_step=f"Its whole log is in {self._log}.",
            )
        if time.monotonic() > deadline:
            raise ServerFailed(
                f"{self.service.name} does not answer ({error}):\n{self.last_words()}\n",
                next_step=f"Its whole log is in {self._log}.",
            )


def _spawn(service: Service, log: Path) -> subprocess.Popen[bytes]:
    if threading.current_thread() is not threading.main_thread():
        # The kernel's death signal fires when the spawning *thread* ends.
        raise RuntimeError("Servers must be started from the main thread.")
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    uid, gid = (service.owner.uid, service.owner.gid) if service.owner else (-1, -1)
    guard = [sys.executable, "-I", "-S", str(LAUNCHER), str(int(service.stop_signal)), str(os.getpid())]
    with log.open("wb") as output:  # a file, never a pipe: a pipe nobody drains blocks the server
        return subprocess.Popen(
            [*guard, str(uid), str(gid), *service.command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            env=service.environment,
        )
