"""`make bench`: how many documents a second one worker process backfills, beside the limits of its parts.

    python -m benchmarks.backfill [--documents N] [--runs N] [--batch-size N] [--profile FILE]

Exits 0 whatever the figures are: it measures, it does not judge a shared machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks import report, servers
from benchmarks.cases import BACKFILL, CASES, Request
from benchmarks.servers import BenchServers
from benchmarks.stopwatch import Measured
from midflight.settings import Settings

DOCUMENTS = 300_000
RUNS = 3
BATCH_SIZE = 2_000
BUSY = 0.5
"""Load average of the minute before; others at work slow the wall clock, CPU a document much less."""


def main() -> None:
    """Measure, show, write."""
    chosen = _arguments()
    console = Console()
    state_dir = Settings.from_environment().state_dir.resolve()
    load = round(os.getloadavg()[0], 1)
    with servers.running(state_dir / "bench", chosen.documents) as running:
        facts = {
            "documents": chosen.documents,
            "batch_size": chosen.batch_size,
            "load_before": load,
            "target_settings": running.target_settings(),
        }
        measured = _runs(console, running, chosen)
        if chosen.profile:
            _run(_request(running, BACKFILL, chosen, profile=str(chosen.profile.resolve())))
    lines = report.summary(measured)
    title = f"{chosen.documents:,} documents, batches of {chosen.batch_size:,}, medians of {chosen.runs}"
    report.show(console, lines, title)
    if load > BUSY:
        console.print(f"[yellow]The machine was not free (load {load} before the start): trust µs/doc, not docs/s.[/]")
    report.write(state_dir / "bench.json", lines, measured, facts)


def _runs(console: Console, running: BenchServers, chosen: argparse.Namespace) -> list[Measured]:
    """All cases in turn, then again: what disturbs the machine for a while disturbs them all."""
    measured: list[Measured] = []
    for number in range(1, chosen.runs + 1):
        for case in CASES:
            with console.status(f"run {number} of {chosen.runs}: {case}"):
                measured += _run(_request(running, case, chosen))
    return measured


def _request(running: BenchServers, case: str, chosen: argparse.Namespace, profile: str = "") -> Request:
    return Request(
        case=case,
        uri=running.uri,
        dsn=running.fresh_database("bench"),
        documents=chosen.documents,
        batch_size=chosen.batch_size,
        servers=running.pids,
        profile=profile,
    )


def _run(request: Request) -> list[Measured]:
    command = [sys.executable, "-m", "benchmarks.cases", json.dumps(asdict(request))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=servers.ROOT)
    return [Measured(**one) for one in json.loads(done.stdout)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backfill", description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE)
    parser.add_argument("--profile", type=Path, metavar="FILE", help="also write a profile of one more backfill")
    return parser.parse_args()


if __name__ == "__main__":
    main()
