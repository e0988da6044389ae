"""The script from the first document to the verdict."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from pymongo import MongoClient
from rich.console import Console

from demo.check.stores import source_documents, target_state
from demo.check.verdict import Verdict, judge
from demo.domains import SHAPES
from demo.journal import Document, JournalError, Story, read
from demo.journey import attend
from demo.people import QuarantineDesk
from demo.plans import DATABASE, SCHEMA, demo_plans
from demo.seed import seed
from demo.summary import Summary
from demo.traveller import Approved, Stuck, Traveller
from demo.view import View
from demo.writer import JOURNAL, SOURCE, TARGET
from demo.writing import WriterProcess
from embedded import Servers
from midflight.contracts.domain import DomainReport
from midflight.core.phase import Phase
from midflight.errors import MidflightError
from midflight.settings import Settings, child_environment
from midflight.stores import ConfiguredStores
from workflows.client import connect

WRITES_PER_SECOND = 160.0


@dataclass(slots=True)
class Told:
    """What came home from the journeys."""

    reports: list[DomainReport] = field(default_factory=list)
    approved: list[Approved] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def play(console: Console, home: Path, servers: Servers) -> Summary:
    """Seed, write, move, check. Every doubt is in the summary."""
    began = time.monotonic()
    environment = servers.environment((SOURCE,), (TARGET,))
    if servers.temporal_ui:
        console.print(f"Temporal Web: {servers.temporal_ui}", highlight=False)
    counts = seed(servers.mongo_uri, DATABASE)
    console.print(f"{sum(counts.values()):,} documents seeded in {time.monotonic() - began:.1f} s", highlight=False)
    journals = home / "journals"
    writer = WriterProcess(
        journals, DATABASE, WRITES_PER_SECOND, child_environment(environment), home / "log" / "writer.log"
    )
    try:
        told = asyncio.run(_Moves(console, journals, servers, Settings.from_environment(environment)).run(writer))
    finally:
        stopped = writer.stop()
    if stopped != 0:
        told.doubts.append(f"the writer ended with {stopped}; see {writer.log}")
    console.print("checking every acknowledged write, by itself ...", highlight=False)
    verdicts = [_verdict(servers, journals, name) for name in SHAPES]
    return Summary(
        seconds=time.monotonic() - began,
        verdicts=verdicts,
        reports=told.reports,
        approved=told.approved,
        temporal_ui=servers.temporal_ui,
        doubts=told.doubts,
    )


class _Moves:
    """The four moves, side by side."""

    def __init__(self, console: Console, journals: Path, servers: Servers, settings: Settings) -> None:
        self._console, self._journals = console, journals
        self._servers, self._settings = servers, settings
        self._began = time.monotonic()

    async def run(self, writer: WriterProcess) -> Told:
        """Attend all of them; what goes wrong with one is a doubt."""
        client = await connect(self._settings.temporal_address, self._settings.temporal_namespace)
        told = Told()
        async with ConfiguredStores(self._settings).target(TARGET) as target:
            travellers = [Traveller(client, target, plan, self._say) for plan in demo_plans().values()]
            with MongoClient[Document](self._servers.mongo_uri) as source, View(travellers).live(console=self._console):
                await asyncio.gather(*(self._attend(traveller, source, told) for traveller in travellers))
        told.approved = [approved for traveller in travellers for approved in traveller.approved]
        if not writer.running:
            told.doubts.append(f"the writer died; see {writer.log}")
        return told

    async def _attend(self, traveller: Traveller, source: MongoClient[Document], told: Told) -> None:
        desk = QuarantineDesk(traveller, SHAPES[traveller.domain], source, self._journals)
        try:
            report = await attend(traveller, desk, self._settings.task_queue)
        except (Stuck, MidflightError) as error:
            told.doubts.append(str(error))
            traveller.say(f"[red]{error}[/red]")
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


def _verdict(servers: Servers, journals: Path, domain: str) -> Verdict:
    try:
        story = _story(journals, domain)
    except (JournalError, OSError, ValueError) as error:
        verdict = Verdict(domain)
        verdict.doubt(f"the journal cannot be read: {error}")
        return verdict
    source = source_documents(servers.mongo_uri, DATABASE, domain)
    return judge(domain, story, source, target_state(servers.postgres_dsn, SCHEMA, domain))


def _story(journals: Path, domain: str) -> Story:
    """What the writer did, and what people did."""
    story = read(journals / JOURNAL.format(domain))
    story.merge(read(journals / "people" / JOURNAL.format(domain)))
    return story
