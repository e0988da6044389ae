"""What a team may set: how long the library waits for what. All in seconds unless named otherwise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Bounds of every wait of the library; the defaults suit a web application."""

    poll_seconds: float = 0.5
    """How often the route is asked for when nothing wakes the library; each wait is shortened by a random part."""
    lease_seconds: float = 3.0
    """How long a route may be trusted after it was asked for; a cutover waits at most this long for a dead process."""
    park_seconds: float = 15.0
    """How long a call waits while writes are held, or while nobody can say which store is in charge."""
    start_seconds: float = 10.0
    """How long the first call of a domain waits for its first route."""
    shadow_seconds: float = 0.5
    """How long a write at the source waits for its shadow write."""
    target_read_seconds: float = 1.0
    """After this time a read at the target is given up for the source, while the source is the authority."""
    dark_seconds: float = 1.0
    """The deadline of a dark read."""
    dark_at_once: int = 4
    """How many dark reads may be under way at once; others are dropped and counted."""
    publish_seconds: float = 1.0
    """How often what reads showed is sent to the ledger."""
    breaker_failures: int = 5
    """After so many failures in a row no dark reads are made for a while."""
    breaker_seconds: float = 5.0
    """How long that while is."""
    keep_values: bool = False
    """Whether differences are published with the (cleaned) values of both sides."""


DEFAULT = Policy()
