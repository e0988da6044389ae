"""Four domains move at once, while a writer without the library keeps writing to all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from pymongo import MongoClient

from demo.check.run import Place, check
from demo.check.verdict import Verdict
from demo.domains import scaled
from demo.journal import Document
from demo.moves import Moves, Told, Voice
from demo.owners import DomainOwner
from demo.people import QuarantineDesk
from demo.plans import DATABASE, SCHEMA, demo_plans
from demo.seed import seed
from demo.traveller import Traveller
from demo.writer import SOURCE, TARGET
from demo.writing import Pace, WriterProcess
from embedded import Servers
from midflight.settings import Settings, child_environment


class FourMoves:
    """Seeds, moves, checks."""

    def __init__(self, voice: Voice, home: Path, servers: Servers, pace: Pace) -> None:
        self._voice, self._home, self._servers, self._pace = voice, home, servers, pace
        self._shapes = scaled(pace.share)
        self._place = Place(servers.mongo_uri, DATABASE, servers.postgres_dsn, SCHEMA, home / "journals")
        self._owners: dict[str, DomainOwner] = {}

    def run(self) -> Told:
        """From the first document to the end of all four moves."""
        counts = seed(self._servers.mongo_uri, DATABASE, self._shapes.values())
        self._voice(f"{sum(counts.values()):,} documents seeded in four domains")
        ours = self._servers.environment((SOURCE,), (TARGET,))
        plans = list(demo_plans(self._shapes).values())
        with (
            MongoClient[Document](self._servers.mongo_uri) as source,
            self._writing(ours) as writer,
        ):
            moves = Moves(
                self._voice, Settings.from_environment(ours), plans, lambda traveller: self._owner(traveller, source)
            )
            told = asyncio.run(moves.run())
        told.doubts += writer.doubts
        return told

    def verdicts(self) -> list[Verdict]:
        """As the owners found before they approved the end; what never came so far is checked now."""
        return [self._verdict(domain) for domain in self._shapes]

    def _verdict(self, domain: str) -> Verdict:
        owner = self._owners.get(domain)
        return (owner and owner.verdict) or check(self._place, domain)

    def _owner(self, traveller: Traveller, source: MongoClient[Document]) -> DomainOwner:
        desk = QuarantineDesk(traveller, self._shapes[traveller.domain], source, self._place.journals)
        owner = self._owners[traveller.domain] = DomainOwner(traveller, desk, self._place)
        return owner

    def _writing(self, ours: Mapping[str, str]) -> WriterProcess:
        log = self._home / "log" / "writer.log"
        return WriterProcess(self._place.journals, DATABASE, self._pace, child_environment(ours), log)
