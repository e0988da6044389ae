"""The loyalty application's journey: its processes and clients run, and its domain goes there and back and there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from demo.auditor import Auditor
from demo.moves import Moves, Told, Voice
from demo.owners import Owner, ShopOwner
from demo.plans import SHOP
from demo.shop import Shop, ShopFailed, Traffic
from demo.traffic import TrafficReport, report
from demo.traveller import Traveller
from demo.watch import Watch
from demo.writer import SOURCE, TARGET
from embedded import Servers
from examples.loyalty.figures import Window
from midflight.core.plan import Plan
from midflight.settings import Settings
from midflight.stores import ConfiguredStores

BASELINE_SECONDS = 3.0
IN_CHARGE = ("target", "target_only")


class Shopping:
    """Open it, let the domain move, close it, ask for the report."""

    def __init__(self, voice: Voice, folder: Path, servers: Servers, plan: Plan, traffic: Traffic) -> None:
        self._voice, self._plan = voice, plan
        self._settings = Settings.from_environment(servers.environment((SOURCE,), (TARGET,)))
        self.shop = Shop(servers, SHOP, folder, traffic)
        self.auditor = Auditor(self.shop, voice)
        self.watch = Watch(servers.postgres_dsn, plan.domain)
        self.owner: Callable[[Traveller], Owner] = lambda traveller: ShopOwner(traveller, self.auditor)

    @contextmanager
    def open(self) -> Iterator[None]:
        """The application serves, and its clients ask. ShopFailed."""
        asyncio.run(self._register())
        with self.shop.open(), closing(self.watch):
            self.watch.start()
            self._voice(
                f"the loyalty application serves {self.shop.traffic.per_second:g} requests a second "
                f"from processes {', '.join(str(process.pid) for process in self.shop.processes)}"
            )
            yield

    async def move(self) -> Told:
        """The whole journey, after a look at how the application does without it."""
        await asyncio.sleep(BASELINE_SECONDS)
        moves = Moves(self._voice, self._settings, [self._plan], lambda traveller: self.owner(traveller))
        adding = asyncio.create_task(self.auditor.keep_adding_up(self._target_in_charge))
        try:
            return await moves.run()
        finally:
            adding.cancel()

    def audit(self, occasion: str) -> None:
        """Audit the target, once it is in charge."""
        if self._target_in_charge():
            self.auditor.look_now(occasion, both=False)

    def report(self, frozen: Sequence[Window] = ()) -> TrafficReport:
        """What the traffic came to; when it has ended."""
        return report(self.auditor, self.watch.marks, frozen)

    async def _register(self) -> None:
        """Before the library is deployed, the ledger must know the domain: the library goes nowhere on a guess."""
        async with ConfiguredStores(self._settings).target(TARGET) as target:
            await target.schema.install_ledger()
            await target.ledger.register(self._plan)

    def _target_in_charge(self) -> bool:
        return self.watch.marks[-1].stage in IN_CHARGE


__all__ = ["Shopping", "ShopFailed", "Traffic"]
