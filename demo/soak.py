"""`make soak`: the loyalty application's journey for longer, with faults in every stage.

    python -m demo.soak [SECONDS]

Everything that is killed is started again a moment later. The same audits, invariants and summary as in `make demo`;
its file is `soak.json` beside the demonstration's.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rich.console import Console

from demo.auditor import Auditor
from demo.faults import Server, frozen, kill_process, kill_server
from demo.moves import Voice
from demo.owners import ShopOwner
from demo.plans import shop_plan
from demo.shop import Shop
from demo.shopping import ShopFailed, Shopping, Traffic
from demo.stunts import RollBackFromTarget, Stunt
from demo.summary import Summary
from demo.traveller import Traveller
from demo.writer import SOURCE, TARGET
from embedded import Stack, StackOptions, Workers, postgres
from examples.loyalty.figures import Window
from midflight.core.plan import GateName
from midflight.errors import MidflightError
from midflight.settings import Settings

DEFAULT_SECONDS = 600.0
HOME, REPORT = "soak", "soak.json"
SOAK_SECONDS = 4.0
TRIES = 20
CALM_SECONDS = 3.0
"""Between two faults: so long everything may come back to its usual pace."""
BACK_SECONDS = 300.0
FROZEN_SECONDS = 8.0
"""Longer than a lease: the cutover goes on without the process that stands still."""
AGREE_SECONDS = 180.0
"""A worker that was killed is missed after a while, and MongoDB keeps its open transaction, with its locks."""


class Mischief:
    """The faults of one run, by the gate that the move stands before."""

    def __init__(self, stack: Stack, shop: Shop, say: Callable[[str], None]) -> None:
        self._stack, self._shop, self._say = stack, shop, say
        self.windows: list[Window] = []
        self.done: list[str] = []
        self._thawing: set[asyncio.Task[None]] = set()

    async def before(self, gate: GateName) -> None:
        """One fault after another, each with a calm time after it."""
        for name in BEFORE.get(gate, ()):
            await self._one(name)

    async def at_the_target(self) -> None:
        """While the target is in charge."""
        for name in AT_THE_TARGET:
            await self._one(name)

    def freeze_for_a_while(self) -> None:
        """One process stands still from now on, across whatever comes, and goes on after that."""
        task = asyncio.create_task(self._freeze())
        self._thawing.add(task)
        task.add_done_callback(self._thawing.discard)

    async def thawed(self) -> None:
        """Wait until nobody stands still."""
        if self._thawing:
            await asyncio.wait(self._thawing)

    async def _one(self, name: str) -> None:
        self._say(f"[red]kill -9[/red] {name}")
        self.done.append(name)
        if name == APPLICATION:
            number = len(self.done) % len(self._shop.processes)
            await kill_process(self._shop.processes[number], self._shop.ports[number])
        else:
            await kill_server(self._stack, SERVERS[name])
        self._say(f"[green]{name} is back[/green]")
        await asyncio.sleep(CALM_SECONDS)

    async def _freeze(self) -> None:
        self._say("[red]SIGSTOP[/red] of one process of the application")
        self.done.append("SIGSTOP")
        async with frozen(self._shop.processes[0], self._shop.config.mongo, self.windows):
            await asyncio.sleep(FROZEN_SECONDS)
        self._say("[green]it goes on[/green]")


APPLICATION = "a process of the application"
SERVERS: dict[str, Server] = {
    "PostgreSQL": "postgres",
    "the Mongo-compatible server": "mongo",
    "Temporal": "temporal",
    "the worker": "worker-1",
}
BEFORE: dict[GateName, tuple[str, ...]] = {
    "dark_read": ("PostgreSQL", "the worker", APPLICATION),
    "ramp": ("PostgreSQL", "Temporal", APPLICATION),
    "cutover": ("PostgreSQL", "the worker", APPLICATION),
}
AT_THE_TARGET = ("the Mongo-compatible server", "the worker", APPLICATION, "Temporal")


class GoBackAgain(RollBackFromTarget):
    """Faults at the target, then back to the source; again and again until the time is over."""

    def __init__(self, auditor: Auditor, mischief: Mischief, stunts: list[Stunt], over_at: float) -> None:
        super().__init__(auditor, BACK_SECONDS)
        self._mischief, self._stunts, self._over_at = mischief, stunts, over_at

    async def perform(self, traveller: Traveller) -> None:
        """Once more around, unless it is late."""
        await self._mischief.thawed()
        await self._mischief.at_the_target()
        await super().perform(traveller)
        if time.monotonic() < self._over_at:
            self._stunts.append(self)


class SoakOwner(ShopOwner):
    """Lets everything fail before each approval."""

    def __init__(self, traveller: Traveller, auditor: Auditor, mischief: Mischief, seconds: float) -> None:
        super().__init__(traveller, auditor)
        self._mischief = mischief
        self.stunts = []
        self.stunts.append(GoBackAgain(auditor, mischief, self.stunts, time.monotonic() + seconds))
        self.tries_left, self.patience_seconds = TRIES, seconds * 3 + 600

    async def look_before(self, gate: GateName) -> None:
        """Faults, then the audit; before a cutover one process stops and stays so across it."""
        await self._mischief.thawed()
        await self._mischief.before(gate)
        await super().look_before(gate)
        if gate == "cutover":
            self._mischief.freeze_for_a_while()


def run(seconds: float) -> int:
    """The whole soak; 0 when nothing is left to doubt, 1 otherwise."""
    console, settings = Console(), Settings.from_environment()
    home = settings.state_dir.resolve() / HOME
    shutil.rmtree(home, ignore_errors=True)
    postgres.forget(home)
    options = StackOptions(workers=Workers(count=1, sources=(SOURCE,), targets=(TARGET,)))
    try:
        with closing(Stack(home, options, settings)) as stack:
            summary = soak(Voice(console), home, stack, seconds, Traffic())
    except MidflightError as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 1
    summary.write(settings.state_dir / REPORT)
    summary.show(console)
    return 0 if summary.ok else 1


def soak(voice: Voice, home: Path, stack: Stack, seconds: float, traffic: Traffic) -> Summary:
    """The journey with its faults. The stack must not be ephemeral."""
    began, plan = time.monotonic(), shop_plan(SOAK_SECONDS)
    plan = plan.model_copy(update={"approvals": ("dark_read", *plan.approvals)})
    summary = Summary(seconds=0, verdicts=[], reports=[])
    shopping = Shopping(voice, home / "shop", stack.servers, plan, traffic)
    mischief = Mischief(stack, shopping.shop, voice)
    shopping.auditor.agree_seconds = AGREE_SECONDS
    shopping.owner = lambda traveller: SoakOwner(traveller, shopping.auditor, mischief, seconds)
    try:
        with shopping.open():
            summary.add(asyncio.run(shopping.move()))
            shopping.audit("at the end")
        summary.traffic = shopping.report(mischief.windows)
    except ShopFailed as failure:
        summary.doubts.append(str(failure))
    summary.seconds = time.monotonic() - began
    voice(f"{len(mischief.done)} faults: {', '.join(sorted(set(mischief.done)))}")
    return summary


if __name__ == "__main__":
    sys.exit(run(float(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SECONDS))
