"""Transactions: amounts as Decimal128, an array of lines."""

from __future__ import annotations

from random import Random
from typing import Any

from demo import mess
from demo.domains import members
from demo.domains.shape import Body, Shape, moment, object_id

SIZE = 25_000
TAG = 2
CURRENCIES = ("EUR", "EUR", "PLN", "JPY")


def key(number: int) -> Any:
    """An ObjectId."""
    return object_id(TAG, number, SIZE)


def body(rng: Random, number: int) -> Body:
    """A purchase."""
    return {
        "member_id": object_id(members.TAG, rng.randrange(members.SIZE), members.SIZE),
        "merchant": mess.text(rng, f"Shop {number % 500}"),
        "status": rng.choice(("booked", "booked", "pending", "returned")),
        "amount": mess.amount(rng, rng.randrange(1, 200_000)),
        "currency": rng.choice(CURRENCIES),
        "points_earned": rng.randrange(2_000),
        "created_at": moment(rng),
        "lines": [_line(rng) for _ in range(rng.randrange(4))],
        "terminal": {"number": rng.randrange(900), "kind": "pos"},
    }


def change(rng: Random) -> Body:
    """What the application does to a purchase."""
    return rng.choice(
        (
            {"$set": {"status": rng.choice(("booked", "returned"))}},
            {"$push": {"lines": _line(rng)}},
            {"$set": {"amount": mess.amount(rng, rng.randrange(1, 200_000)), "created_at": moment(rng)}},
            {"$set": {"lines": []}},
            {"$unset": {"merchant": ""}, "$set": {"points_earned": rng.randrange(2_000)}},
        )
    )


def _line(rng: Random) -> Body:
    line = {
        "sku": f"SKU-{rng.randrange(3_000):04d}",
        "quantity": mess.whole_number(rng, rng.randrange(1, 10)),
        "unit_price": mess.amount(rng, rng.randrange(1, 20_000)),
        "discount": None if rng.random() < 0.7 else mess.amount(rng, rng.randrange(500)),
    }
    return mess.gaps(rng, line)


SHAPE = Shape(
    name="transactions",
    size=SIZE,
    key=key,
    body=body,
    change=change,
    spoilers=(
        lambda rng: {"amount": f"{rng.randrange(100)},50 EUR"},
        lambda _: {"created_at": "2023-13-45T99:00:00Z"},
        lambda rng: {"points_earned": 3_000_000_000 + rng.randrange(100)},
        lambda _: {"currency": "euro"},
        lambda _: {"lines": [{"sku": "SKU-0000", "quantity": "two"}]},
    ),
)
