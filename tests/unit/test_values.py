"""Values in columns: what comes back as it was, what needs an exact value beside it, and what is refused."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from midflight.core.cells import codec_of
from midflight.core.values import MISSING, Unfit, decimal128_of, decimal_of, decode, encode, identical, type_name

D = Decimal128
ID = ObjectId("659201000000000000000001")
DAY = datetime(2024, 1, 31, tzinfo=UTC)
NOON = DAY.replace(hour=12, microsecond=7_000)
GUID = UUID(int=5)

NATURAL = [
    ("text", "héllo", "héllo"),
    ("text", "", ""),
    ("varchar(3)", "日本語", "日本語"),
    ("boolean", False, False),
    ("smallint", -32768, -32768),
    ("integer", 2**31 - 1, 2**31 - 1),
    ("bigint", Int64(5), 5),
    ("numeric", D("1.10"), Decimal("1.10")),
    ("numeric", D("-0.5"), Decimal("-0.5")),
    ("numeric", D("0.00"), Decimal("0.00")),
    ("numeric", D("NaN"), Decimal("NaN")),
    ("numeric", D("-Infinity"), Decimal("-Infinity")),
    ("numeric", D("1E-6176"), Decimal("1E-6176")),
    ("numeric(12,2)", D("7.00"), Decimal("7.00")),
    ("double precision", -0.0, -0.0),
    ("double precision", float("inf"), float("inf")),
    ("timestamptz", NOON, NOON),
    ("date", DAY, date(2024, 1, 31)),
    ("uuid", Binary(GUID.bytes, 4), GUID),
    ("bytea", b"\0x", b"\0x"),
    ("objectid", ID, str(ID)),
    ("jsonb", None, "null"),
    ("jsonb", {"b": 1, "a": Int64(1)}, '{"b":1,"a":{"$long":"1"},"$order":["b","a"]}'),
    ("any", ID, '{"$oid":"659201000000000000000001"}'),
    ("any", 3, "3"),
    ("any", Int64(2**40), '{"$long":"1099511627776"}'),
]

EXACT_BESIDE = [
    ("bigint", 5.0, 5),
    ("bigint", 5, 5),
    ("integer", Int64(5), 5),
    ("integer", D("7.00"), 7),
    ("integer", -0.0, 0),
    ("numeric", 5, Decimal("5")),
    ("numeric", 0.5, Decimal("0.5")),
    ("numeric", D("1E+3"), Decimal("1000")),
    ("numeric", D("-0.00"), Decimal("0.00")),
    ("numeric(12,2)", D("7.1"), Decimal("7.10")),
    ("numeric(12,2)", D("7.100"), Decimal("7.10")),
    ("double precision", 5, 5.0),
    ("double precision", D("0.5"), 0.5),
    ("any", 3.0, "3"),
    ("any", Int64(3), "3"),
]

UNFIT = [
    ("text", "a\0b", "PostgreSQL text cannot hold NUL"),
    ("text", 5, "does not take a int"),
    ("varchar(3)", "abcd", "truncated"),
    ("varchar(3)", "a\0", "NUL"),
    ("boolean", 1, "does not take a int"),
    ("integer", True, "does not take a bool"),
    ("integer", "5", "does not take a string"),
    ("integer", Int64(2**31), "out of range"),
    ("integer", 5.5, "rounded"),
    ("integer", float("nan"), "not whole"),
    ("integer", D("Infinity"), "not whole"),
    ("integer", None, "does not take a null"),
    ("smallint", 32768, "out of range"),
    ("bigint", 2.0**63, "out of range"),
    ("bigint", D("0.1"), "rounded"),
    ("bigint", D("1E+6000"), "out of range"),
    ("numeric", "5", "does not take a string"),
    ("numeric(5,2)", D("1.234"), "rounded"),
    ("numeric(5,2)", D("1000"), "digits before the decimal point"),
    ("numeric(5,2)", D("Infinity"), "infinite"),
    ("double precision", D("0.1"), "rounded"),
    ("double precision", Int64(2**53 + 1), "rounded"),
    ("double precision", "1", "does not take a string"),
    ("timestamptz", "2024-13-45", "does not take a string"),
    ("timestamptz", DatetimeMS(253_402_300_800_000), "years 1 to 9999"),
    ("date", NOON, "time of day"),
    ("date", DatetimeMS(-(2**62)), "years 1 to 9999"),
    ("date", 5, "does not take a int"),
    ("uuid", Binary(GUID.bytes, 3), "binData of subtype 3"),
    ("uuid", Binary(b"short", 4), "16 bytes"),
    ("uuid", str(GUID), "this is a string"),
    ("bytea", Binary(b"x", 128), "binData of subtype 128"),
    ("objectid", str(ID), "does not take a string"),
]


@pytest.mark.parametrize(("column", "value", "cell"), NATURAL, ids=repr)
def test_a_natural_value_comes_back_identical(column: str, value: Any, cell: Any) -> None:
    codec = codec_of(column)
    for made in (codec.fast(value), codec.cell(value)):
        if made is not None:
            assert repr(made) == repr(cell)
    assert identical(codec.natural(codec.cell(value)), value)


@pytest.mark.parametrize(("column", "value", "cell"), EXACT_BESIDE, ids=repr)
def test_an_equal_value_of_another_form_is_never_taken_for_the_natural_one(column: str, value: Any, cell: Any) -> None:
    codec = codec_of(column)
    assert repr(codec.cell(value)) == repr(cell)
    assert column == "any" or codec.fast(value) is None
    assert not identical(codec.natural(cell), value)


@pytest.mark.parametrize(("column", "value", "reason"), UNFIT, ids=repr)
def test_what_does_not_fit_is_refused_with_a_reason_without_the_value(column: str, value: Any, reason: str) -> None:
    codec = codec_of(column)
    assert codec.fast(value) is None
    with pytest.raises(Unfit, match=reason) as refused:
        codec.cell(value)
    assert len(str(value)) < 4 or str(value) not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "bool"),
        (1, "int"),
        (Int64(1), "long"),
        (1.0, "double"),
        (D("1"), "decimal"),
        ("", "string"),
        ({}, "object"),
        ([], "array"),
        (b"", "binData"),
        (Binary(b"", 5), "binData"),
        (ID, "objectId"),
        (DAY, "date"),
        (DatetimeMS(0), "date"),
        (Regex("a"), "regex"),
        (Timestamp(0, 0), "timestamp"),
        (Code("a"), "javascript"),
        (Code("a", {}), "javascriptWithScope"),
        (MinKey(), "minKey"),
        (MaxKey(), "maxKey"),
        (MISSING, "missing"),
    ],
    ids=repr,
)
def test_types_have_mongodbs_names(value: Any, name: str) -> None:
    assert type_name(value) == name


@pytest.mark.parametrize("text", ["0", "-0", "-0.00", "1.10", "1E+3", "9E+6111", "1E-6176", "NaN", "-Infinity"])
def test_our_decimal_conversions_agree_with_the_drivers(text: str) -> None:
    value = D(text)
    assert repr(decimal_of(value)) == repr(value.to_decimal())
    assert decimal128_of(decimal_of(value)).bid == value.bid


def test_a_number_with_too_many_digits_is_no_decimal128() -> None:
    with pytest.raises(Unfit, match="digits"):
        decimal128_of(Decimal("1." + "1" * 40))


def test_a_nan_with_a_payload_is_not_the_plain_one() -> None:
    (odd,) = struct.unpack("<d", bytes.fromhex("010000000000f87f"))
    assert not identical(codec_of("double precision").cell(odd), odd)


def test_dates_decode_with_a_time_zone_or_as_milliseconds() -> None:
    raw = bson.encode({"in": DAY, "out": DatetimeMS(2**60)})
    assert decode(raw) == {"in": DAY, "out": DatetimeMS(2**60)}
    assert encode(decode(raw)) == raw
