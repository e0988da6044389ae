"""`make bench-parity`, second half: how fast documents are compared with rows, beside what nobody can do without.

    python -m benchmarks.parity [--documents N] [--runs N] [--profile FILE]

The limit is the time to read and decode every document, and then to COPY every row out, measured in the same run.
Prints a table in Markdown. Exits 0 whatever the figures are.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import psycopg

from benchmarks import servers
from benchmarks.cases import Request
from benchmarks.parity_cases import COPIED, COPY_OUT, DECODE, DIFFERING, FORMS, FULL, WATCH
from benchmarks.servers import BenchServers
from benchmarks.stopwatch import Measured
from midflight.settings import Settings

DOCUMENTS = 200_000
RUNS = 3
BATCH_SIZE = 2_000
LEAST_OF_LIMIT = 0.6
MOST_FOR_DIFFERENCES = 1.2
LEAST_FOR_WATCH = 4.0
MOST_MEMORY_MB = 200
# One key in ten thousand, as somebody writes who goes round Midflight.
TAMPER = """
update shop.purchases set status = 'tampered' where id in (
  select id from (select id, row_number() over (order by id) as place from shop.purchases) numbered
  where place % 10000 = 5000
)
"""

Figures = Mapping[str, Sequence[Measured]]


def main() -> None:
    chosen = _arguments()
    state_dir = Settings.from_environment().state_dir.resolve()
    load = os.getloadavg()[0]
    with servers.running(state_dir / "bench-parity", chosen.documents) as running:
        equal = running.fresh_database("equal")
        _run(running, COPIED, equal, chosen)
        different = running.copy_of("equal", "different")
        _tamper(different)
        figures: dict[str, list[Measured]] = {}
        for _ in range(chosen.runs):
            for case in (DECODE, FORMS, FULL, DIFFERING, WATCH):
                for one in _run(running, case, different if case == DIFFERING else equal, chosen):
                    print(f"{one.case}: {one.documents_per_second:,.0f} documents/s", file=sys.stderr)
                    figures.setdefault(one.case, []).append(one)
        if chosen.profile:
            _run(running, FULL, equal, chosen, profile=str(chosen.profile.resolve()))
    if figures:
        _show(figures, chosen, load)


def _tamper(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        # The fence lets nobody else pass while the source is in charge.
        connection.execute("select set_config('midflight.applier', 'purchases', true)")
        connection.execute(TAMPER)


def _run(running: BenchServers, case: str, dsn: str, chosen: argparse.Namespace, profile: str = "") -> list[Measured]:
    request = Request(
        case=case,
        uri=running.uri,
        dsn=dsn,
        documents=chosen.documents,
        batch_size=BATCH_SIZE,
        servers=running.pids,
        profile=profile,
    )
    command = [sys.executable, "-m", "benchmarks.parity_cases", json.dumps(asdict(request))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=servers.ROOT)
    return [Measured(**one) for one in json.loads(done.stdout)]


# --- the table ----------------------------------------------------------------------------------------------------


def _show(figures: Figures, chosen: argparse.Namespace, load: float) -> None:
    speed = {case: median(one.documents_per_second for one in runs) for case, runs in figures.items()}
    limit = 1 / (1 / speed[DECODE] + 1 / speed[COPY_OUT])
    print(f"\n{chosen.documents:,} documents, medians of {chosen.runs} runs, load before the start {load:.1f}\n")
    print("| case | documents/s, median (range) | of the limit | client µs/doc | PostgreSQL µs/doc | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    print(f"| limit: decode, then COPY out | {limit:,.0f} | 1 | | | |")
    for case, runs in figures.items():
        print(_line(case, runs, limit))
    print()
    for goal, holds in _goals(figures, speed, limit).items():
        print(f"{'holds ' if holds else 'MISSED'} {goal}")


def _line(case: str, runs: Sequence[Measured], limit: float) -> str:
    speeds = [one.documents_per_second for one in runs]
    client, target = (median(one.cpu[name] / one.documents for one in runs) * 1e6 for name in ("client", "target"))
    spread = f"{median(speeds):,.0f} ({min(speeds):,.0f} – {max(speeds):,.0f})"
    peak = max(one.peak_mb for one in runs)
    return f"| {case} | {spread} | {median(speeds) / limit:.2f} | {client:.1f} | {target:.1f} | {peak:.0f} |"


def _goals(figures: Figures, speed: Mapping[str, float], limit: float) -> dict[str, bool]:
    """By the clock; beside it by CPU, client and PostgreSQL together, which others at work disturb less."""
    cpu = {case: _cpu(runs) for case, runs in figures.items()}
    share, share_cpu = speed[FULL] / limit, (cpu[DECODE] + cpu[COPY_OUT]) / cpu[FULL]
    dearer, dearer_cpu = speed[FULL] / speed[DIFFERING], cpu[DIFFERING] / cpu[FULL]
    faster, faster_cpu = speed[WATCH] / speed[FULL], cpu[FULL] / cpu[WATCH]
    peak = max(one.peak_mb for case in (FULL, DIFFERING, WATCH) for one in figures[case])
    return {
        f"a full run has at least {LEAST_OF_LIMIT} of the limit's speed: {share:.2f}, by CPU {share_cpu:.2f}": (
            share >= LEAST_OF_LIMIT
        ),
        f"0.01 % differences cost at most {MOST_FOR_DIFFERENCES} x: {dearer:.2f}, by CPU {dearer_cpu:.2f}": (
            dearer <= MOST_FOR_DIFFERENCES
        ),
        f"a watch run is at least {LEAST_FOR_WATCH:g} x as fast: {faster:.1f}, by CPU {faster_cpu:.1f}": (
            faster >= LEAST_FOR_WATCH
        ),
        f"less than {MOST_MEMORY_MB} MB of memory: {peak:.0f}": peak < MOST_MEMORY_MB,
    }


def _cpu(runs: Sequence[Measured]) -> float:
    return median((one.cpu["client"] + one.cpu["target"]) / one.documents for one in runs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--profile", type=Path, metavar="FILE", help="also write a profile of one more full run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
