"""Parity: every document of the source against the document rebuilt from the target's rows, and every row's key back.

A range's place and its suspects commit together. A difference is only a suspect until the tail has passed it; what
still differs then is repaired through the door, and what differs even after that is a settled mismatch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from temporalio import activity

from activities.opened import opened
from activities.slices import Progress, beating, stop_if_worker_stops, until_paused
from midflight.comparing import compare_block, compare_keys, extra_keys
from midflight.contracts.parity import (
    BeginParity,
    Compared,
    CompareRange,
    FinishParity,
    ParityBegun,
    Recheck,
    Rechecked,
)
from midflight.core.documents import last_key
from midflight.ports import Stores
from midflight.records import KeyRange, ParityProgress, Suspect
from midflight.sync import Bridge, sync_keys
from midflight.waiting import drained

TARGET_RANGE = 0
"""The number of the pass over the target's own keys; the source's ranges count from 1."""
SUSPECTS_AT_ONCE = 500
LOOKS = 3


class ParityActivities:
    """The activities of the parity check."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    @activity.defn
    async def begin_parity(self, request: BeginParity) -> ParityBegun:
        """Cut a collection into ranges for this run; a run that has begun keeps its ranges."""
        async with beating(request.ref.domain, "cut into ranges"), opened(self._stores, request.ref) as work:
            token = await work.target.rows.last_token(request.ref.domain)
            parts = await work.source.reader.count(request.collection) // request.pacing.partition_size + 1
            ranges = await work.source.reader.partitions(request.collection, parts)
            begun = await work.target.parity.begin(
                request.ref.domain, request.run, request.collection, [KeyRange(), *ranges]
            )
        return ParityBegun(open=tuple(p.number for p in begun if not p.done), token=token)

    @activity.defn
    async def compare_range(self, request: CompareRange) -> Compared:
        """Compare one range from its committed place; a pause returns what was done until then."""
        tally = _Tally()
        async with until_paused(), opened(self._stores, request.ref) as work:
            place = await _place(work, request)
            walk = _target_pass if request.number == TARGET_RANGE else _source_pass
            if not place.done:
                await walk(work, request, place, tally)
            tally.done = True
        return tally.compared()

    @activity.defn
    async def recheck(self, request: Recheck) -> Rechecked:
        """Look at the suspects again after the tail has passed them; repair those that still differ."""
        looked = Rechecked()
        async with until_paused(), opened(self._stores, request.ref) as work, beating(request.ref.domain, "recheck"):
            looked = await _recheck(work, request)
        return looked

    @activity.defn
    async def finish_parity(self, request: FinishParity) -> None:
        """Close the run: its counts are the evidence now."""
        domain = request.ref.domain
        async with beating(domain, "close the run"), self._stores.target(request.ref.target_store) as target:
            await target.parity.finish(domain, request.run)


class _Tally:
    """Counts of one call."""

    def __init__(self) -> None:
        self.documents = self.equal = self.suspects = 0
        self.done = False

    def add(self, documents: int, equal: int) -> None:
        self.documents += documents
        self.equal += equal

    def compared(self) -> Compared:
        return Compared(compared=self.documents, equal=self.equal, suspects=self.suspects, done=self.done)


async def _place(work: Bridge, request: CompareRange) -> ParityProgress:
    recorded = await work.target.parity.begin(request.ref.domain, request.run, request.collection, ())
    return next(p for p in recorded if p.number == request.number)


async def _source_pass(work: Bridge, request: CompareRange, place: ParityProgress, tally: _Tally) -> None:
    collection = work.plan.collection(request.collection)
    progress = Progress(request.ref.domain, "verify", collection=request.collection, range=request.number)
    blocks = work.source.reader.read_range(
        request.collection, place.keys, above=place.cursor, batch_size=request.batch_size
    )
    async for block in blocks:
        key, documents = last_key(block)
        suspects = await compare_block(work, collection, block)
        equal = documents - len(suspects)
        moved = replace(place, cursor=key, compared=place.compared + documents, equal=place.equal + equal)
        place = await _advance(work, request, moved, suspects, tally)
        tally.add(documents, equal)
        progress.beat(documents, suspects=tally.suspects)
        stop_if_worker_stops()
    await _advance(work, request, _done(place), (), tally)


async def _target_pass(work: Bridge, request: CompareRange, place: ParityProgress, tally: _Tally) -> None:
    collection = work.plan.collection(request.collection)
    progress = Progress(request.ref.domain, "verify keys", collection=request.collection)
    while (found := await extra_keys(work, collection, place.cursor, request.batch_size)).cursor is not None:
        place = await _advance(work, request, replace(place, cursor=found.cursor), found.suspects, tally)
        progress.beat(found.looked_at, suspects=tally.suspects)
        stop_if_worker_stops()
    await _advance(work, request, _done(place), (), tally)


async def _advance(
    work: Bridge, request: CompareRange, moved: ParityProgress, suspects: Sequence[Suspect], tally: _Tally
) -> ParityProgress:
    """Commit a place with its suspects; returns it as the next commit must find it."""
    await work.target.parity.advance(request.ref.domain, request.run, request.collection, moved, suspects)
    tally.suspects += len(suspects)
    return replace(moved, batches=moved.batches + 1)


def _done(place: ParityProgress) -> ParityProgress:
    return replace(place, done=True)


async def _recheck(work: Bridge, request: Recheck) -> Rechecked:
    suspects = await work.target.parity.suspects(request.ref.domain, request.run, SUSPECTS_AT_ONCE)
    differing = await _look_again(work, request, suspects)
    remaining = await _repair(work, request, differing) if differing else []
    return Rechecked(
        suspects=len(suspects),
        cleared=len(suspects) - len(differing),
        repaired=len(differing) - len(remaining),
        remaining=len(remaining),
        done=True,
    )


async def _look_again(work: Bridge, request: Recheck, suspects: list[Suspect]) -> list[Suspect]:
    """Those that differ in every one of a few looks, with the tail drained before each."""
    for _ in range(LOOKS):
        if not suspects:
            break
        await drained(work, request.drain_seconds)
        still = await _compare_suspects(work, suspects)
        await _clear(work, request, suspects, still)
        suspects = still
    return suspects


async def _repair(work: Bridge, request: Recheck, suspects: list[Suspect]) -> list[Suspect]:
    keys: dict[str, list[bytes]] = {}
    for suspect in suspects:
        keys.setdefault(suspect.collection, []).append(suspect.key)
    await sync_keys(work, keys, "repair")
    counts = {name: len(of_one) for name, of_one in keys.items()}
    await work.target.ledger.record(request.ref.domain, "repaired", "midflight", {"run": request.run, **counts})
    return await _look_again(work, request, suspects)


async def _clear(work: Bridge, request: Recheck, suspects: list[Suspect], still: list[Suspect]) -> None:
    differing = {(s.collection, s.key) for s in still}
    equal = [s for s in suspects if (s.collection, s.key) not in differing]
    await work.target.parity.clear(request.ref.domain, request.run, equal)


async def _compare_suspects(work: Bridge, suspects: list[Suspect]) -> list[Suspect]:
    names = dict.fromkeys(s.collection for s in suspects)
    found = await asyncio.gather(
        *(
            compare_keys(work, work.plan.collection(name), [s.key for s in suspects if s.collection == name])
            for name in names
        )
    )
    return [suspect for of_one in found for suspect in of_one]
