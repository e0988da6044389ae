"""Moves, side by side, from start to done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from temporalio.exceptions import TemporalError

from demo.journey import attend
from demo.owners import Owner
from demo.traveller import Approved, Stuck, Traveller
from demo.view import View
from demo.writer import TARGET
from midflight.contracts.domain import DomainReport
from midflight.core.phase import Phase
from midflight.core.plan import Plan
from midflight.errors import MidflightError
from midflight.settings import Settings
from midflight.stores import ConfiguredStores
from workflows.client import connect


@dataclass(slots=True)
class Told:
    """What came home from the journeys."""

    reports: list[DomainReport] = field(default_factory=list)
    approved: list[Approved] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def add(self, other: Told) -> None:
        """These came home too."""
        self.reports += other.reports
        self.approved += other.approved
        self.doubts += other.doubts


class Voice:
    """Says what happens, and when it happened since the beginning."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._began = time.monotonic()

    def __call__(self, line: str) -> None:
        """A line for people."""
        self.console.print(f"[dim]{time.monotonic() - self._began:5.1f} s[/dim]  {line}", highlight=False)


class Moves:
    """Starts them at once, attends each, shows all. `owner` makes the one who looks after a move."""

    def __init__(
        self, voice: Voice, settings: Settings, plans: Sequence[Plan], owner: Callable[[Traveller], Owner]
    ) -> None:
        self._voice, self._settings = voice, settings
        self._plans, self._owner = plans, owner

    async def run(self) -> Told:
        """Attend all of them; what goes wrong with one is a doubt."""
        told = Told()
        client = await connect(self._settings.temporal_address, self._settings.temporal_namespace)
        async with AsyncExitStack() as stack:
            stores = ConfiguredStores(self._settings)
            travellers = [
                Traveller(client, await stack.enter_async_context(stores.target(TARGET)), plan, self._voice)
                for plan in self._plans
            ]
            with View(travellers).live(self._voice.console):
                await asyncio.gather(*(self._attend(traveller, told) for traveller in travellers))
        told.approved = [approved for traveller in travellers for approved in traveller.approved]
        return told

    async def _attend(self, traveller: Traveller, told: Told) -> None:
        owner = self._owner(traveller)
        try:
            report = await attend(traveller, owner, self._settings.task_queue)
        except (Stuck, MidflightError, TemporalError) as error:
            told.doubts.append(f"{traveller.domain}: {error}")
            traveller.say(f"[red]{escape(str(error))}[/red]")
            return
        finally:
            owner.close()
        told.reports.append(report)
        told.doubts += _missing_history(report)


def _missing_history(report: DomainReport) -> list[str]:
    """Phases that a done move should have behind it."""
    seen = {span.phase for span in report.spans}
    missing = [phase.value for phase in Phase if phase not in seen]
    return [f"{report.domain} says nothing of {', '.join(missing)}"] if missing else []
