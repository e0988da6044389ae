"""The script from the first document to the verdict."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from rich.console import Console

from demo.check.run import Place, check
from demo.domains import scaled
from demo.moves import Moves
from demo.plans import DATABASE, SCHEMA
from demo.seed import seed
from demo.summary import Summary
from demo.writer import SOURCE, TARGET
from demo.writing import Pace, WriterProcess
from embedded import Servers
from midflight.settings import Settings, child_environment


def play(console: Console, home: Path, servers: Servers, pace: Pace = Pace()) -> Summary:  # noqa: B008 - immutable
    """Seed, write, move, check. Every doubt is in the summary."""
    began, shapes, journals = time.monotonic(), scaled(pace.share), home / "journals"
    if servers.temporal_ui:
        console.print(f"Temporal Web: {servers.temporal_ui}", highlight=False)
    seeded = sum(seed(servers.mongo_uri, DATABASE, shapes.values()).values())
    console.print(f"{seeded:,} documents seeded in {time.monotonic() - began:.1f} s", highlight=False)
    ours = servers.environment((SOURCE,), (TARGET,))
    with WriterProcess(journals, DATABASE, pace, child_environment(ours), home / "log" / "writer.log") as writer:
        told = asyncio.run(Moves(console, Settings.from_environment(ours), shapes, journals).run())
    console.print("checking every acknowledged write, by itself ...", highlight=False)
    place = Place(servers.mongo_uri, DATABASE, servers.postgres_dsn, SCHEMA, journals)
    return Summary(
        verdicts=[check(place, domain) for domain in shapes],
        seconds=time.monotonic() - began,
        reports=told.reports,
        approved=told.approved,
        temporal_ui=servers.temporal_ui,
        doubts=[*told.doubts, *writer.doubts],
    )
