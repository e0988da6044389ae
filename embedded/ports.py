"""Ports: fixed ones where asked for, free ones otherwise."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import astuple, dataclass

LOOPBACK = "127.0.0.1"
ANY = 0


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the embedded servers; 0 takes a free one."""

    temporal: int = ANY
    temporal_ui: int = ANY
    mongo: int = ANY
    postgres: int = ANY

    @property
    def chosen_by_us(self) -> bool:
        """Whether another attempt may find other ports."""
        return ANY in astuple(self)

    def filled(self) -> Ports:
        """The same, with free ports for zeros. Somebody may take one before the server does: try again."""
        wanted: tuple[int, ...] = astuple(self)
        free = iter(_free_ports(wanted.count(ANY)))
        return Ports(*(port or next(free) for port in wanted))


STANDARD = Ports(temporal=7233, temporal_ui=8233, mongo=27017, postgres=5432)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:  # held together, so that no two are the same
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, ANY))
        return [one.getsockname()[1] for one in sockets]
