"""The four moves, side by side, from start to done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pymongo import MongoClient
from rich.console import Console
from rich.markup import escape
from temporalio.exceptions import TemporalError

from demo.domains.shape import Shape
from demo.journal import Document
from demo.journey import attend
from demo.people import QuarantineDesk
from demo.plans import demo_plans
from demo.traveller import Approved, Stuck, Traveller
from demo.view import View
from demo.writer import SOURCE, TARGET
from midflight.contracts.domain import DomainReport
from midflight.core.phase import Phase
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


class Moves:
    """Starts them at once, attends each, shows all."""

    def __init__(self, console: Console, settings: Settings, shapes: Mapping[str, Shape], journals: Path) -> None:
        self._console, self._settings = console, settings
        self._shapes, self._journals = shapes, journals
        self._began = time.monotonic()

    async def run(self) -> Told:
        """Attend all of them; what goes wrong with one is a doubt."""
        told = Told()
        client = await connect(self._settings.temporal_address, self._settings.temporal_namespace)
        uri = self._settings.source(SOURCE).get_secret_value()
        async with AsyncExitStack() as stack:
            stores = ConfiguredStores(self._settings)
            travellers = [
                Traveller(client, await stack.enter_async_context(stores.target(TARGET)), plan, self._say)
                for plan in demo_plans(self._shapes).values()
            ]
            with MongoClient[Document](uri) as source, View(travellers).live(self._console):
                await asyncio.gather(*(self._attend(traveller, source, told) for traveller in travellers))
        told.approved = [approved for traveller in travellers for approved in traveller.approved]
        return told

    async def _attend(self, traveller: Traveller, source: MongoClient[Document], told: Told) -> None:
        desk = QuarantineDesk(traveller, self._shapes[traveller.domain], source, self._journals)
        try:
            report = await attend(traveller, desk, self._settings.task_queue)
        except (Stuck, MidflightError, TemporalError) as error:
            told.doubts.append(f"{traveller.domain}: {error}")
            traveller.say(f"[red]{escape(str(error))}[/red]")
            return
        finally:
            desk.close()
        told.reports.append(report)
        told.doubts += _missing_history(report)

    def _say(self, line: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._began:5.1f} s[/dim]  {line}", highlight=False)


def _missing_history(report: DomainReport) -> list[str]:
    """Phases that a done move should have behind it."""
    seen = {span.phase for span in report.spans}
    missing = [phase.value for phase in Phase if phase not in seen]
    return [f"{report.domain} says nothing of {', '.join(missing)}"] if missing else []
