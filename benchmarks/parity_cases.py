"""The cases of `benchmarks.parity`, each in a process of its own: `python -m benchmarks.parity_cases JSON`.

Prints one line of JSON: a list of `Measured`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Literal

import bson
import psycopg
from psycopg import sql

from benchmarks.cases import DATES_WITH_ZONE, Bench, Request, backfill, profiled
from benchmarks.parity_tables_reladiff import peak_mb
from midflight import collector
from midflight.core.documents import split
from midflight.core.mapping import mapper_for
from midflight.core.tables import tables
from midflight.parity.compare import compare
from midflight.parity.forms.source_form import SourceForm
from midflight.parity.forms.target_form import TargetForm
from midflight.parity.harness import Parity
from midflight.parity.policy import Policy
from midflight.parity.records import Entry, Verdict
from midflight.parity.rules import Rules
from midflight.parity.source_side import SourceSide
from midflight.parity.target_side import TargetSide
from midflight.postgres.connection import open_runs
from midflight.sync import Bridge

COPIED, DECODE, COPY_OUT = "copied", "decode", "COPY out"
FORMS, FULL, DIFFERING, WATCH = "forms", "full run", "full run, 0.01 % differ", "watch run"
AT_ONCE = 20_000
"""Documents that are held in memory where the forms alone are measured."""


class NothingIsLate:
    """Nobody writes: the target has everything."""

    async def passed(self, within_seconds: float) -> bool:
        return within_seconds > 0


async def limit(bench: Bench) -> None:
    """What no comparison can do without: every document read and decoded, every row out of PostgreSQL as bytes."""
    documents = 0
    with bench.stopwatch.running(DECODE, bench.request.documents):
        async for block in bench.blocks():
            documents += len(bson.decode_all(block, DATES_WITH_ZONE))
    bench.check(documents)
    schema = bench.plan.target.schema_
    with psycopg.connect(bench.request.dsn) as connection, bench.stopwatch.running(COPY_OUT, documents):
        for table in tables(bench.collection):
            order = sql.SQL(", ").join(map(sql.Identifier, table.primary_key))
            query = sql.SQL("copy (select * from {} order by {}) to stdout (format binary)")
            with connection.cursor().copy(query.format(sql.Identifier(schema, table.name), order)) as copy:
                for _ in copy:
                    pass


async def forms(bench: Bench) -> None:
    """Documents and rows in memory: read as entries on both sides, and compared. No server takes part."""
    raws = [raw async for block in bench.blocks() for raw in split(block)][:AT_ONCE]
    source, target, rules = SourceForm(bench.collection), TargetForm(bench.collection), Rules()
    entries = list(map(source.entry, raws))
    async with _bridge(bench) as bridge:
        mapper = mapper_for(bench.collection)
        row_keys = [mapper.row_key(entry.key) for entry in entries]
        found = await bridge.target.rows.rows_of(bench.plan.target.schema_, bench.collection, row_keys)
    rows = [found[row_key] for row_key in row_keys]
    del entries
    gc.freeze()
    with bench.stopwatch.running(FORMS, len(raws)):
        differing = sum(
            _differs(source.entry(raw), target, of_one, rules) for raw, of_one in zip(raws, rows, strict=True)
        )
    if differing:
        raise SystemExit(f"{differing} documents differ that should be equal.")


def _differs(source: Entry, target: TargetForm, rows: Sequence[Sequence[tuple[object, ...]]], rules: Rules) -> bool:
    return bool(compare(source, Entry(source.key, target.fields(rows)), rules).differences)


async def full(bench: Bench) -> None:
    """A whole gate run over both stores, everything of it: reading, comparing, the walk over keys, commits."""
    await _run(bench, "gate", FULL, Verdict.PASS)


async def differing(bench: Bench) -> None:
    """The same where 0.01 % of the keys differ, scattered."""
    await _run(bench, "gate", DIFFERING, Verdict.FAIL)


async def watch(bench: Bench) -> None:
    """A watch run after a gate run of the same stores, nothing written meanwhile."""
    await _run(bench, "watch", WATCH, Verdict.PASS)


async def _run(bench: Bench, mode: Literal["gate", "watch"], case: str, expected: Verdict) -> None:
    async with _bridge(bench) as bridge, open_runs(bench.request.dsn) as store:
        name = bench.collection.collection
        parity = Parity(
            SourceSide(bridge.source, bench.plan),
            TargetSide(bridge.target, bench.plan),
            NothingIsLate(),
            store,
            {name: Rules.of(bench.plan, name)},
            domain=bench.plan.domain,
            entities=[name],
            # The replay server knows one range only: all.
            policy=Policy(batch_size=bench.request.batch_size, range_size=sys.maxsize),
        )
        number = len(await store.history(bench.plan.domain, 1_000))
        with bench.stopwatch.running(case, bench.request.documents), profiled(bench.request.profile):
            record = await parity.run(f"{mode}-{number}", mode, ("full",), frozen=True)
    (counts,) = record.entities
    bench.check(counts.source)
    wanted = bench.request.documents // 10_000 if expected is Verdict.FAIL else 0
    skipped = bench.request.documents if mode == "watch" else 0
    if (record.verdict, counts.settled, counts.skipped) != (expected, wanted, skipped):
        raise SystemExit(f"{case}: {record.verdict}, {counts}")


@asynccontextmanager
async def _bridge(bench: Bench) -> AsyncIterator[Bridge]:
    place, plan = bench.plan.source, bench.plan
    async with (
        bench.stores.source(place.store, place.database) as source,
        bench.stores.target(plan.target.store) as target,
    ):
        yield Bridge(source, target, plan)


CASES = {COPIED: backfill, DECODE: limit, FORMS: forms, FULL: full, DIFFERING: differing, WATCH: watch}
"""By the name that a request gives; DECODE measures COPY_OUT as well."""


def main() -> None:
    """Run the case that the argument describes."""
    request = Request(**json.loads(sys.argv[1]))
    collector.relax()  # as the worker does
    bench = Bench(request)
    asyncio.run(CASES[request.case](bench))
    # Read again: what getrusage says begins with the memory of the process that started this one.
    print(json.dumps([asdict(one) | {"peak_mb": peak_mb()} for one in bench.stopwatch.measured]))


if __name__ == "__main__":
    main()
