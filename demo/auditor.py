"""Looks into both stores of the loyalty application while its clients stand still for a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from demo.shop import Shop
from examples.loyalty.audit import Audit, audit, differences
from examples.loyalty.holdings import Holdings, conserved, of_mongo, of_postgres
from examples.loyalty.records import operations

AGREE_SECONDS = 30.0
LOOK_SECONDS = 0.1
ADD_UP_SECONDS = 1.0
SOURCE, TARGET = "MongoDB", "PostgreSQL"


@dataclass(slots=True)
class Auditor:
    """Gathers what it finds. `say` tells whoever watches."""

    shop: Shop
    say: Callable[[str], None]
    audits: list[Audit] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    agree_seconds: float = AGREE_SECONDS
    """How long the tail may take to bring what was written before the clients stood still."""
    added_up: int = 0
    """How often the points were added up while everybody wrote."""

    async def look(self, occasion: str, *, both: bool) -> None:
        """Audit the target, or both stores and whether they agree; nobody writes meanwhile."""
        await asyncio.to_thread(self.look_now, occasion, both=both)

    def look_now(self, occasion: str, *, both: bool) -> None:
        """The same, without an event loop."""
        began = time.monotonic()
        self.shop.load.tell("pause")
        try:
            found = self._both() if both else [audit(TARGET, self._target(), operations(self.shop.records))]
        finally:
            self.shop.load.tell("resume")
        self.audits += found
        self.doubts += [f"{occasion}: {doubt}" for one in found for doubt in one.shown()]
        colour = "green" if all(one.ok for one in found) else "red"
        stores = " and ".join(one.store for one in found)
        self.say(
            f"[{colour}]audit of {stores}[/{colour}] {occasion}: {found[0].acknowledged:,} acknowledged operations,"
            f" {sum(len(one.lost) for one in found)} lost ({time.monotonic() - began:.1f} s)"
        )

    async def keep_adding_up(self, wanted: Callable[[], bool]) -> None:
        """Add up the points at the target again and again, in the middle of the traffic, while it is in charge."""
        while True:
            await asyncio.sleep(ADD_UP_SECONDS)
            if wanted():
                await asyncio.to_thread(self._add_up)

    def _add_up(self) -> None:
        try:
            balances, points = conserved(self.shop.config.postgres, self.shop.config.schema)
        except psycopg.Error:
            return  # it may be away; the audits look again
        self.added_up += 1
        if balances != points:
            self.doubts.append(f"the balances come to {balances}, the transactions to {points}")

    def _both(self) -> list[Audit]:
        source, target = self._agreed()
        known = operations(self.shop.records)
        return [audit(SOURCE, source, known), audit(TARGET, target, known)]

    def _agreed(self) -> tuple[Holdings, Holdings]:
        """What they hold when they agree; a doubt if they never do."""
        deadline = time.monotonic() + self.agree_seconds
        while True:
            source, target = of_mongo(self.shop.config.mongo, self.shop.config.database), self._target()
            apart = differences(source, target)
            if not apart:
                return source, target
            if time.monotonic() > deadline:
                waited = f"after {self.agree_seconds:g} s without writes"
                self.doubts.append(f"{waited} {len(apart)} differ, first: {apart[0]}")
                return source, target
            time.sleep(LOOK_SECONDS)

    def _target(self) -> Holdings:
        return of_postgres(self.shop.config.postgres, self.shop.config.schema)
