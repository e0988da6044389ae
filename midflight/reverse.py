"""The way back of single documents: dirty keys of the target become documents of the source. Protocol section 5.

One call brings a batch: marks and rows in one snapshot, documents rebuilt, written under their guards, marks cleared up
to what was read. Any number of callers may do this at once, late ones included: the guards at the source decide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from midflight.clock import nap, seconds
from midflight.contracts.reverse import DrainedBack
from midflight.core.keys import key_bytes
from midflight.core.mapping import Mapper, mapper_for
from midflight.core.values import Unfit, encode
from midflight.records import DirtyKey, WriteBack
from midflight.sync import Bridge

BATCH = 500
LARGEST_DOCUMENT = 16 * 1024 * 1024
LOOK_EVERY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class CarriedBack:
    """Counts: documents written, deleted (at the source) and refused by it or by their mapping."""

    written: int = 0
    deleted: int = 0
    refused: int = 0

    def __add__(self, other: CarriedBack) -> CarriedBack:
        return CarriedBack(self.written + other.written, self.deleted + other.deleted, self.refused + other.refused)

    @property
    def keys(self) -> int:
        """How many marks were dealt with."""
        return self.written + self.deleted + self.refused


@dataclass(frozen=True, slots=True)
class _Unfit:
    """A dirty key whose rows make no document."""

    mark: DirtyKey
    reason: str


@dataclass(frozen=True, slots=True)
class _Fit:
    """A dirty key and its document."""

    mark: DirtyKey
    change: WriteBack


async def write_back(bridge: Bridge, collection: str, at_most: int) -> CarriedBack:
    """Carry the oldest dirty keys of the collection back; a key that cannot go is refused, and holds up nobody."""
    marks = await bridge.target.reverse.dirty(bridge.plan, collection, at_most)
    if not marks:
        return CarriedBack()
    mapper = mapper_for(bridge.plan.collection(collection))
    rebuilt = await asyncio.to_thread(_rebuilt, mapper, marks)
    fit = [one for one in rebuilt if isinstance(one, _Fit)]
    unfit = [one for one in rebuilt if isinstance(one, _Unfit)]
    not_written = await bridge.source.reverse.write_back(collection, [one.change for one in fit]) if fit else []
    refused = {one.key: one.reason for one in not_written}
    done = [one for one in fit if one.change.key not in refused]
    unfit += [_Unfit(one.mark, refused[one.change.key]) for one in fit if one.change.key in refused]
    await _settle_marks(bridge, collection, done, unfit)
    deleted = sum(one.change.document is None for one in done)
    return CarriedBack(len(done) - deleted, deleted, len(unfit))


async def write_back_all(bridge: Bridge, at_most: int = BATCH) -> CarriedBack:
    """One batch of every collection."""
    carried = CarriedBack()
    for collection in bridge.plan.collections:
        carried += await write_back(bridge, collection.collection, at_most)
    return carried


async def drained_back(bridge: Bridge, within_seconds: float, at_most: int = 0) -> DrainedBack:
    """Carry back until at most so many keys are pending that the source does not refuse, or the time is over.

    The reverse tail may do the same beside: nobody has to wait for it.
    """
    began = seconds()
    while True:
        pending, refused = await bridge.target.reverse.pending(bridge.plan.domain)
        took = seconds() - began
        if pending - refused <= at_most or took >= within_seconds:
            return DrainedBack(pending=pending, refused=refused, seconds=round(took, 3))
        if not (await write_back_all(bridge)).keys:
            await nap(LOOK_EVERY_SECONDS)


async def _settle_marks(bridge: Bridge, collection: str, done: Sequence[_Fit], unfit: Sequence[_Unfit]) -> None:
    store, domain = bridge.target.reverse, bridge.plan.domain
    for one in unfit:
        await store.refuse(domain, collection, one.mark.row_key, one.mark.seq, one.reason)
    if done:
        await store.written_back(domain, collection, [(one.mark.row_key, one.mark.seq) for one in done])


def _rebuilt(mapper: Mapper, marks: Sequence[DirtyKey]) -> list[_Fit | _Unfit]:
    return [_document(mapper, mark) for mark in marks]


def _document(mapper: Mapper, mark: DirtyKey) -> _Fit | _Unfit:
    try:
        change = _change(mapper, mark)
    except Unfit as why:
        return _Unfit(mark, str(why))
    except Exception as why:  # the application's rows, through the plan's own functions: anything may happen
        return _Unfit(mark, f"the rows make no document ({type(why).__name__})")
    if change.document is not None and len(change.document) > LARGEST_DOCUMENT:
        return _Unfit(mark, f"the document has {len(change.document):,} bytes, the source takes {LARGEST_DOCUMENT:,}")
    return _Fit(mark, change)


def _change(mapper: Mapper, mark: DirtyKey) -> WriteBack:
    if mark.rows is None:
        return WriteBack(key_bytes(mapper.id_of(mark.root)), mark.seq, None)
    body = mapper.unmap(mark.rows)
    return WriteBack(key_bytes(body["_id"]), mark.seq, encode(body))
