"""Purchases: seeded documents of about 340 bytes, nested as in real systems. The same seed gives the same bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
from bson import Decimal128, ObjectId

COLLECTION = "purchases"
LINES = 3

_MEMBERS = 100_000
_YEAR_IN_MS = 365 * 24 * 3600 * 1000
_FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
_CURRENCIES = ("EUR", "USD", "GBP")
_STATUSES = ("posted", "pending", "reversed")
_MERCHANTS = ("Bäckerei Löwe", "Corner Books", "Harbour Café", "Nordlicht Apotheke", "Riverside Cinema", "Velo & Co")


def purchases(count: int, seed: int) -> Iterator[bytes]:
    """The BSON bytes of `count` purchases, in the order of their `_id`."""
    chance = random.Random(seed)
    return (bson.encode(_purchase(number, chance)) for number in range(count))


def _purchase(number: int, chance: random.Random) -> dict[str, Any]:
    document: dict[str, Any] = {
        "_id": _id(1, number),
        "member": _id(2, chance.randrange(_MEMBERS)),
        "amount": _money(chance, 1_000_000),
        "ccy": chance.choice(_CURRENCIES),
        "at": _FIRST_DAY + timedelta(milliseconds=chance.randrange(_YEAR_IN_MS)),
        "status": chance.choice(_STATUSES),
        "merchant": {"name": chance.choice(_MERCHANTS), "mcc": 5000 + chance.randrange(1000)},
        "items": [_line(chance) for _ in range(LINES)],
        "points": chance.randrange(5000),
    }
    if number % 5 == 0:  # a field of some documents only, which the plan does not name
        document["note"] = f"note {number}"
    return document


def _line(chance: random.Random) -> dict[str, Any]:
    return {"sku": f"S{chance.randrange(100_000):05d}", "qty": chance.randint(1, 9), "price": _money(chance, 10_000)}


def _money(chance: random.Random, below: int) -> Decimal128:
    return Decimal128(f"{chance.randrange(below)}.{chance.randrange(100):02d}")


def _id(kind: int, number: int) -> ObjectId:
    return ObjectId(bytes((0x67, 0x74, kind, 0)) + number.to_bytes(8, "big"))
