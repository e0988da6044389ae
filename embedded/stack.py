"""The stack: Temporal, the Mongo-compatible server and PostgreSQL, started together and stopped together.

Each of the three that the settings give an address for (MIDFLIGHT_TEMPORAL_ADDRESS, MIDFLIGHT_SOURCE_URI,
MIDFLIGHT_TARGET_DSN) is used at that address and not started.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from embedded import mongo, postgres, temporal
from embedded.ports import LOOPBACK, Ports
from embedded.service import ServerFailed, Service
from embedded.supervisor import Supervisor
from midflight.contracts.search_attributes import SEARCH_ATTRIBUTES
from midflight.settings import Settings, child_environment, store_variable

START_ATTEMPTS = 3
WORKER_GRACE_SECONDS = 30.0
WORKER_DIRECTORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the three servers are. The store addresses may hold secrets and are not shown by repr."""

    temporal_address: str
    temporal_ui: str | None  # None: a Temporal of your own, whose UI we do not know
    mongo_uri: str = field(repr=False)
    postgres_dsn: str = field(repr=False)

    def environment(self, sources: tuple[str, ...] = (), targets: tuple[str, ...] = ()) -> dict[str, str]:
        """Settings that make a worker or a command use these servers; stores are named as in the plans."""
        return {
            "MIDFLIGHT_TEMPORAL_ADDRESS": self.temporal_address,
            "MIDFLIGHT_SOURCE_URI": self.mongo_uri,
            "MIDFLIGHT_TARGET_DSN": self.postgres_dsn,
            **{store_variable(name): self.mongo_uri for name in sources},
            **{store_variable(name): self.postgres_dsn for name in targets},
        }


@dataclass(frozen=True, slots=True)
class Workers:
    """How many workers run beside the servers, and which of the plans' stores they find there."""

    count: int = 0
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What to start. `ephemeral` data is not safe from a power cut and is deleted at the end."""

    ephemeral: bool = False
    ports: Ports = field(default_factory=Ports)
    search_attributes: Mapping[str, str] = field(default_factory=lambda: dict(SEARCH_ATTRIBUTES))
    workers: Workers = field(default_factory=Workers)


class Stack:
    """The servers of one state directory, until `close`. Raises StateDirBusy or ServerFailed."""

    def __init__(self, state_dir: Path, options: StackOptions, settings: Settings) -> None:
        self._dir = state_dir.resolve()
        self._options = options
        self._settings = settings
        self.supervisor = Supervisor(self._dir)
        try:
            self._forget_ephemeral()  # a killed predecessor had no time to
            self.servers = self._start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop everything that was started here."""
        self.supervisor.stop_services()
        self._forget_ephemeral()
        self.supervisor.close()

    def _start(self) -> Servers:
        ports = self._serve_on_open_ports()
        servers = addresses(ports, self._settings)
        for number in range(1, self._options.workers.count + 1):
            self.supervisor.launch(self._worker(number, servers))
        self.supervisor.wait_ready()
        self.supervisor.note({"ports": asdict(ports)})
        return servers

    def _serve_on_open_ports(self) -> Ports:
        for _ in range(START_ATTEMPTS - 1):
            ports = self._options.ports.filled()
            try:
                self._serve(ports)
            except ServerFailed as failure:
                if "in use" not in str(failure) or not self._options.ports.chosen_by_us:
                    raise
                self.supervisor.stop_services()  # somebody took a free port before the server did
            else:
                return ports
        ports = self._options.ports.filled()
        self._serve(ports)
        return ports

    def _serve(self, ports: Ports) -> None:
        for service in self._services(ports):
            self.supervisor.launch(service)
        self.supervisor.wait_ready()

    def _services(self, ports: Ports) -> Iterator[Service]:
        """One after another, so that the others already start while PostgreSQL makes its cluster."""
        ephemeral = self._options.ephemeral
        if self._settings.source_uri is None:
            yield mongo.service(ports.mongo, self._dir / "mongo", ephemeral=ephemeral)
        if not self._settings.chosen("temporal_address"):
            database = None if ephemeral else self._dir / "temporal.db"
            yield temporal.service(ports, database, self._options.search_attributes)
        if self._settings.target_dsn is None:
            yield postgres.service(ports.postgres, self._dir, ephemeral=ephemeral)

    def _worker(self, number: int, servers: Servers) -> Service:
        workers = self._options.workers
        return Service(
            f"worker-{number}",
            (sys.executable, str(WORKER_DIRECTORY / "worker.py")),
            lambda: None,  # workflows wait for a worker; nobody else has to
            environment=child_environment({**servers.environment(workers.sources, workers.targets), **self._archive()}),
            grace_seconds=WORKER_GRACE_SECONDS,
        )

    def _archive(self) -> dict[str, str]:
        """Where the worker archives; it runs elsewhere, so the path must be whole."""
        chosen = self._settings.chosen("archive_dir")
        place = self._settings.archive_dir.resolve() if chosen else self._dir / "archive"
        return {"MIDFLIGHT_ARCHIVE_DIR": str(place)}

    def _forget_ephemeral(self) -> None:
        if not self._options.ephemeral:
            return
        shutil.rmtree(self._dir / "mongo", ignore_errors=True)
        if self._settings.target_dsn is None:
            postgres.forget(self._dir)


def addresses(ports: Ports, settings: Settings) -> Servers:
    """Where each server is: at the settings' address, or at its port here."""
    own_temporal = settings.chosen("temporal_address")
    own_mongo, own_postgres = settings.source_uri, settings.target_dsn
    return Servers(
        temporal_address=settings.temporal_address if own_temporal else f"{LOOPBACK}:{ports.temporal}",
        temporal_ui=None if own_temporal else f"http://{LOOPBACK}:{ports.temporal_ui}",
        mongo_uri=own_mongo.get_secret_value() if own_mongo else mongo.address(ports.mongo),
        postgres_dsn=own_postgres.get_secret_value() if own_postgres else postgres.address(ports.postgres),
    )
