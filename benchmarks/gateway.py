"""`make bench-gateway`: what the application's library adds to a read and to a write, in each stage.

    python -m benchmarks.gateway [--rounds N] [--calls N]

One caller, one call at a time. In each round and stage a call through the library and the same call through the plain
driver take turns, so that whatever disturbs the machine meets both. Exits 0 whatever the figures are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.gateway_case import ACCOUNTS, STAGES, Bench, Stage, opened
from embedded import mongo, postgres
from embedded.ports import Ports
from embedded.supervisor import Supervisor
from midflight.settings import Settings

ROUNDS = 5
CALLS = 400
WARM_UP = 40
KINDS = ("write", "read")
Call = Callable[[str], Awaitable[Any]]
Sample = dict[str, list[float]]


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--calls", type=int, default=CALLS, help="of each kind, in each round and stage")
    chosen = parser.parse_args()
    state_dir = Settings.from_environment().state_dir.resolve()
    load = round(os.getloadavg()[0], 1)
    with _servers(state_dir / "bench-gateway") as (uri, dsn):
        rounds = asyncio.run(_measure(uri, dsn, chosen.rounds, chosen.calls))
    lines = [_line(stage, kind, rounds) for stage in STAGES for kind in KINDS]
    print(_table(lines))
    print(f"\nMilliseconds, medians of {chosen.rounds} rounds of {chosen.calls} calls; load before the start {load}.")
    _write(state_dir / "bench-gateway.json", lines, {"rounds": chosen.rounds, "calls": chosen.calls, "load": load})


@contextmanager
def _servers(state_dir: Path) -> Iterator[tuple[str, str]]:
    """Both stores with their durable defaults; their data is gone afterwards."""
    shutil.rmtree(state_dir, ignore_errors=True)
    state_dir.mkdir(parents=True)
    supervisor, ports = Supervisor(state_dir), Ports().filled()
    try:
        source = supervisor.launch(mongo.service(ports.mongo, state_dir / "mongo", ephemeral=False))
        target = supervisor.launch(postgres.service(ports.postgres, state_dir, ephemeral=False))
        target.wait_ready()
        source.wait_ready()
        yield mongo.address(ports.mongo), postgres.address(ports.postgres)
    finally:
        supervisor.stop_services()
        postgres.forget(state_dir)
        supervisor.close()
        shutil.rmtree(state_dir, ignore_errors=True)


async def _measure(uri: str, dsn: str, rounds: int, calls: int) -> list[dict[tuple[str, str], Sample]]:
    async with opened(uri, dsn) as bench:
        return [await _round(bench, number, calls) for number in range(rounds)]


async def _round(bench: Bench, number: int, calls: int) -> dict[tuple[str, str], Sample]:
    found: dict[tuple[str, str], Sample] = {}
    await bench.begin()
    for stage in STAGES:
        await bench.go(stage)
        for kind in KINDS:
            both = _both(bench, stage, kind)
            await _alternate(both, WARM_UP, number)
            found[stage.title, kind] = await _alternate(both, calls, number)
    return found


def _both(bench: Bench, stage: Stage, kind: str) -> dict[str, Call]:
    side = stage.side if kind == "write" else stage.reads_side
    return {"plain": bench.plain.plain(side, kind), "library": getattr(bench.moved, kind)}


async def _alternate(both: dict[str, Call], calls: int, seed: int) -> Sample:
    """Each call's seconds; who begins alternates too."""
    taken: Sample = {name: [] for name in both}
    order = list(both.items())
    for number in range(calls):
        account = f"account-{(number * 7919 + seed * 104729) % ACCOUNTS:05}"
        for name, call in order if number % 2 else reversed(order):
            began = time.perf_counter()
            await call(account)
            taken[name].append(time.perf_counter() - began)
    return taken


def _line(stage: Stage, kind: str, rounds: list[dict[tuple[str, str], Sample]]) -> dict[str, Any]:
    samples = [each[stage.title, kind] for each in rounds]
    figures = {
        f"{name}_{label}": round(median(_at(sample[name], percent) for sample in samples) * 1e3, 3)
        for name in ("plain", "library")
        for label, percent in (("p50", 50), ("p95", 95))
    }
    # Paired by round: a slow round is slow for both.
    added = median(_at(sample["library"], 50) - _at(sample["plain"], 50) for sample in samples)
    return {"stage": stage.title, "kind": kind, **figures, "added_p50": round(added * 1e3, 3)}


def _at(seconds: list[float], percent: int) -> float:
    return quantiles(seconds, n=100, method="inclusive")[percent - 1]


def _table(lines: list[dict[str, Any]]) -> str:
    head = "| stage | call | driver p50 | library p50 | added | driver p95 | library p95 |"
    rule = "|---|---|--:|--:|--:|--:|--:|"
    columns = ("plain_p50", "library_p50", "added_p50", "plain_p95", "library_p95")
    rows = (
        f"| {line['stage']} | {line['kind']} | " + " | ".join(f"{line[name]:.2f}" for name in columns) + " |"
        for line in lines
    )
    return "\n".join([head, rule, *rows])


def _write(path: Path, lines: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    machine = {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()}
    content = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, **facts, "lines": lines}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
