"""Starts Temporal, a Mongo-compatible server and PostgreSQL from wheels, for demo and tests.

    with embedded.stack() as servers:
        print(servers.temporal_ui)

`up`, `down` and `running` do the same for servers that outlive the command that started them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from embedded.background import down, running, up
from embedded.ports import STANDARD, Ports
from embedded.service import ServerFailed
from embedded.stack import Servers, Stack, StackOptions, Workers
from embedded.supervisor import StateDirBusy
from midflight.contracts.search_attributes import SEARCH_ATTRIBUTES
from midflight.settings import Settings

__all__ = [
    "stack",
    "up",
    "down",
    "running",
    "Servers",
    "Stack",
    "StackOptions",
    "Workers",
    "Ports",
    "STANDARD",
    "ServerFailed",
    "StateDirBusy",
]


@contextmanager
def stack(
    state_dir: Path = Path(".midflight"),
    *,
    keep: bool = False,
    ephemeral: bool = False,
    search_attributes: Mapping[str, str] = SEARCH_ATTRIBUTES,
    ports: Ports = Ports(),  # noqa: B008 - immutable
    workers: Workers = Workers(),  # noqa: B008 - immutable
) -> Iterator[Servers]:
    """Servers for the length of a `with`; nothing of them is left afterwards, however it ends.

    `keep` leaves them running until `down`. Enter it on the main thread. Raises StateDirBusy or ServerFailed.
    """
    options = StackOptions(ephemeral, ports, search_attributes, workers)
    if keep:
        yield up(state_dir, options)
        return
    running_stack = Stack(state_dir, options, Settings.from_environment())
    try:
        yield running_stack.servers
    finally:
        running_stack.close()
