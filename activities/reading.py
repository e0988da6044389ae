"""Read a key range as mapped blocks, one block ahead: while the target applies one, the next is read and mapped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from midflight.core.documents import last_key
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Outcome
from midflight.core.plan import CollectionMap
from midflight.ports import SourceReader
from midflight.records import KeyRange
from midflight.sync import map_block


@dataclass(frozen=True, slots=True)
class Block:
    """What became of one block of documents, how many they are, and the key of the last."""

    outcomes: list[Outcome]
    documents: int
    last: bytes


async def mapped_blocks(
    reader: SourceReader, collection: CollectionMap, keys: KeyRange, *, above: bytes | None, batch_size: int
) -> AsyncGenerator[Block, None]:
    """The blocks of one cursor, in key order. Closing it ends the reading."""
    mapper = mapper_for(collection)
    blocks = reader.read_range(collection.collection, keys, above=above, batch_size=batch_size)
    async for block in blocks:
        last, documents = last_key(block)
        yield Block(await asyncio.to_thread(map_block, mapper, block), documents, last)


async def ahead(blocks: AsyncGenerator[Block, None]) -> AsyncGenerator[Block, None]:
    """The same blocks, each asked for while the one before it is at work."""
    async with aclosing(blocks):
        asked = _ask(blocks)
        try:
            while (block := await asked) is not None:
                asked = _ask(blocks)
                yield block
        finally:
            # A generator cannot be closed while it runs: first the step that was asked for has to end.
            asked.cancel()
            await asyncio.wait([asked])


def _ask(blocks: AsyncGenerator[Block, None]) -> asyncio.Task[Block | None]:
    async def step() -> Block | None:
        return await anext(blocks, None)

    return asyncio.create_task(step())
