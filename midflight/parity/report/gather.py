"""The report of a run that is kept in a store, also of one that has not ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from midflight.parity.ports import RunStore
from midflight.parity.records import Mismatch
from midflight.parity.report.model import RUNS, Asked, Builder, Report

_PAGE = 1_000


async def gather(store: RunStore, domain: str, run: str, asked: Asked, *, entities: Sequence[str] = ()) -> Report:
    """The report. `entities` are those of the plan: of a run that has not ended, their ranges tell how far it is.

    RunUnknown.
    """
    record = await store.record(domain, run)
    builder = Builder(record, asked)
    if record.finished_at is None:
        for entity in entities:
            builder.walk(entity, await store.progress(domain, run, entity))
    async for page in pages(store, domain, run):
        builder.add(page)
    return builder.report(await store.history(domain, RUNS))


async def pages(store: RunStore, domain: str, run: str) -> AsyncIterator[list[Mismatch]]:
    """All mismatches of a run, page by page, in order of entity and key."""
    after: tuple[str, bytes] | None = None
    while page := await store.mismatches(domain, run, after=after, at_most=_PAGE):
        yield page
        after = (page[-1].entity, page[-1].key)
