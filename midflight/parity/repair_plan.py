"""What a repair will do, and what it will not. Pure: nothing here touches a store.

Only what is settled is repaired: a suspect may only be late, and a hot key is on its way. Every repair goes through the
door, which takes the source's document as it is then: so a repair never overwrites anything newer.

The mismatches themselves are not in a plan: whoever carries it out reads them again, page by page, and asks the plan.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from typing import Any

from midflight.core.keys import key_bytes, key_value
from midflight.parity.key_order import place_of
from midflight.parity.records import Cause, Kind, Mismatch
from midflight.records import KeyRange


@dataclass(frozen=True, slots=True)
class RangeCount:
    """A range of the source's keys, as a run walked it, and how many it held. Ranges of an entity in their order."""

    entity: str
    keys: KeyRange
    compared: int


@dataclass(frozen=True, slots=True)
class Requeue:
    """Bring so many keys of one entity through the door, one by one. `deletes`: those that the source does not have."""

    entity: str
    keys: int
    deletes: int


@dataclass(frozen=True, slots=True)
class CopyAgain:
    """Bring a whole range through the door: so much of it differs that more may be wrong than was seen."""

    entity: str
    keys: KeyRange
    compared: int
    differing: int


@dataclass(frozen=True, slots=True)
class Refused:
    """So many mismatches that a repair must not, or cannot, touch."""

    entity: str
    keys: int
    reason: str
    next_step: str


@dataclass(frozen=True)
class RepairPlan:
    """To be read by a person before it is carried out. `hash`: twelve hex digits that name exactly these actions."""

    hash: str
    requeue: tuple[Requeue, ...]
    copy_again: tuple[CopyAgain, ...]
    refused: tuple[Refused, ...]
    ranges: Ranges

    @property
    def keys(self) -> int:
        """How many mismatches it is to mend."""
        return sum(one.keys for one in self.requeue) + sum(one.differing for one in self.copy_again)

    @property
    def refused_keys(self) -> int:
        """How many it leaves alone."""
        return sum(one.keys for one in self.refused)

    def mends(self, mismatch: Mismatch) -> bool:
        """Whether the key is one of those that it is to mend, in whichever way."""
        way = way_of(mismatch)
        return way is Way.WRITE or (way is Way.DELETE and mismatch.entity in self._deleting)

    def requeues(self, mismatch: Mismatch) -> bool:
        """Whether the key is to go through the door by itself."""
        if way_of(mismatch) is not Way.WRITE:
            return self.mends(mismatch)
        return (mismatch.entity, self.ranges.range_of(mismatch)) not in self._copying

    def summary(self) -> dict[str, Any]:
        """Counts, JSON-ready: for people and for the audit trail."""
        return {
            "plan": self.hash,
            "requeue": {one.entity: one.keys for one in self.requeue},
            "deletes": {one.entity: one.deletes for one in self.requeue if one.deletes},
            "copy_again": [
                {"entity": one.entity, "keys": one.compared, "differing": one.differing} for one in self.copy_again
            ],
            "refused": [
                {"entity": one.entity, "keys": one.keys, "reason": one.reason, "next_step": one.next_step}
                for one in self.refused
            ],
        }

    @cached_property
    def _deleting(self) -> frozenset[str]:
        return frozenset(one.entity for one in self.requeue if one.deletes)

    @cached_property
    def _copying(self) -> frozenset[tuple[str, KeyRange | None]]:
        return frozenset((one.entity, one.keys) for one in self.copy_again)


class Ranges:
    """The ranges of a run, by entity."""

    def __init__(self, counts: Iterable[RangeCount]) -> None:
        self._counts: dict[str, list[RangeCount]] = defaultdict(list)
        for count in counts:
            self._counts[count.entity].append(count)
        self._bounds = {entity: list(_bounds(of_one)) for entity, of_one in self._counts.items()}

    def range_of(self, mismatch: Mismatch) -> KeyRange | None:
        """The range that the key lies in; None where the entity has none."""
        if mismatch.entity not in self._bounds:
            return None
        number = bisect_right(self._bounds[mismatch.entity], place_of(mismatch.key))
        return self._counts[mismatch.entity][number].keys

    def of(self, entity: str) -> Sequence[RangeCount]:
        """In their order."""
        return self._counts.get(entity, ())

    def compared(self, entity: str) -> int:
        """The keys of all ranges of the entity."""
        return sum(count.compared for count in self.of(entity))


class Way(Enum):
    """What could be done about a mismatch."""

    WRITE = auto()
    """Bring the source's document through the door."""
    DELETE = auto()
    """The source has no document: the rows go."""
    MAPPING = auto()
    """The door would write the same rows again."""
    STRAY = auto()
    """The door cannot find these rows by any key."""


def way_of(mismatch: Mismatch) -> Way:
    """By cause, key and kind."""
    if mismatch.cause is Cause.MAPPING_BUG:
        return Way.MAPPING
    if not _is_a_key(mismatch.key):
        return Way.STRAY
    return Way.DELETE if mismatch.kind is Kind.EXTRA else Way.WRITE


def _bounds(counts: Sequence[RangeCount]) -> Iterator[Any]:
    """Where each range but the first begins."""
    return (place_of(count.keys.lower) for count in counts if count.keys.lower is not None)


def _is_a_key(key: bytes) -> bool:
    """Whether a document can have this key, so that the door finds its row."""
    return key_bytes(key_value(key)) == key
