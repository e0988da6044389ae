"""Measures a stretch of work: time, CPU of this process and of the servers, and this process's peak memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

BURIAL_SECONDS = 0.3
"""A closed connection's work counts for PostgreSQL only once it has taken note of that process's end."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one case. CPU in seconds, by process: `client` and the servers' names; peak memory in MB (10^6)."""

    case: str
    documents: int
    seconds: float
    cpu: dict[str, float]
    peak_mb: float

    @property
    def documents_per_second(self) -> float:
        """Of wall-clock time."""
        return self.documents / self.seconds


class Stopwatch:
    """Keeps a `Measured` of every stretch. `servers` are process ids by name; their children count as theirs."""

    def __init__(self, servers: Mapping[str, int]) -> None:
        self._servers = {name: psutil.Process(pid) for name, pid in servers.items()}
        self.measured: list[Measured] = []

    @contextmanager
    def running(self, case: str, documents: int) -> Iterator[None]:
        """Measure the body."""
        before, began = self._cpu(), time.perf_counter()
        yield
        seconds, client = time.perf_counter() - began, time.process_time()
        time.sleep(BURIAL_SECONDS)
        after = {**self._cpu(), "client": client}
        used = {name: round(after[name] - before[name], 2) for name in after}
        self.measured.append(Measured(case, documents, seconds, used, _peak_mb()))

    def _cpu(self) -> dict[str, float]:
        return {"client": time.process_time(), **{name: _cpu_of(one) for name, one in self._servers.items()}}


def _cpu_of(server: psutil.Process) -> float:
    """Of the process, its children that live, and those that ended: a connection's backend may do either."""
    own = sum(server.cpu_times()[:4])
    return own + sum(_alone(child) for child in server.children(recursive=True))


def _alone(child: psutil.Process) -> float:
    try:
        return sum(child.cpu_times()[:2])
    except psutil.NoSuchProcess:
        return 0.0


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
