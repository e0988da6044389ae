"""Walk a range: compare block by block, commit its place with what was found.

Number 0 is the walk over the target's keys, for those that the source does not have. All others are ranges of the
source, or the sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b

from midflight.parity.ahead import ahead, closing
from midflight.parity.block import Block, Blocks, compared, unlike_of
from midflight.parity.image_walk import has_images, of_both, of_source_keys, walks_alike
from midflight.parity.look import judge
from midflight.parity.policy import Policy
from midflight.parity.ports import PresenceSide, TokenSide, VersionSide
from midflight.parity.records import Entry, Kind, Mismatch
from midflight.parity.statistics import sample_size
from midflight.parity.tally import Tally
from midflight.parity.work import Work
from midflight.records import KeyRange, ParityProgress

TARGET_WALK = 0
SAMPLE = KeyRange(b"", b"")
"""An empty range stands for the sample: no range of a side is like that."""


def to_walk(places: Sequence[ParityProgress]) -> list[ParityProgress]:
    """The ranges that a run walks. A sample has no walk over the target's keys: those would be all of them."""
    only_sampled = sampled(places)
    return [place for place in places if not (only_sampled and place.number == TARGET_WALK)]


def sampled(places: Iterable[ParityProgress]) -> bool:
    """Whether these are the ranges of a run that only samples."""
    return any(place.keys == SAMPLE for place in places)


def size_of_sample(policy: Policy) -> int:
    """How many keys of an entity a sample takes."""
    return sample_size(policy.sample_rate, policy.sample_confidence)


async def walk(work: Work, entity: str, place: ParityProgress) -> None:
    """Compare the range from its committed place to its end."""
    if place.done:
        return
    total = Tally.of(place.tally)
    if place.batches == 0 and isinstance(work.target, TokenSide):
        total.token = await work.target.last_token()
    async with closing(ahead(_blocks(work, entity, place))) as blocks:
        async for block in blocks:
            place = await _commit(work, entity, place, block, total)
            await work.pace.spend(block.keys)
    if not place.done:
        await work.store.advance(work.domain, work.run, entity, replace(place, done=True, tally=total.plain()), ())


def _blocks(work: Work, entity: str, place: ParityProgress) -> Blocks:
    if place.number == TARGET_WALK:
        return _count(work, entity, place) if walks_alike(work, entity) else _of_target(work, entity, place)
    if place.keys == SAMPLE:
        return _of_sample(work, entity, place)
    if walks_alike(work, entity):
        return of_both(work, entity, place)
    if work.base is not None:
        return _of_versions(work, entity, place)
    return of_source_keys(work, entity, place) if has_images(work, entity) else _of_source(work, entity, place)


async def _commit(work: Work, entity: str, place: ParityProgress, block: Block, total: Tally) -> ParityProgress:
    """Look closely at what is unlike, then commit; returns the place as the next commit must find it."""
    found = await judge(work, entity, block.unlike, block.tally)
    total.add(block.tally)
    moved = replace(
        place,
        cursor=block.last,
        compared=place.compared + block.keys,
        equal=place.equal + block.keys - _unequal(place, found) - block.tally.quarantined,
        tally=total.plain(),
        done=block.is_last,
    )
    await work.store.advance(work.domain, work.run, entity, moved, found)
    work.meter.add(entity, "keys" if place.number == TARGET_WALK else "compare", keys=block.keys, suspects=len(found))
    return replace(moved, batches=moved.batches + 1)


def _unequal(place: ParityProgress, found: Sequence[Mismatch]) -> int:
    """A key that only the target has is none of those that a range of the source counts."""
    return sum(one.kind is not Kind.EXTRA for one in found) if place.number != TARGET_WALK else len(found)


# --- the walks -----------------------------------------------------------------------------------------------


async def _of_source(work: Work, entity: str, place: ParityProgress) -> Blocks:
    read = work.source.read(entity, place.keys, above=place.cursor, at_most=work.policy.batch_size)
    async with closing(read) as blocks:
        async for entries in blocks:
            target = await work.target.fetch(entity, [entry.key for entry in entries], deep=work.policy.exact)
            tally = Tally()
            unlike = await asyncio.to_thread(compared, work, entity, entries, target, tally)
            yield Block(entries[-1].key, len(entries), unlike, tally)


async def _of_versions(work: Work, entity: str, place: ParityProgress) -> Blocks:
    """As `_of_source`, without a second look at what has not changed since it was seen equal."""
    assert isinstance(work.source, VersionSide)
    read = work.source.read_versions(entity, place.keys, above=place.cursor, at_most=work.policy.batch_size)
    async with closing(read) as blocks:
        async for entries in blocks:
            tally = Tally()
            changed = await _changed(work, entity, entries)
            tally.skipped = len(entries) - len(changed)
            # Where there are images the target counts its fields by itself, all of them.
            unlike = await unlike_of(work, entity, changed, tally, counted=not has_images(work, entity))
            yield Block(entries[-1].key, len(entries), unlike, tally)


async def _of_sample(work: Work, entity: str, place: ParityProgress) -> Blocks:
    keys = sorted(await work.source.sample(entity, size_of_sample(work.policy), seed_of(work.run)))
    left = keys if place.cursor is None else [key for key in keys if key > place.cursor]
    for start in range(0, len(left), work.policy.batch_size):
        part, tally = left[start : start + work.policy.batch_size], Tally()
        yield Block(part[-1], len(part), await unlike_of(work, entity, part, tally), tally)


async def _of_target(work: Work, entity: str, place: ParityProgress) -> Blocks:
    async with closing(work.target.keys(entity, above=place.cursor, at_most=work.policy.batch_size)) as blocks:
        async for keys in blocks:
            present = await _present(work, entity, keys)
            yield Block(keys[-1], len(keys), [key for key in keys if key not in present], Tally())


async def _count(work: Work, entity: str, place: ParityProgress) -> Blocks:
    """Where the ranges of the source meet the target's keys as well, these are only counted."""
    if place.batches == 0:
        yield Block(place.cursor, await work.target.count(entity), [], Tally())


def seed_of(run: str) -> int:
    """The sample's seed: the same run, begun again, takes the same keys."""
    return int.from_bytes(blake2b(run.encode(), digest_size=4).digest(), "big")


# --- what they share ----------------------------------------------------------------------------------------------


async def _changed(work: Work, entity: str, entries: Sequence[Entry]) -> list[bytes]:
    """The keys that were not seen equal, or not as they are now."""
    assert isinstance(work.target, VersionSide)
    assert work.base is not None
    guards = await work.target.fetch_versions(entity, [entry.key for entry in entries])
    token, excluded = work.base.token, work.base.excluded.get(entity, frozenset())
    return [
        entry.key for entry in entries if entry.key in excluded or not _unchanged(entry, guards.get(entry.key), token)
    ]


def _unchanged(source: Entry, target: Entry | None, token: int) -> bool:
    if target is None or target.unreadable or target.token is None:
        return False
    return source.version is not None and source.version == target.version and target.token <= token


async def _present(work: Work, entity: str, keys: Sequence[bytes]) -> set[bytes]:
    if isinstance(work.source, PresenceSide):
        return await work.source.present(entity, keys)
    return set(await work.source.fetch(entity, keys))
