"""Merchants: keys of eight BSON types, an array of plain values, two fields that become one column."""

from __future__ import annotations

import struct
from datetime import timedelta
from random import Random
from typing import Any

from bson import Binary, Decimal128, Int64

from demo import mess
from demo.domains.shape import EPOCH, Body, Shape, moment, object_id

SIZE = 5_000
TAG = 3
UUID_SUBTYPE = 4
CATEGORIES = ("food", "travel", "books", "fuel", "fashion")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def key(number: int) -> Any:
    """Eight BSON types, grown over the years; no two are equal as numbers."""
    makers = (
        lambda n: object_id(TAG, n, SIZE),
        lambda n: f"merchant-{n}",
        lambda n: f"{mess.COMBINING} {n} {mess.EMOJI}",
        lambda n: n,
        lambda n: Int64(5_000_000_000 + n),
        lambda n: n + 0.25,
        lambda n: Decimal128(f"{n}.1"),
        lambda n: Binary(struct.pack(">QQ", n, TAG), UUID_SUBTYPE),
        lambda n: EPOCH + timedelta(seconds=n),
    )
    return makers[number % len(makers)](number)


def body(rng: Random, number: int) -> Body:
    """A merchant."""
    return {
        "name": mess.text(rng, f"Merchant {number} & Sons"),
        "category": rng.choice(CATEGORIES),
        "active": rng.random() < 0.9,
        "commission": rng.randrange(1_000) / 100,
        "contact": {"email": f"shop{number}@example.org", "person": "Frau Müller"},
        "phone": {"prefix": f"+{rng.randrange(1, 99)}", "number": f"{rng.randrange(10**7)}"},
        "since": moment(rng),
        "tags": [rng.choice(CATEGORIES) for _ in range(rng.randrange(4))],
        "opening_hours": [_hours(rng, day) for day in DAYS[: rng.randrange(4)]],
    }


def change(rng: Random) -> Body:
    """What the application does to a merchant."""
    return rng.choice(
        (
            {"$set": {"active": rng.random() < 0.5, "commission": rng.randrange(1_000) / 100}},
            {"$push": {"tags": mess.text(rng, "new")}},
            {"$set": {"opening_hours": [_hours(rng, day) for day in DAYS]}},
            {"$set": {"contact.email": f"new{rng.randrange(1000)}@example.org", "since": moment(rng)}},
            {"$unset": {"category": ""}},
        )
    )


def _hours(rng: Random, day: str) -> Body:
    return mess.gaps(rng, {"day": day, "opens": f"{rng.randrange(6, 11):02d}:00", "closes": "20:00"})


SHAPE = Shape(
    name="merchants",
    size=SIZE,
    key=key,
    body=body,
    change=change,
    spoilers=(
        lambda _: {"since": "last year"},
        lambda rng: {"active": rng.randrange(2, 9)},
        lambda _: {"commission": "7 %"},
        lambda _: {"opening_hours": [{"day": "monday", "opens": "08:00"}]},
    ),
)
