"""A block of keys that a walk has looked at, and the wide look at keys by their fields."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from midflight.parity.look import differing
from midflight.parity.records import Entry
from midflight.parity.tally import Tally
from midflight.parity.work import Work


@dataclass(frozen=True, slots=True)
class Block:
    """Keys that were looked at, up to `last`, and those of them that need a closer look."""

    last: bytes | None
    keys: int
    unlike: Sequence[bytes]
    tally: Tally
    is_last: bool = False
    """Whether nothing is left to look at in the range. It may also end without a word."""


Blocks = AsyncGenerator[Block, None]


async def unlike_of(
    work: Work, entity: str, keys: Sequence[bytes], tally: Tally, *, counted: bool = True
) -> list[bytes]:
    """Those of the keys that are not plainly equal, field by field. `counted`: for the census, if there is one."""
    if not keys:
        return []
    reads = work.source.fetch(entity, keys), work.target.fetch(entity, keys, deep=work.policy.exact)
    source, target = await asyncio.gather(*reads)
    entries = list(source.values())
    unlike = await asyncio.to_thread(compared, work, entity, entries, target, tally, counted=counted)
    return unlike + [key for key in keys if key not in source]


def compared(
    work: Work,
    entity: str,
    source: Sequence[Entry],
    target: Mapping[bytes, Entry],
    tally: Tally,
    *,
    counted: bool = True,
) -> list[bytes]:
    """The keys of these source entries that are not plainly equal; the tally counts."""
    if work.census and counted:
        tally.take_census(entry for entry in source if _readable(entry) and _readable(target.get(entry.key)))
    return differing(source, target, work.rules_of(entity), tally, exact=work.policy.exact)


def _readable(entry: Entry | None) -> bool:
    return entry is not None and not entry.unreadable
