"""The report of a run that is kept in a store, also of one that has not ended."""

from __future__ import annotations

from collections.abc import Sequence

from midflight.parity.ports import RunStore
from midflight.parity.report.model import RUNS, Asked, Builder, Report
from midflight.parity.suspects import pages_of

PAGE = 1_000
"""How many mismatches are in memory at once."""


async def gather(store: RunStore, domain: str, run: str, asked: Asked, *, entities: Sequence[str] = ()) -> Report:
    """The report. `entities` are those of the plan: of a run that has not ended, their ranges tell how far it is.

    RunUnknown.
    """
    record = await store.record(domain, run)
    builder = Builder(record, asked)
    if record.finished_at is None:
        for entity in entities:
            builder.walk(entity, await store.progress(domain, run, entity))
    async for page in pages_of(store, domain, run, (), PAGE):
        builder.add(page)
    return builder.report(await store.history(domain, RUNS))
