"""Ports: every I/O Midflight does. Adapters implement them, activities use them, drivers stay behind them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from midflight.ports.ledger import Ledger, Registry, ReverseStore
from midflight.ports.source import ChangeFeed, ReverseWriter, Source, SourceArchive, SourceFence, SourceReader
from midflight.ports.target import Door, Schema, Target, TargetFence, TargetRows

__all__ = [
    "ChangeFeed",
    "Door",
    "Ledger",
    "Registry",
    "ReverseStore",
    "ReverseWriter",
    "Schema",
    "Source",
    "SourceArchive",
    "SourceFence",
    "SourceReader",
    "Stores",
    "Target",
    "TargetFence",
    "TargetRows",
]


class Stores(Protocol):
    """Opens stores by the names a plan uses; addresses and secrets stay behind it."""

    def source(self, store: str, database: str) -> AbstractAsyncContextManager[Source]: ...

    def target(self, store: str) -> AbstractAsyncContextManager[Target]: ...
