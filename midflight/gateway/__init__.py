"""The application's library: no Temporal, no worker code. `AsyncGateway` for asyncio, `Gateway` for threads."""

from __future__ import annotations

from midflight.core.routing import Route, Side
from midflight.errors import GatewayError, GatewayMisused, NotReady, WritesHeld
from midflight.gateway.aio import AsyncDomain, AsyncGateway, Keys
from midflight.gateway.blocking import Domain, Gateway
from midflight.gateway.compare import Comparator
from midflight.gateway.policy import Policy

__all__ = [
    "AsyncGateway",
    "AsyncDomain",
    "Gateway",
    "Domain",
    "Policy",
    "Comparator",
    "Keys",
    "Side",
    "Route",
    "GatewayError",
    "GatewayMisused",
    "NotReady",
    "WritesHeld",
]
