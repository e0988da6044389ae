"""Stores by name: joins settings and adapters. The only module of the library that knows both adapters."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from midflight.mongo.client import open_source
from midflight.parity.ports import RunStore
from midflight.ports import Source, Target
from midflight.postgres.connection import open_runs, open_target
from midflight.settings import Settings


class ConfiguredStores:
    """Implements `midflight.ports.Stores` and `midflight.parity.ports.RunStores` with the addresses of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def source(self, store: str, database: str) -> AbstractAsyncContextManager[Source]:
        """The source database, connected; closed at the end. SettingsError if the store has no address."""
        return open_source(self._settings.source(store).get_secret_value(), database)

    def target(self, store: str) -> AbstractAsyncContextManager[Target]:
        """The target, connected; closed at the end. SettingsError if the store has no address."""
        return open_target(self._settings.target(store).get_secret_value())

    def runs(self, store: str) -> AbstractAsyncContextManager[RunStore]:
        """Where runs of parity are kept, in the ledger of that store. SettingsError if the store has no address."""
        return open_runs(self._settings.target(store).get_secret_value())
