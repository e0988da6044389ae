"""Values that comparing tools have got wrong: each group is one value in several forms, and no two groups are equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import bson
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from midflight.core.documents import read_document
from midflight.core.mapping import mapper_for
from midflight.core.outcome import Mapped, Row
from midflight.core.plan import CollectionMap
from midflight.parity.compare import Compared, compare
from midflight.parity.forms.source_form import SourceForm
from midflight.parity.forms.target_form import TargetForm
from midflight.parity.records import Entry
from midflight.parity.rules import Rules
from tests.property.strategies import through_postgres

OID = ObjectId("65920100a1b2c3d4e5f60718")
WHEN = datetime(2024, 1, 31, 8, 30, 0, 123_000, tzinfo=UTC)
NAN = float("nan")
ZEROS: list[Any] = [0, Int64(0), 0.0, -0.0, Decimal128("0"), Decimal128("-0"), Decimal128("0E+9"), Decimal128("0.00")]

NUMBERS: list[list[Any]] = [
    ZEROS,
    [1, Int64(1), 1.0, Decimal128("1"), Decimal128("1.0"), Decimal128("1.000")],
    [Decimal128("1.0000000000000000001")],
    [0.1],
    [Decimal128("0.1"), Decimal128("0.10")],
    [1e-17],
    [2e-17],
    [5e-324],
    [Int64(2**53), float(2**53), Decimal128("9007199254740992")],
    [Int64(2**53 + 1), Decimal128("9007199254740993")],
    [Int64(2**63 - 1)],
    [float(2**63), Decimal128("9223372036854775808")],
    [Int64(-(2**63)), float(-(2**63))],
    [Decimal128("9.999999999999999999999999999999999E+6144")],
    [Decimal128("1E+6111"), Decimal128("1.0E+6111")],
    [Decimal128("1E-6176")],
    [NAN, Decimal128("NaN"), Decimal128("-NaN"), Decimal128("sNaN")],
    [float("inf"), Decimal128("Infinity")],
    [float("-inf"), Decimal128("-Infinity")],
]
TEXTS = [
    *("", " ", "x", "X", "x ", " x", "x|", "|x", "<null>", "null", "None", "NULL", "MISSING", "1", "1.0", "true", "[]"),
    *("\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}", "Ã©", "\N{REPLACEMENT CHARACTER}"),
    *("\N{LATIN SMALL LIGATURE FI}", "fi", "ß", "ss", "İ", "i̇", "\N{ZERO WIDTH SPACE}", "\ufeff", "x\n", "x\r\n"),
    *("2024-01-31T08:30:00.123Z", str(OID), '{"$oid":"x"}', "\\N", "👩‍👩‍👧", "\U0001d510"),
]
TIMES: list[list[Any]] = [
    [WHEN, WHEN.astimezone(None)],
    [WHEN + timedelta(milliseconds=1)],
    [WHEN + timedelta(hours=1)],
    [datetime(1970, 1, 1, tzinfo=UTC), DatetimeMS(0)],
    [datetime(1, 1, 1, tzinfo=UTC)],
    [DatetimeMS(-62_135_596_800_001)],
    [datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)],
    [DatetimeMS(253_402_300_800_000)],
    [DatetimeMS(568_971_820_800_000)],  # the year 20000
    [DatetimeMS(2**63 - 1)],
    [DatetimeMS(-(2**63))],
    [Timestamp(1706689800, 0)],
    [Timestamp(0, 1706689800)],
]
OTHERS: list[Any] = [
    *(None, True, False, OID, ObjectId("65920100a1b2c3d4e5f60719"), MinKey(), MaxKey()),
    *(b"", b"x", Binary(b"x", 128), Binary(bytes(16), 4), Binary(bytes(16), 3), bytes(16)),
    *(Regex("x", ""), Regex("x", "i"), Code("x"), Code("x", {}), Code("x", {"a": 1}), Code("x", {"a": None})),
    *([], {}, [None], [[]], [{}], [1, 2], [2, 1], [1], [1, 1], ["1"], {"0": 1}, {"1": 1}, {"0": 1, "1": 1}, {"": 1}),
    *({"a": None}, {"a": []}, {"a": {}}, {"a": 1}, {"a": {"b": 1}}, {"a.b": 1}, {"a\\.b": 1}, {"a\\": {"b": 1}}),
    *({"a": {"": 1}}, {"a.": 1}, {"": {"": 1}}, {".": 1}, {"$oid": "x"}, {"$missing": 1}, {"$order": ["a"]}, {"=a": 1}),
    *({"$exact": {"a": 1}}, {"$long": "1"}, {"$date": 0}, {"$$a": 1}, {"$a": 1}, {"a": [{"b": 1}]}, {"a": [[1]]}),
]
GROUPS: list[list[Any]] = [*NUMBERS, *([text] for text in TEXTS), *TIMES, *([other] for other in OTHERS)]


def source(plan: CollectionMap, body: dict[str, Any]) -> Entry:
    """The document as the source's reader sees it."""
    return SourceForm(plan).entry(bson.encode(body))


def rows_of(plan: CollectionMap, body: dict[str, Any]) -> list[list[Row]]:
    """The rows that the copier makes of the document, as PostgreSQL gives them back."""
    mapper = mapper_for(plan)
    outcome = mapper.map(read_document(bson.encode(body)))
    assert isinstance(outcome, Mapped), outcome
    return through_postgres(mapper.tables, outcome.rows)


def target(plan: CollectionMap, rows: list[list[Row]]) -> Entry:
    """The rows as the target's reader sees them."""
    return Entry(b"", TargetForm(plan).fields(rows))


def compared(plan: CollectionMap, body: dict[str, Any], rows: list[list[Row]]) -> Compared:
    """The document against the rows."""
    return compare(source(plan, body), target(plan, rows), Rules())
