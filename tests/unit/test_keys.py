"""Keys: equal for MongoDB means equal bytes, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS

from midflight.core.keys import key_bytes, key_text, key_value

D = Decimal128
ID = ObjectId("659201000000000000000001")

EQUAL = [
    (3, Int64(3), 3.0, D("3"), D("3.00"), D("0.3E+1")),
    (0, Int64(0), 0.0, -0.0, D("0"), D("-0.00"), D("0E+10")),
    (0.5, D("0.5"), D("0.500")),
    (float("nan"), D("NaN"), D("-NaN")),
    (float("inf"), D("Infinity")),
    (float("-inf"), D("-Infinity")),
    (-(2.0**63), Int64(-(2**63)), D("-9223372036854775808")),
    (D("0.1"), D("0.10")),
    (2.0**70, D(str(2**70))),
    (D("1E+30"), D("1.000E+30")),
    ({"a": 1, "b": [2.0]}, {"a": Int64(1), "b": [2]}),
]

DIFFERENT = [
    (0.1, D("0.1")),  # the double is not exactly a tenth
    (3, "3"),
    (0, False),
    (1, True),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (Binary(b"x" * 16, 4), Binary(b"x" * 16, 3)),
    (b"", ""),
    (2.0**63, Int64(2**63 - 1)),
]


@pytest.mark.parametrize("same", EQUAL, ids=repr)
def test_keys_that_mongodb_holds_equal_have_the_same_bytes(same: tuple[Any, ...]) -> None:
    assert len({key_bytes(value) for value in same}) == 1


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=repr)
def test_different_keys_have_different_bytes(one: Any, other: Any) -> None:
    assert key_bytes(one) != key_bytes(other)


@pytest.mark.parametrize(
    "value",
    [ID, "abc", "", "a\0b", Int64(5), 0.5, D("0.1"), True, b"x", Binary(b"x" * 16, 4), Timestamp(1, 2), {"a": "b"}],
    ids=repr,
)
def test_bytes_decode_to_the_value(value: Any) -> None:
    decoded = key_value(key_bytes(value))
    assert bson.encode({"": decoded}) == bson.encode({"": value})


def test_a_key_that_looks_like_a_dbref_keeps_the_order_of_its_names() -> None:
    value = {"$id": "x", "$ref": "y"}
    assert list(key_value(key_bytes(value))) == ["$id", "$ref"]


def test_an_object_id_takes_fourteen_bytes() -> None:
    assert key_bytes(ID) == b"\x07\x00" + ID.binary


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ID, f'ObjectId("{ID}")'),
        ("abc", '"abc"'),
        (42.0, "42"),
        (D("0.10"), "0.1"),
        (datetime(2024, 1, 31, tzinfo=UTC), "2024-01-31T00:00:00.000+00:00"),
        (DatetimeMS(2**60), "DatetimeMS(1152921504606846976)"),
    ],
)
def test_the_text_of_a_key_is_for_people(value: Any, text: str) -> None:
    assert key_text(key_bytes(value)) == text


def test_the_text_of_a_long_key_is_short() -> None:
    assert len(key_text(key_bytes("x" * 1_000))) == 80
