"""Compare documents of the source with documents rebuilt from the target's rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from midflight.core.compare import differing_fields
from midflight.core.documents import Document, Undecodable, digest, read_documents
from midflight.core.mapping import Mapper, mapper_for
from midflight.core.outcome import Row
from midflight.core.plan import CollectionMap
from midflight.core.values import Unfit
from midflight.records import Suspect
from midflight.sync import Bridge

CHANGED_A_PAGE = 100_000
CHANGED_AT_ONCE = 1_000

Rebuilt = Mapping[Any, tuple[list[Row], ...]]


async def compare_keys(work: Bridge, collection: CollectionMap, keys: Sequence[bytes]) -> list[Suspect]:
    """The keys on which the two stores do not agree, absence included, those in quarantine left out."""
    mapper = mapper_for(collection)
    block = await work.source.reader.read_keys(collection.collection, keys)
    documents = read_documents(block)
    rows = await _rows(work, collection, [mapper.row_key(key) for key in keys])
    found = await asyncio.to_thread(_suspects, mapper, documents, rows)
    present = {d.key for d in documents}
    extra = [key for key in keys if key not in present and mapper.row_key(key) in rows]
    found += [Suspect(collection.collection, key, "extra") for key in extra]
    return await _not_quarantined(work, collection, found)


async def changed_keys(work: Bridge, token: int) -> dict[str, list[bytes]]:
    """By collection: the keys whose guard row is newer than the token, all of them."""
    names = [collection.collection for collection in work.plan.collections]
    return {name: [key async for page in _pages(work, name, token) for key in page] for name in names}


async def differing_since(work: Bridge, token: int) -> list[Suspect]:
    """Those of the changed keys on which the two stores do not agree; however many have changed."""
    found: list[Suspect] = []
    for collection in work.plan.collections:
        async for page in _pages(work, collection.collection, token):
            found += await differing(work, {collection.collection: page})
    return found


async def differing(work: Bridge, keys: Mapping[str, Sequence[bytes]]) -> list[Suspect]:
    """Those of the keys (by collection) on which the two stores do not agree."""
    found: list[Suspect] = []
    for name, of_one in keys.items():
        for start in range(0, len(of_one), CHANGED_AT_ONCE):
            part = of_one[start : start + CHANGED_AT_ONCE]
            found += await compare_keys(work, work.plan.collection(name), part)
    return found


async def _pages(work: Bridge, name: str, token: int) -> AsyncIterator[list[bytes]]:
    """Every key whose guard row is newer than the token; one that changes meanwhile may come twice."""
    after = None
    while True:
        page = await work.target.rows.keys_changed_since(work.plan.domain, name, token, CHANGED_A_PAGE, after)
        if page:
            yield list(page)
            after, token = list(page.items())[-1]
        if len(page) < CHANGED_A_PAGE:
            return


async def _rows(work: Bridge, collection: CollectionMap, row_keys: Sequence[Any]) -> Rebuilt:
    known = [key for key in row_keys if key is not None]
    return await work.target.rows.rows_of(work.plan.target.schema_, collection, known)


def _suspects(mapper: Mapper, documents: Sequence[Document | Undecodable], rows: Rebuilt) -> list[Suspect]:
    return [suspect for d in documents if (suspect := _suspect(mapper, d, rows)) is not None]


def _suspect(mapper: Mapper, document: Document | Undecodable, rows: Rebuilt) -> Suspect | None:
    name = mapper.collection.collection
    found = rows.get(mapper.row_key(document.key))
    if found is None:
        return Suspect(name, document.key, "missing")
    if isinstance(document, Undecodable):
        return Suspect(name, document.key, "different")
    try:
        rebuilt = mapper.unmap(found)
    except Unfit:
        return Suspect(name, document.key, "different")
    if digest(rebuilt) == document.checksum:
        return None
    return Suspect(name, document.key, "different", differing_fields(document.body, rebuilt))


async def _not_quarantined(work: Bridge, collection: CollectionMap, found: list[Suspect]) -> list[Suspect]:
    """A quarantined document has no rows and is accounted for by its own gate."""
    if not found:
        return found
    keys = [suspect.key for suspect in found]
    known = await work.target.rows.quarantined_keys(work.plan.domain, collection.collection, keys)
    return [suspect for suspect in found if suspect.key not in known]
