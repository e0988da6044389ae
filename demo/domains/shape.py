"""What the generator and the writer know of a domain. Documents are numbered: number n always has the same key."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from bson import ObjectId

from demo import mess

SEED = 20_260_101
ONE_FLAW_IN = 200
FIRST_FLAW = 7
EPOCH = datetime(2019, 1, 1, tzinfo=UTC)
MINUTES = 6 * 365 * 24 * 60

Body = dict[str, Any]
Spoiler = Callable[[Random], Body]
"""Fields (dotted paths) and values that do not fit the target."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One domain's documents: how many are seeded, their keys, bodies, changes and flaws."""

    name: str
    size: int
    key: Callable[[int], Any]
    body: Callable[[Random, int], Body]
    change: Callable[[Random], Body]
    """An update as an application would send it."""
    spoilers: tuple[Spoiler, ...]
    rarities: Mapping[int, Body] = field(default_factory=dict)
    """Flaws that exactly one document has, by its number."""

    def document(self, number: int) -> Body:
        """The seeded document: messy, and about one in two hundred flawed."""
        rng = self._rng(number)
        document = self.messy(rng, number)
        return with_fields(document, self._flaw(rng, number)) if is_flawed(number) else document

    def messy(self, rng: Random, number: int) -> Body:
        """A document with the mess that still fits."""
        return {"_id": self.key(number), **mess.gaps(rng, self.body(rng, number))}

    def sound(self, number: int) -> Body:
        """The document as it should be: what a person puts in the place of a flawed one."""
        return {"_id": self.key(number), **self.body(self._rng(number), number)}

    def spoil(self, rng: Random) -> Body:
        """Values that do not fit, as an application with an error would write them."""
        return rng.choice(self.spoilers)(rng)

    def _flaw(self, rng: Random, number: int) -> Body:
        if number in self.rarities:
            return self.rarities[number]
        return self.spoilers[(number // ONE_FLAW_IN) % len(self.spoilers)](rng)

    def _rng(self, number: int) -> Random:
        return Random(f"{SEED}/{self.name}/{number}")


def is_flawed(number: int) -> bool:
    """Whether the seeded document of this number does not fit."""
    return number % ONE_FLAW_IN == FIRST_FLAW


def left_to_people(number: int) -> bool:
    """Flawed documents that the writer never touches: what a person does to them stays as the person left it."""
    return is_flawed(number) and (number // ONE_FLAW_IN) % 2 == 0


def with_fields(document: Body, fields: Body) -> Body:
    """The document with values put at dotted paths, as `$set` does it."""
    changed = dict(document)
    for path, value in fields.items():
        *outer, last = path.split(".")
        place = changed
        for name in outer:
            inner = place.get(name)
            place[name] = dict(inner) if isinstance(inner, dict) else {}
            place = place[name]
        place[last] = value
    return changed


def object_id(tag: int, number: int, size: int) -> ObjectId:
    """In order for seeded documents; later ones fall between them, so that inserts reach every key range."""
    spread = number if number < size else (number * 7_919) % size
    return ObjectId(struct.pack(">IQ", 0x5C00_0000 + spread, (tag << 40) + number))


def moment(rng: Random) -> datetime:
    """A time within six years, to the minute."""
    return EPOCH + timedelta(minutes=rng.randrange(MINUTES))
