"""What real systems hold, against the four loyalty plans: what fits rebuilds to the byte, what does not is refused."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from midflight.core.documents import read_document
from midflight.core.mapping import Mapper, mapper_for
from midflight.core.outcome import Mapped, Refused
from midflight.core.plan_file import load_plan
from midflight.core.values import encode

PLANS = Path(__file__).parents[2] / "plans"
OID = ObjectId("65b2f0c0a1b2c3d4e5f60718")
WHEN = datetime.datetime(2024, 2, 29, 23, 59, 59, 999000, tzinfo=datetime.UTC)
WITHOUT = object()
"""Takes a field out of a document."""

ODD_TEXTS = (
    "",
    " ",
    "  two  spaces ",
    "Zoe\u0308 A\u030angstro\u0308m",
    "\u202bشركة النور\u202c",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "𝔐𝔦𝔡𝔣𝔩𝔦𝔤𝔥𝔱",
    "\ufeffbom",
    "tab\tnewline\ncarriage\r",
    "'; drop table members; --",
    "\\N",
    "\\",
    '{"$oid": "x"}',
    "İstanbul ẞ",
    "\u0001\u001f\u007f\uffff",
)
EVERY_TYPE: dict[str, Any] = {
    "double": 1.5,
    "string": "x",
    "object": {"a": {"b": []}},
    "array": [1, [2], {}],
    "binary": b"\x00\xff",
    "subtype": Binary(b"\x01", 128),
    "uuid": Binary(uuid.UUID(int=7).bytes, 4),
    "oid": OID,
    "bool": False,
    "date": WHEN,
    "far": DatetimeMS(2**62),
    "null": None,
    "regex": Regex("a.*", "i"),
    "code": Code("f()"),
    "scoped": Code("f()", {"x": 1}),
    "int": 7,
    "timestamp": Timestamp(5, 6),
    "long": Int64(7),
    "decimal": Decimal128("1.10"),
    "min": MinKey(),
    "max": MaxKey(),
    "infinite": float("-inf"),
    "nan": float("nan"),
    "zero": -0.0,
    "$dollar": 1,
    "a.b": 2,
    "": 3,
    "é": {"$oid": "no id"},
}

USUAL: dict[str, dict[str, Any]] = {
    "members": {
        "_id": OID,
        "name": "Ada Lovelace",
        "email": "Ada@Example.org",
        "status": "active",
        "birth_date": WHEN,
        "joined_at": WHEN,
        "marketing_opt_in": True,
        "points": {"balance": 120, "tier": "gold", "expires_at": WHEN},
        "addresses": [{"label": "home", "street": "Main 1", "city": "Kraków", "postcode": "30-001", "country": "PL"}],
    },
    "transactions": {
        "_id": OID,
        "member_id": OID,
        "merchant": "Shop 7",
        "status": "booked",
        "amount": Decimal128("19.90"),
        "currency": "EUR",
        "points_earned": 19,
        "created_at": WHEN,
        "lines": [
            {"sku": "A-1", "quantity": 2, "unit_price": Decimal128("5.00"), "discount": Decimal128("0.10")},
        ],
    },
    "merchants": {
        "_id": "merchant-7",
        "name": "Bäckerei",
        "category": "food",
        "active": True,
        "commission": 2.5,
        "contact": {"email": "shop@example.org"},
        "phone": {"prefix": "+49", "number": "30 1234"},
        "since": WHEN,
        "tags": ["bread", "coffee"],
        "opening_hours": [{"day": "mon", "opens": "07:00", "closes": "18:00"}],
    },
    "campaigns": {
        "_id": "C00001",
        "title": "Spring",
        "state": "live",
        "budget": Decimal128("1000.00"),
        "starts_at": WHEN,
        "ends_at": WHEN,
        "targeting": {"tiers": ["gold"], "age": 18},
        "variants": {
            "bold": {
                "headline": "Up to 30 % off",
                "weight": 0.5,
                "enabled": True,
                "rewards": [{"kind": "points", "points": 100, "minimum_spend": Decimal128("9.99")}],
            },
            "control": {"headline": "Off", "weight": 0.5, "enabled": False},
        },
    },
}

TEXT_FIELDS = {
    "members": ("name", "email", "points.tier", "addresses.0.street"),
    "transactions": ("merchant", "lines.0.sku"),
    "merchants": ("_id", "name", "contact.email", "phone.prefix", "phone.number", "tags.0", "opening_hours.0.opens"),
    "campaigns": ("_id", "title", "targeting.note", "variants.bold.headline", "variants.bold.rewards.0.kind"),
}
FIELDS_THAT_MAY_BE_NULL_OR_MISSING = {
    domain: [name for name in document if name != "_id"] for domain, document in USUAL.items()
}
INNER_FIELDS = {
    "members": ("points.balance", "points.expires_at", "addresses.0.city"),
    "transactions": ("lines.0.quantity", "lines.0.unit_price"),
    "merchants": ("contact.email", "phone.prefix", "phone.number", "opening_hours.0.day"),
    "campaigns": ("variants.bold.weight", "variants.bold.rewards", "variants.bold.rewards.0.points"),
}
OTHER_NUMBERS: dict[str, dict[str, tuple[Any, ...]]] = {
    "members": {"points.balance": (Int64(7), 7.0, Decimal128("7"), Decimal128("7.00"), -0.0)},
    "transactions": {
        "amount": (19, Int64(19), 19.5, 0.1, Decimal128("1E+3"), Decimal128("-0"), Decimal128("NaN"), float("inf")),
        "points_earned": (Int64(19), 19.0, Decimal128("19")),
        "lines.0.quantity": (Int64(2), 2.0),
        "lines.0.unit_price": (5, 5.25),
    },
    "merchants": {"commission": (2, Int64(2), Decimal128("2.5"), float("nan"), float("inf"), -0.0, 5e-324)},
    "campaigns": {
        "budget": (0, Int64(2**60), 1e22, Decimal128("0.000")),
        "variants.bold.weight": (1, Decimal128("0.5")),
        "variants.bold.rewards.0.points": (Int64(1), 1.0),
    },
}
OTHER_SHAPES: dict[str, tuple[dict[str, Any], ...]] = {
    "members": (
        {"addresses": []},
        {"addresses": [None, {}, {"city": None}, {"unknown": 1, "city": "x"}]},
        {"points": {}},
        {"points": {"tier": "gold", "balance": 1}},
        {"joined_at": datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)},
        {"birth_date": datetime.datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=datetime.UTC)},
        {"name": "Ada"},
        {"name": "Ada "},
        {"name": " Ada  King  Lovelace "},
        {"extra": "a field named like our column", "first_name": "and one like another"},
    ),
    "transactions": ({"lines": []}, {"lines": [{}] * 12}, {"lines": [{"gift": True}]}),
    "merchants": (
        *({"_id": key} for key in (7, Int64(2**40), 7.25, 7.0, Decimal128("7.10"), OID, WHEN, True, {"a": 1, "b": 2})),
        {"_id": Binary(uuid.UUID(int=7).bytes, 4)},
        {"phone": {"number": "1", "prefix": "+1"}},
        {"phone": {"prefix": "+1 2", "number": "3"}},
        {"phone": {"prefix": "", "number": ""}},
        {"phone": {}},
        {"tags": [None, "x", None]},
        {"tags": [""]},
    ),
    "campaigns": (
        {"variants": {}},
        {"variants": {"Größe XL": {}, "🎁": {"rewards": []}, "": {"headline": "no name"}, "$a.b": {}}},
        {"variants": {"z": {"weight": 1.0}, "a": {"weight": 0.0}, "10": {}, "9": None}},
        {"targeting": EVERY_TYPE},
        {"targeting": [1, "two", None]},
        {"targeting": "everyone"},
    ),
}

REFUSED: list[tuple[str, dict[str, Any], str, str, str, str]] = [
    ("members", {"_id": "legacy-7"}, "_id", "string", "id", "objectid column does not take a string"),
    ("members", {"_id": 7}, "_id", "int", "id", "objectid column does not take a"),
    ("members", {"joined_at": "2024-02-30"}, "joined_at", "string", "joined_at", "does not take a string"),
    ("members", {"birth_date": DatetimeMS(2**62)}, "birth_date", "date", "birth_date", "outside the years 1 to 9999"),
    ("members", {"birth_date": Timestamp(1, 1)}, "birth_date", "timestamp", "birth_date", "does not take a timestamp"),
    (
        "members",
        {"marketing_opt_in": "yes"},
        "marketing_opt_in",
        "string",
        "marketing_opt_in",
        "does not take a string",
    ),
    ("members", {"marketing_opt_in": 1}, "marketing_opt_in", "int", "marketing_opt_in", "does not take a int"),
    ("members", {"email": "a\0b"}, "email", "string", "email", "PostgreSQL text cannot hold NUL"),
    ("members", {"email": 7}, "email", "int", "email", "does not take a int"),
    ("members", {"name": "Ada\0 L"}, "name", "string", "first_name", "cannot hold NUL"),
    ("members", {"name": ["Ada"]}, "name", "array", "first_name, last_name", "takes a string, this is a array"),
    ("members", {"status": "waiting for the board"}, "status", "string", "status", "has 21 characters"),
    ("members", {"points.balance": "many"}, "points.balance", "string", "points_balance", "does not take a string"),
    ("members", {"points.balance": 1.5}, "points.balance", "double", "points_balance", "not whole"),
    ("members", {"points.balance": Int64(2**31)}, "points.balance", "long", "points_balance", "out of range"),
    ("members", {"points.balance": float("nan")}, "points.balance", "double", "points_balance", "not whole"),
    (
        "members",
        {"points.expires_at": 1700000000},
        "points.expires_at",
        "int",
        "points_expire_at",
        "does not take a int",
    ),
    ("members", {"points": 7}, "points", "int", "points_balance", "a sub-document is expected here"),
    ("members", {"addresses": "none"}, "addresses", "string", "member_addresses", "an array is expected here"),
    ("members", {"addresses.0.city": 7}, "addresses.0.city", "int", "city", "does not take a int"),
    ("members", {"addresses.0": "Main Street"}, "addresses.0", "string", "label", "a sub-document is expected here"),
    ("transactions", {"member_id": str(OID)}, "member_id", "string", "member_id", "does not take a string"),
    ("transactions", {"amount": "19,90 EUR"}, "amount", "string", "amount", "does not take a string"),
    ("transactions", {"currency": "euro"}, "currency", "string", "currency", "has 4 characters"),
    ("transactions", {"points_earned": Int64(2**31)}, "points_earned", "long", "points_earned", "out of range"),
    (
        "transactions",
        {"created_at": "2023-13-45T99:00"},
        "created_at",
        "string",
        "created_at",
        "does not take a string",
    ),
    ("transactions", {"lines": {"0": {}}}, "lines", "object", "transaction_lines", "an array is expected here"),
    ("transactions", {"lines.0.quantity": "two"}, "lines.0.quantity", "string", "quantity", "does not take a string"),
    ("transactions", {"lines.0.unit_price": True}, "lines.0.unit_price", "bool", "unit_price", "does not take a bool"),
    ("merchants", {"active": 2}, "active", "int", "active", "does not take a int"),
    ("merchants", {"commission": "7 %"}, "commission", "string", "commission", "does not take a string"),
    ("merchants", {"commission": Int64(2**53 + 1)}, "commission", "long", "commission", "it would be rounded"),
    ("merchants", {"commission": Decimal128("0.1")}, "commission", "decimal", "commission", "it would be rounded"),
    ("merchants", {"phone.number": 1234}, "phone.prefix", "string", "phone", "takes a string, this is a int"),
    ("merchants", {"tags.1": 7}, "tags.1", "int", "tag", "does not take a int"),
    ("merchants", {"tags.0": "a\0"}, "tags.0", "string", "tag", "cannot hold NUL"),
    ("merchants", {"opening_hours.0.day": "monday"}, "opening_hours.0.day", "string", "day", "has 6 characters"),
    ("campaigns", {"_id": OID}, "_id", "objectId", "code", "a text column does not take a objectId"),
    ("campaigns", {"_id": "C\0"}, "_id", "string", "code", "cannot hold NUL"),
    ("campaigns", {"starts_at": "tomorrow"}, "starts_at", "string", "starts_at", "does not take a string"),
    ("campaigns", {"variants": [{}]}, "variants", "array", "campaign_variants", "a map of sub-documents is expected"),
    ("campaigns", {"variants.bold": "x"}, "variants.bold", "string", "headline", "a sub-document is expected here"),
    (
        "campaigns",
        {"variants.bold.weight": "half"},
        "variants.bold.weight",
        "string",
        "weight",
        "does not take a string",
    ),
    (
        "campaigns",
        {"variants.bold.rewards.0.points": "x"},
        "variants.bold.rewards.0.points",
        "string",
        "points",
        "does not take a string",
    ),
]


@cache
def mapper(domain: str) -> Mapper:
    return mapper_for(load_plan((PLANS / f"{domain}.yaml").read_text(encoding="utf-8")).collections[0])


def changed(body: Any, path: str, value: Any) -> Any:
    """A copy of a document or array with another value at the path (or without it)."""
    name, _, inner = path.partition(".")
    place: Any = int(name) if isinstance(body, list) else name
    copy = body.copy()
    if inner:
        copy[place] = changed(copy[place], inner, value)
    elif value is WITHOUT:
        del copy[place]
    else:
        copy[place] = value
    return copy


def messy(domain: str, changes: dict[str, Any]) -> bytes:
    body = USUAL[domain]
    for path, value in changes.items():
        body = changed(body, path, value)
    return bson.encode(body)


def all_changes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every kind of mess that fits, one at a time."""
    for domain in USUAL:
        yield domain, {}
        yield domain, {"unknown": EVERY_TYPE}
        yield from ((domain, {path: text}) for path in TEXT_FIELDS[domain] for text in ODD_TEXTS)
        for path in (*FIELDS_THAT_MAY_BE_NULL_OR_MISSING[domain], *INNER_FIELDS[domain]):
            yield from ((domain, {path: value}) for value in (None, WITHOUT))
        yield from ((domain, {path: n}) for path, numbers in OTHER_NUMBERS[domain].items() for n in numbers)
        yield from ((domain, changes) for changes in OTHER_SHAPES[domain])


def named(value: object) -> str:
    return "without" if value is WITHOUT else ascii(value)[:60]


FITS = list(all_changes())


@pytest.mark.parametrize(
    ("domain", "changes"), FITS, ids=[f"{d}-{','.join(f'{p}={named(v)}' for p, v in c.items())}" for d, c in FITS]
)
def test_mess_that_fits_rebuilds_byte_for_byte(domain: str, changes: dict[str, Any]) -> None:
    raw = messy(domain, changes)
    outcome = mapper(domain).map(read_document(raw))
    assert isinstance(outcome, Mapped), outcome
    assert encode(mapper(domain).unmap(outcome.rows)) == raw


@pytest.mark.parametrize("domain", USUAL)
def test_names_in_another_order_rebuild_byte_for_byte(domain: str) -> None:
    raw = bson.encode({name: USUAL[domain][name] for name in reversed(USUAL[domain])})
    outcome = mapper(domain).map(read_document(raw))
    assert isinstance(outcome, Mapped), outcome
    assert encode(mapper(domain).unmap(outcome.rows)) == raw


@pytest.mark.parametrize("domain", USUAL)
def test_a_usual_document_leaves_nothing_in_the_rest_column(domain: str) -> None:
    outcome = mapper(domain).map(read_document(bson.encode(USUAL[domain])))
    assert isinstance(outcome, Mapped), outcome
    assert outcome.rows[0][0][-1] is None


@pytest.mark.parametrize(
    ("domain", "changes", "field", "value_type", "column", "reason"),
    REFUSED,
    ids=[f"{case[0]}-{','.join(case[1])}-{number}" for number, case in enumerate(REFUSED)],
)
def test_what_does_not_fit_is_refused_by_name(
    domain: str, changes: dict[str, Any], field: str, value_type: str, column: str, reason: str
) -> None:
    outcome = mapper(domain).map(read_document(messy(domain, changes)))
    assert isinstance(outcome, Refused), outcome
    assert (outcome.field, outcome.value_type) == (field, value_type)
    assert outcome.column == column or outcome.column.startswith(f"{column}, ")
    assert reason in outcome.reason


@pytest.mark.parametrize(("domain", "changes"), [case[:2] for case in REFUSED if "_id" in case[1]], ids=str)
def test_a_key_that_does_not_fit_has_no_row(domain: str, changes: dict[str, Any]) -> None:
    outcome = mapper(domain).map(read_document(messy(domain, changes)))
    assert isinstance(outcome, Refused)
    assert outcome.row_key is None


def test_text_that_is_no_utf8_is_refused_by_field() -> None:
    raw = messy("members", {"email": "????"}).replace(b"????", b"\xff\xfe??")
    outcome = mapper("members").map(read_document(raw))
    assert isinstance(outcome, Refused)
    assert (outcome.field, outcome.value_type) == ("email", "string")
    assert outcome.row_key == str(OID)


@pytest.mark.parametrize(
    ("domain", "changes"), [case[:2] for case in REFUSED], ids=[str(n) for n, _ in enumerate(REFUSED)]
)
def test_a_refusal_never_holds_the_value(domain: str, changes: dict[str, Any]) -> None:
    outcome = mapper(domain).map(read_document(messy(domain, changes)))
    assert isinstance(outcome, Refused)
    told = f"{outcome.column} {outcome.reason}"
    texts = [value for value in changes.values() if isinstance(value, str) and len(value) > 4]
    assert not any(text in told for text in texts)
