"""JSON that survives jsonb: its exact form is stored in customers' tables, so it must never change."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from midflight.core import ejson

ID = ObjectId("659201000000000000000001")

GOLDEN = [
    (None, "null"),
    (True, "true"),
    (5, "5"),
    ("é", '"é"'),
    ("a\0b", '{"$utf8":"YQBi"}'),
    (4.5, "4.5"),
    (5.0, "5.0"),
    (-0.0, '{"$double":"-0.0"}'),
    (1e300, '{"$double":"1e+300"}'),
    (float("nan"), '{"$double":"nan"}'),
    (float("-inf"), '{"$double":"-inf"}'),
    (struct.unpack("<d", bytes.fromhex("010000000000f87f"))[0], '{"$double":"0x010000000000f87f"}'),
    (Int64(5), '{"$long":"5"}'),
    (Decimal128("1.10"), '{"$decimal":"1.10"}'),
    (Decimal128("-NaN"), '{"$decimal":"0x000000000000000000000000000000fc"}'),
    (ID, '{"$oid":"659201000000000000000001"}'),
    (datetime(2024, 1, 31, 8, 30, tzinfo=UTC), '{"$date":"2024-01-31T08:30:00.000Z"}'),
    (datetime(1, 1, 1, tzinfo=UTC), '{"$date":"0001-01-01T00:00:00.000Z"}'),
    (DatetimeMS(2**60), '{"$date":1152921504606846976}'),
    (b"x", '{"$binary":{"base64":"eA==","subType":"00"}}'),
    (Binary(b"x", 128), '{"$binary":{"base64":"eA==","subType":"80"}}'),
    (Regex("a+", "im"), '{"$regex":["a+",10]}'),
    (Timestamp(1, 2), '{"$timestamp":[1,2]}'),
    (Code("f"), '{"$code":"f"}'),
    (Code("f", {"x": 1}), '{"$code":{"text":"f","scope":{"x":1}}}'),
    (MinKey(), '{"$minKey":1}'),
    (MaxKey(), '{"$maxKey":1}'),
    (DBRef("c", 5), '{"$$id":5,"$$ref":"c","$order":["$ref","$id"]}'),
    ([1, [2.0]], "[1,[2.0]]"),
    ({}, "{}"),
    ({"a": 1, "b": 2}, '{"a":1,"b":2}'),
    ({"b": 2, "a": 1}, '{"b":2,"a":1,"$order":["b","a"]}'),
    ({"aa": 1, "b": 2}, '{"aa":1,"b":2,"$order":["aa","b"]}'),
    ({"$oid": "x"}, '{"$$oid":"x"}'),
    ({"$order": []}, '{"$$order":[]}'),
]


@pytest.mark.parametrize(("value", "text"), GOLDEN, ids=repr)
def test_the_form_is_fixed_and_comes_back(value: Any, text: str) -> None:
    made = ejson.dumps(value)
    assert ejson.load_json(made) == ejson.load_json(text)
    assert bson.encode({"": ejson.loads(text)}) == bson.encode({"": value})


def test_an_order_that_is_out_of_date_loses_nothing() -> None:
    assert list(ejson.loads('{"a":1,"b":2,"c":3,"$order":["c","gone"]}').items()) == [("c", 3), ("a", 1), ("b", 2)]


def test_an_unknown_tag_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\$what"):
        ejson.loads('{"$what": 1}')


def test_jsonb_orders_by_length_in_utf8_and_then_by_bytes() -> None:
    assert ejson.jsonb_order(["é", "b", "aa", "", "z"]) == ["", "b", "z", "aa", "é"]
