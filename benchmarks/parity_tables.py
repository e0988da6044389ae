"""`make bench-parity`, first half: two tables of PostgreSQL compared by us and by reladiff, side by side.

    python -m benchmarks.parity_tables [--rows N] [--runs N]

reladiff is installed into a virtual environment of its own for the time of the run. Both compare the same tables in
two databases of one server, taking turns, each time in a process of its own; its start is not counted. Prints a table
in Markdown. Exits 0 whatever the figures are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psycopg

from benchmarks.parity_tables_reladiff import peak_mb
from benchmarks.servers import ROOT, postgres_alone
from midflight.core.keys import key_value
from midflight.parity.tables.run import compare_tables
from midflight.parity.tables.shapes import Shape
from midflight.postgres.table_side import TableSide
from midflight.settings import Settings

ROWS = 1_000_000
RUNS = 3
RELADIFF = "reladiff[postgresql]==0.6.0"
RELADIFF_CASE = Path(__file__).with_name("parity_tables_reladiff.py")
IDENTICAL, DIFFERING = "identical", "100 differences"
OURS, PORTABLE, THEIRS, THEIRS_TWO = "Midflight", "Midflight, portable hash", "reladiff", "reladiff, two threads"
LEAST_RATIO = 5.0

COLUMNS = (
    "id int8 primary key, user_id int8, amount numeric(18,4), score float8, created_at timestamptz, email text,"
    " active bool, meta jsonb"
)
FILL = """
insert into items
select g, g::int8 * 7919 %% 100003, (g * 31 %% 10000000)::numeric / 10000 + g %% 1000, g::float8 / 7,
  timestamptz '2024-01-01 00:00:00+00' + g * interval '1.000003 seconds',
  case when g %% 50 = 0 then null else 'user' || g || '@example.org' end, g %% 3 = 0,
  jsonb_build_object('plan', 'p' || g %% 5, 'limits', jsonb_build_object('day', g %% 100, 'month', g %% 1000),
    'tags', jsonb_build_array('a' || g %% 7, 'b'), 'score', g %% 11)
from generate_series(1, %(rows)s) g
"""
# One hundred rows, spread over all keys: 20 amounts, 20 instants, 10 inside JSON, 5 NULLs, 5 blanks, 20 deleted, and
# 20 new ones.
PLACES = """
with places as (
  select k, 1 + k * (%(rows)s / 100) + k * 37 %% (%(rows)s / 100 - 1) as id from generate_series(0, 79) k
)
"""
SEED = f"""
{PLACES} update items set
  amount = case when k < 20 then amount + 0.0001 else amount end,
  created_at = case when k between 20 and 39 then created_at + interval '1 microsecond' else created_at end,
  meta = case when k between 40 and 49 then jsonb_set(meta, '{{limits,day}}', '101') else meta end,
  score = case when k between 50 and 54 then null else score end,
  email = case when k between 55 and 59 then coalesce(email, '') || ' ' else email end
from places where items.id = places.id and k < 60
"""
REMOVE = f"{PLACES} delete from items using places where items.id = places.id and k >= 60"
ADD = """
insert into items select %(rows)s + 1 + k, k, 1, 1, '2024-01-01', 'new', true, '{}' from generate_series(1, 20) k
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison; addresses of the two databases."""

    tool: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Result:
    """`found` is the number of keys that differ; `error` is why there is no figure."""

    seconds: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    found: int = 0
    error: str = ""


class OtherVersion(TableSide):
    """As if its server had another version, so that both sides must use the portable hash."""

    async def shape(self, entity: str) -> Shape:
        shape = await super().shape(entity)
        return Shape(shape.key, shape.kinds, shape.rows, shape.span, "another")


def main() -> None:
    chosen = _arguments()
    if chosen.case:
        print(json.dumps(asdict(asyncio.run(_ours(Case(**json.loads(chosen.case)))))))
        return
    state_dir = Settings.from_environment().state_dir.resolve()
    load = os.getloadavg()[0]
    with _reladiff() as python, postgres_alone(state_dir / "bench-parity-tables") as server:
        source, same, other = (server.fresh_database(name) for name in ("source", "same", "other"))
        for dsn in (source, same, other):
            _fill(dsn, chosen.rows, differing=dsn == other)
        targets = {IDENTICAL: same, DIFFERING: other}
        results = _runs(python, source, targets, chosen.runs)
    _show(results, chosen, load)


# --- the tables ---------------------------------------------------------------------------------------------------


def _fill(dsn: str, rows: int, *, differing: bool) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"create table items ({COLUMNS})".encode())
        for statement in (FILL, *((SEED, REMOVE, ADD) if differing else ())):
            connection.execute(statement.encode(), {"rows": rows})
        connection.execute("vacuum (analyze) items")
        connection.execute("checkpoint")


# --- the cases ----------------------------------------------------------------------------------------------------


def _runs(python: Path, source: str, targets: dict[str, str], runs: int) -> dict[tuple[str, str], list[Result]]:
    """All cases in turn, then again: what disturbs the machine for a while disturbs them all."""
    results: dict[tuple[str, str], list[Result]] = {}
    for _ in range(runs):
        for name, target in targets.items():
            for tool in (OURS, PORTABLE, THEIRS, THEIRS_TWO):
                result = _in_a_process(python, Case(tool, source, target))
                print(f"{name}, {tool}: {result.error or f'{result.seconds:.2f} s'}", file=sys.stderr)
                results.setdefault((name, tool), []).append(result)
    return results


def _in_a_process(python: Path, case: Case) -> Result:
    if case.tool in (OURS, PORTABLE):
        command = [sys.executable, "-m", "benchmarks.parity_tables", "--case", json.dumps(asdict(case))]
    else:
        threads = "1" if case.tool == THEIRS else "2"
        command = [str(python), str(RELADIFF_CASE), case.source, case.target, threads]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode != 0:
        return Result(error=(done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return Result(**json.loads(done.stdout.strip().splitlines()[-1]))


async def _ours(case: Case) -> Result:
    kind = OtherVersion if case.tool == PORTABLE else TableSide
    began = time.perf_counter()
    async with TableSide(case.source, "items") as source, kind(case.target, "items") as target:
        compared = await compare_tables(source, target, "items")
    found = {key_value(one.key) for one in compared.mismatches}
    seconds = time.perf_counter() - began
    return Result(seconds, time.process_time(), peak_mb(), len(found))


@contextmanager
def _reladiff() -> Iterator[Path]:
    """The Python of a virtual environment that has it."""
    with tempfile.TemporaryDirectory(prefix="reladiff-") as home:
        venv.create(home, with_pip=True)
        python = Path(home) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", RELADIFF], check=True)
        yield python


# --- the table ----------------------------------------------------------------------------------------------------


def _show(results: dict[tuple[str, str], list[Result]], chosen: argparse.Namespace, load: float) -> None:
    print(f"\n{chosen.rows:,} rows, medians of {chosen.runs} runs, load before the start {load:.1f}\n")
    print("| tables | tool | seconds, median (range) | client CPU s | peak MB | found | reladiff / this |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for (name, tool), runs in results.items():
        print(_line(name, tool, runs, results[(name, THEIRS)]))
    ours, theirs = (_median(results[(DIFFERING, tool)]) for tool in (OURS, THEIRS))
    if ours and theirs:
        holds = "holds" if theirs / ours >= LEAST_RATIO else "MISSED"
        print(f"\n{holds}: at least {LEAST_RATIO:g} x as fast as reladiff with 100 differences ({theirs / ours:.1f} x)")


def _line(name: str, tool: str, runs: Sequence[Result], reference: Sequence[Result]) -> str:
    seconds = [one.seconds for one in runs if not one.error]
    if not seconds:
        return f"| {name} | {tool} | {runs[0].error} | | | | |"
    theirs = _median(reference)
    ratio = f"{theirs / median(seconds):.1f}" if theirs else ""
    found = "/".join(sorted({str(one.found) for one in runs if not one.error}))
    cpu, peak = median(one.cpu for one in runs), max(one.peak_mb for one in runs)
    spread = f"{median(seconds):.2f} ({min(seconds):.2f} – {max(seconds):.2f})"
    return f"| {name} | {tool} | {spread} | {cpu:.1f} | {peak:.0f} | {found} | {ratio} |"


def _median(runs: Sequence[Result]) -> float:
    seconds = [one.seconds for one in runs if not one.error]
    return median(seconds) if seconds else 0.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity_tables", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--case", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
