"""Documents that no shadow write has brought to the target.

Once the tail has passed the mark that was written after them, they are there, or in quarantine: then the target holds
none of them, or an older one, waived or not. Only the ledger can tell which.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

MANY_DOCUMENTS = 10_000
"""Beyond so many the mark alone must do: what is then put in quarantine is not noticed."""

Document = tuple[str, bytes]
"""Collection and key."""

_ANYBODY = b""
"""In place of an entity: nobody said whose the document is. No key has these bytes."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Behind until the mark has passed and the document is not in quarantine."""

    mark: int
    entities: frozenset[bytes]


class Unproven:
    """Such documents of one domain, with the entities whose data they are. Its owner locks."""

    def __init__(self) -> None:
        self._documents: dict[Document, _Held] = {}
        self._entities: set[bytes] = set()

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._documents)

    def hold(self, documents: Mapping[Document, Collection[bytes]], mark: int) -> None:
        """These documents, by entities (none: anybody's), wait for this mark, whatever they waited for before."""
        for document, entities in documents.items():
            before = self._documents.get(document)
            if before is None and len(self._documents) >= MANY_DOCUMENTS:
                continue
            both = frozenset(entities or {_ANYBODY}) | (before.entities if before else frozenset())
            self._documents[document] = _Held(mark, both)
            self._entities |= both

    def holds(self, entity: bytes) -> bool:
        """Whether a document of this entity may be missing."""
        return entity in self._entities or _ANYBODY in self._entities

    def passed(self, applied_mark: int) -> dict[str, list[bytes]]:
        """The keys, by collection, whose mark has passed: are they in quarantine?"""
        found: dict[str, list[bytes]] = {}
        for (collection, key), held in self._documents.items():
            if held.mark <= applied_mark:
                found.setdefault(collection, []).append(key)
        return found

    def release(self, collection: str, keys: Iterable[bytes], applied_mark: int) -> None:
        """These are at the target, as they were when this mark passed; one that was written since waits on."""
        for key in keys:
            held = self._documents.get((collection, key))
            if held is not None and held.mark <= applied_mark:
                del self._documents[collection, key]
        self._entities = {entity for held in self._documents.values() for entity in held.entities}
