"""The loyalty application as it runs in the demonstration: two processes, a job beside them, and their clients."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from demo.helper import Helper
from embedded import Servers
from examples.loyalty.config import Config
from examples.loyalty.seed import seed
from examples.loyalty.tiers import REFUSED
from midflight.settings import child_environment

PROCESSES = 2
READY_SECONDS = 20.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Traffic:
    """How much of it."""

    members: int = 600
    per_second: float = 170.0
    sessions: int = 24
    tiers_per_second: float = 2.0


class ShopFailed(Exception):
    """The application did not start."""


class Shop:
    """Everything of the application that runs, and the clients."""

    def __init__(self, servers: Servers, name: str, folder: Path, traffic: Traffic) -> None:
        self.config = Config(servers.mongo_uri, servers.postgres_dsn, "moving", name, name)
        self.records, self.traffic = folder / "load", traffic
        self._log = folder / "log"
        self.ports = _free_ports(PROCESSES)
        self.processes = [self._process(number, port) for number, port in enumerate(self.ports, 1)]
        self.tiers = self._helper("tiers", "--rate", str(traffic.tiers_per_second), "--with-parent")
        self.load = self._helper("load", str(self.records), ",".join(map(str, self.ports)), *_load(traffic))
        self.doubts: list[str] = []

    @contextmanager
    def open(self) -> Iterator[None]:
        """Seed, start, and stop at the end. ShopFailed."""
        seed(self.config.mongo, self.config.database, self.traffic.members)
        with ExitStack() as stack:
            for process in self.processes:
                process.start()
                stack.callback(process.stop)
            for port in self.ports:
                await_ready(port)
            self.tiers.start()
            stack.callback(self._stop_tiers)
            self.load.start()
            stack.callback(self._stop_load)
            yield

    def start_tiers_again(self) -> None:
        """After a rollback the job may work again."""
        if not self.tiers.alive():
            self.tiers.stop()
            self.tiers.start()

    def _process(self, number: int, port: int) -> Helper:
        config = replace(self.config, instance=f"shop-{number}")
        return self._helper("server", str(port), "--with-parent", config=config, log=f"shop-{number}")

    def _helper(self, module: str, *arguments: str, config: Config | None = None, log: str = "") -> Helper:
        environment = child_environment((config or self.config).environment())
        return Helper(f"examples.loyalty.{module}", arguments, environment, self._log / f"{log or module}.log")

    def _stop_load(self) -> None:
        self.load.thaw()
        if (code := self.load.stop()) != 0:
            self.doubts.append(f"the load generator ended with {code}; see {self.load.log}")

    def _stop_tiers(self) -> None:
        if (code := self.tiers.stop()) not in (0, REFUSED):
            self.doubts.append(f"the tiers job ended with {code}; see {self.tiers.log}")


def await_ready(port: int) -> None:
    """Return when the process on this port serves and knows the route of its domain. ShopFailed."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/ready", timeout=2):
                return
        except (URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise ShopFailed(f"The process on port {port} does not answer: {error}") from error
        time.sleep(POLL_SECONDS)


def _load(traffic: Traffic) -> tuple[str, ...]:
    numbers = {"rate": traffic.per_second, "sessions": traffic.sessions, "members": traffic.members}
    return tuple(word for name, number in numbers.items() for word in (f"--{name}", str(number)))


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:  # held together, so that no two are the same
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
