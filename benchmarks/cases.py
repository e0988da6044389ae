"""The cases, each in a process of its own, so that one's memory is not another's: `python -m benchmarks.cases JSON`.

Prints one line of JSON: a list of `Measured`.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import bson
from bson.codec_options import CodecOptions
from temporalio.testing import ActivityEnvironment

from activities.backfill import BackfillActivities
from activities.prepare import PrepareActivities
from benchmarks.plain_copy import PlainCopy, mapped_only
from benchmarks.profile_text import InlineExecutor, write_profile
from benchmarks.stopwatch import Stopwatch
from midflight import collector
from midflight.contracts.backfill import CopyPartition
from midflight.contracts.base import DomainRef
from midflight.contracts.prepare import PrepareRequest
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Mapped
from midflight.core.plan import Plan
from midflight.core.plan_file import load_plan
from midflight.postgres.session import open_session
from midflight.records import KeyRange
from midflight.settings import Settings, store_variable
from midflight.stores import ConfiguredStores
from midflight.sync import map_block

PLAN_FILE = Path(__file__).with_name("plan.yaml")
DECODE, BACKFILL, COPY_ROWS, COPY_BYTES = "raw decode", "backfill", "COPY of rows", "COPY of bytes"
DATES_WITH_ZONE: CodecOptions[dict[str, object]] = CodecOptions(tz_aware=True)


@dataclass(frozen=True, slots=True)
class Request:
    """Which case, on which servers (process ids by name). `dsn` names a database of the case's own, empty."""

    case: str
    uri: str
    dsn: str
    documents: int
    batch_size: int
    servers: dict[str, int]
    profile: str = ""


class Bench:
    """What every case needs: the plan, the stores, and a stopwatch."""

    def __init__(self, request: Request) -> None:
        self.request = request
        plan = load_plan(PLAN_FILE.read_text(encoding="utf-8"))
        pacing = plan.pacing.model_copy(update={"batch_size": request.batch_size})
        self.plan = plan.model_copy(update={"pacing": pacing})
        self.collection = plan.collections[0]
        self.stores = ConfiguredStores(_settings(request, plan))
        self.stopwatch = Stopwatch(request.servers)

    async def blocks(self) -> AsyncIterator[bytes]:
        """The whole collection, as the backfill reads it."""
        place = self.plan.source
        async with self.stores.source(place.store, place.database) as source:
            name, size = self.collection.collection, self.request.batch_size
            async for block in source.reader.read_range(name, KeyRange(), above=None, batch_size=size):
                yield block

    async def install(self) -> str:
        """The ledger and the target's tables, as `prepare` makes them; returns the plan's fingerprint."""
        return await ActivityEnvironment().run(PrepareActivities(self.stores).install, PrepareRequest(plan=self.plan))

    def check(self, documents: int) -> None:
        """A figure about other work than was asked for is no figure."""
        if documents != self.request.documents:
            raise SystemExit(f"{self.request.case}: {documents} documents instead of {self.request.documents}.")


async def raw_decode(bench: Bench) -> None:
    """Read all blocks and decode them with the driver's own decoder; nothing is kept."""
    documents = 0
    with bench.stopwatch.running(DECODE, bench.request.documents):
        async for block in bench.blocks():
            documents += len(bson.decode_all(block, DATES_WITH_ZONE))
    bench.check(documents)


async def backfill(bench: Bench) -> None:
    """The real activity on the real stores: one partition over all keys."""
    ref = DomainRef.of(bench.plan, await bench.install())
    name = bench.collection.collection
    async with bench.stores.target(ref.target_store) as target:
        await target.ledger.put_partitions(ref.domain, name, [KeyRange()])
        (partition,) = await target.ledger.partitions(ref.domain, name)
    request = CopyPartition(ref=ref, collection=name, partition=partition.number, pacing=bench.plan.pacing)
    with bench.stopwatch.running(BACKFILL, bench.request.documents), profiled(bench.request.profile):
        copied = await ActivityEnvironment().run(BackfillActivities(bench.stores).copy_partition, request)
    bench.check(copied.written)


async def plain_copy(bench: Bench) -> None:
    """The same rows, mapped beforehand: as tuples, then as the bytes of COPY itself."""
    await bench.install()
    batches = await _mapped_batches(bench)
    bench.check(sum(map(len, batches)))
    async with open_session(bench.request.dsn) as session:
        copy = PlainCopy(session, bench.plan.target.schema_, bench.collection)
        await copy.look_up_types()
        with bench.stopwatch.running(COPY_ROWS, bench.request.documents):
            await copy.send_rows(batches)
        contents = await copy.fetch_bytes()
        await copy.start_over()
        with bench.stopwatch.running(COPY_BYTES, bench.request.documents):
            await copy.send_bytes(contents)


CASES = {DECODE: raw_decode, BACKFILL: backfill, COPY_ROWS: plain_copy}
"""By the name that a request gives; the last measures COPY_BYTES as well."""


async def _mapped_batches(bench: Bench) -> list[list[Mapped]]:
    mapper = mapper_for(bench.collection)
    batches = [mapped_only(map_block(mapper, block)) async for block in bench.blocks()]
    gc.freeze()  # a million tuples that stay: no reason to look through them again and again
    return batches


@contextmanager
def profiled(path: str) -> Iterator[None]:
    """Write a profile of the body, everything of which then runs in one thread; nothing where there is no path."""
    if not path:
        yield
        return
    asyncio.get_running_loop().set_default_executor(InlineExecutor())
    profiler = cProfile.Profile()
    profiler.enable()
    yield
    profiler.disable()
    write_profile(profiler, Path(path))


def _settings(request: Request, plan: Plan) -> Settings:
    return Settings.from_environment(
        {store_variable(plan.source.store): request.uri, store_variable(plan.target.store): request.dsn}
    )


def main() -> None:
    """Run the case that the argument describes."""
    request = Request(**json.loads(sys.argv[1]))
    collector.relax()  # as the worker does
    bench = Bench(request)
    asyncio.run(CASES[request.case](bench))
    print(json.dumps([asdict(one) for one in bench.stopwatch.measured]))


if __name__ == "__main__":
    main()
