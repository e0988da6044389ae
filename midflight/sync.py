"""Draw, read, apply: the only order in which anything of the source reaches the target. Protocol section 2.

Every path (tail, repair, retry of a quarantine, and later the application's shadow write) brings keys and calls
`sync_keys`; the backfill brings a cursor, and applies with the ticket that was drawn before the cursor was opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from midflight.core.documents import read_documents
from midflight.core.mapping import Mapper, mapper_for
from midflight.core.outcome import Applied, Batch, Checkpoint, Outcome, Path
from midflight.core.plan import CollectionMap, Plan
from midflight.ports import Source, Target


@dataclass(frozen=True, slots=True)
class Bridge:
    """Both stores of a domain, open, and its plan."""

    source: Source
    target: Target
    plan: Plan


async def sync_keys(
    bridge: Bridge,
    keys: Mapping[str, Sequence[bytes]],
    path: Path,
    *,
    after: bytes | None = None,
    checkpoint: Checkpoint = None,
) -> Applied:
    """Bring these keys (by collection) up to date. The checkpoint commits with them, also when there are none.

    Raises AuthorityMoved or Superseded; then nothing was written.
    """
    # The token must be older than the image it guards, so the draw comes before the read, never after.
    source, target, plan = bridge.source, bridge.target, bridge.plan
    ticket = await target.door.draw(plan.domain)
    outcomes = {name: await _read(source, plan.collection(name), wanted, after) for name, wanted in keys.items()}
    return await target.door.apply(plan, ticket, Batch(path, outcomes, checkpoint))


def map_block(mapper: Mapper, block: bytes) -> list[Outcome]:
    """The outcomes of concatenated BSON documents. Pure and slow: run it in a thread, so that the loop stays awake."""
    return [mapper.map(document) for document in read_documents(block)]


async def _read(source: Source, collection: CollectionMap, keys: Sequence[bytes], after: bytes | None) -> list[Outcome]:
    if not keys:
        return []
    mapper = mapper_for(collection)
    block = await source.reader.read_keys(collection.collection, keys, after=after)
    found = await asyncio.to_thread(map_block, mapper, block)
    present = {outcome.key for outcome in found}
    return [*found, *(mapper.absent(key) for key in dict.fromkeys(keys) if key not in present)]
