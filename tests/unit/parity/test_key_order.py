"""Keys of every type in the order of the server."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from bson import Binary, Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp

from midflight.core.keys import key_bytes
from midflight.parity.key_order import place_of

IN_ORDER: list[Any] = [
    MinKey(),
    None,
    float("nan"),
    float("-inf"),
    Decimal128("-1E+6000"),
    -(2**63),
    -1.5,
    0,
    Decimal128("1E-6000"),
    Decimal128("0.1"),
    0.1,
    1,
    Decimal128("1.5"),
    2**53,
    Int64(2**53 + 1),
    float(2**53 + 2),
    float("inf"),
    "",
    "B",
    "a",
    "a\0",
    "ab",
    "é",
    "😀",
    {},
    {"b": 1},
    {"b": 1, "a": 0},
    {"b": 2},
    {"c": 0},
    {"a": "0"},
    {"a": {"b": 1}},
    Binary(b"", 0),
    Binary(b"z", 0),
    Binary(b"a", 5),
    Binary(b"aa", 0),
    ObjectId(b"a" * 12),
    ObjectId(b"b" * 12),
    False,
    True,
    DatetimeMS(-(2**62)),
    datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 11, 21, tzinfo=UTC),
    DatetimeMS(2**62),
    Timestamp(1, 2),
    Timestamp(2, 1),
    Code("a"),
    MaxKey(),
]


def test_keys_of_every_type_stand_in_the_order_of_the_server() -> None:
    places = [place_of(key_bytes(value)) for value in IN_ORDER]
    assert all(smaller < larger for smaller, larger in pairwise(places))
    shuffled = random.Random(7).sample(places, len(places))
    assert sorted(shuffled) == places
