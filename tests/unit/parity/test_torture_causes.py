"""The torture corpus by cause: every value in place of every other one, and every state a key can be in."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from midflight.core.outcome import Row
from midflight.core.plan import CollectionMap
from midflight.parity.forms.source_form import SourceForm
from midflight.parity.records import Cause, Entry, Kind
from midflight.records import Guard
from tests.property.strategies import FLAT, NESTED
from tests.unit.parity.chain import TWINS, guard_of, judged, run, seeded, stored, twins
from tests.unit.parity.corpus import OID, WHEN, rows_of, source
from tests.unit.parity.test_torture import JSON, NOTHING, OWN, STATES, changed, document

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_YEAR, LAST_MOMENT = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)

# --- every value in place of every other one ------------------------------------------------------------------------

DEFAULTS: list[Any] = [
    *(0, float("nan"), "", "<null>", "null", "None", "NULL", "\\N", False, Binary(bytes(16), 4), [], {}),
    *(WHEN, WHEN + timedelta(milliseconds=1), WHEN + timedelta(hours=1), EPOCH, FIRST_YEAR, LAST_MOMENT),
]
FILLED: list[tuple[Any, Any]] = [
    *product((NOTHING, None), DEFAULTS),
    *product((NOTHING,), ({"a": []}, {"a": {}}, {"$date": 0})),
    *product(([None],), ([[]], [{}])),
    *product(({"a": None},), ({"a": []}, {"a": {}})),
]
TINY = (0.1, Decimal128("0.1"), 1e-17, 2e-17, 5e-324, Decimal128("1E-6176"))
LESS_PRECISE: list[tuple[Any, Any]] = [
    *product(TINY, (0,)),
    *((0.1, Decimal128("0.1")), (Decimal128("0.1"), 0.1)),
    *((1, Decimal128("1.0000000000000000001")), (Decimal128("1.0000000000000000001"), 1)),
    *((Int64(2**53 + 1), Int64(2**53)), (Int64(2**63 - 1), float(2**63))),
    *((DatetimeMS(-62_135_596_800_001), FIRST_YEAR), (LAST_MOMENT, DatetimeMS(253_402_300_800_000))),
]
CUT: list[tuple[Any, Any]] = [
    *(("x ", "x"), (" x", " "), (" x", "x"), ("x|", "x"), ("1.0", "1"), ("x\n", "x"), ("x\r\n", "x")),
    # In 16 bits, or 32.
    *((Int64(2**53), 0), (Int64(2**53 + 1), 1), (Int64(-(2**63)), 0)),
]
BEYOND_ASCII = (
    "\N{LATIN SMALL LETTER E WITH ACUTE}",
    "Ã©",
    "\N{LATIN SMALL LIGATURE FI}",
    "ß",
    "İ",
    "\u200b",
    "\ufeff",
)
PICTURES = ("👩‍👩‍👧", "\U0001d510")
OTHERWISE_ENCODED: list[tuple[Any, Any]] = [
    *product((*BEYOND_ASCII, *PICTURES), ("\ufffd", "")),
    *(("\ufffd", ""), ("", "\ufeff"), ("\N{LATIN SMALL LIGATURE FI}", "fi"), ("x\n", "x\r\n"), ("x\r\n", "x\n")),
    *(("é", "e\u0301"), ("e\u0301", "é"), ("é", "Ã©"), ("Ã©", "é")),
]
SHIFTED = [(WHEN, WHEN + timedelta(hours=1)), (WHEN + timedelta(hours=1), WHEN)]
SHOWN: dict[Cause, list[tuple[Any, Any]]] = {
    Cause.DEFAULT_FILLED: FILLED,
    Cause.PRECISION: LESS_PRECISE,
    Cause.TRUNCATION: CUT,
    Cause.ENCODING: OTHERWISE_ENCODED,
    Cause.TIME_ZONE_SHIFT: SHIFTED,
}
"""What stands at the source, and what stands in its place. All other pairs of the corpus show nothing."""


def number_of(value: Any) -> int:
    """Which of STATES it is."""
    return next(n for n, group in enumerate(STATES) if any(_same(value, one) for one in group))


def _same(value: Any, other: Any) -> bool:
    if value is NOTHING or other is NOTHING:
        return value is other
    return bson.encode({"": value}) == bson.encode({"": other})


@pytest.mark.parametrize("plan", [OWN, JSON], ids=["rest column", "jsonb column"])
async def test_each_value_in_place_of_each_other_one_is_found_and_given_its_cause(plan: CollectionMap) -> None:
    """Beside each pair a key with the first value on both sides: so the field does not differ in most keys."""
    expected = {(number_of(one), number_of(other)): cause for cause, pairs in SHOWN.items() for one, other in pairs}
    bodies = [document(group[0]) for group in STATES]
    left, right = [source(plan, body) for body in bodies], [rows_of(plan, body) for body in bodies]
    guards = [guard_of(plan, body) for body in bodies]
    sources, targets = dict[bytes, Entry](), dict[bytes, Entry]()
    for i, entry in enumerate(left):
        held = [stored(plan, entry.key, rows, guards[i]) for rows in right]
        for j, pair in enumerate(held):
            for key, one in ((b"pair %d %d" % (i, j), pair), (b"twin %d %d" % (i, j), held[i])):
                assert one is not None
                sources[key], targets[key] = replace(entry, key=key), replace(one, key=key)
    found = {key: one.cause for key, one in (await run(sources, targets)).items()}
    assert found == {
        b"pair %d %d" % (i, j): expected.get((i, j), Cause.ROGUE_WRITE)
        for i, j in product(range(len(STATES)), repeat=2)
        if i != j
    }


# --- more of each kind ----------------------------------------------------------------------------------------------

NFD = unicodedata.normalize("NFD", "Zoë Müller")
NOON = datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC)
MIDNIGHT = datetime(2024, 2, 29, tzinfo=UTC)
VALUES: dict[Cause, list[tuple[Any, Any]]] = {
    Cause.TRUNCATION: [
        *(("Lovelace", "Love"), ("Lovelace", "Lov..."), ("Lovelace", "Love…"), (" Ada ", "Ada"), ("Müller", "Mü")),
        *((b"\0\1\2", b"\0\1"), (Binary(b"abc", 5), Binary(b"ab", 5)), ("a\0b", "a"), ("👩‍👩‍👧", "👩")),
        *((Int64(2**32 + 5), 5), (Int64(3_000_000_000), -1_294_967_296), (Int64(70_000), 32_767)),
        *((Int64(-70_000), -32_768), (Int64(2**40), 2**31 - 1)),
    ],
    Cause.PRECISION: [
        *((Decimal128("19.995"), Decimal128("20.00")), (Decimal128("19.995"), 19), (19.99, 20), (-19.99, -19)),
        *((Decimal128("12345678901234567.89"), 12345678901234567.89), (0.1, 0.10000000149011612)),
        *((1 / 3, Decimal128("0.3333")), (Int64(2**53 + 1), float(2**53)), (16_777_217, 16_777_216.0)),
        *((Decimal128("1E-30"), 0), (Decimal128("1.000000000000000000000000000000001"), 1.0)),
        *((WHEN, WHEN.replace(microsecond=0)), (WHEN, WHEN.replace(second=0, microsecond=0))),
        *((WHEN, MIDNIGHT.replace(month=1, day=31)), (DatetimeMS(10**15 + 1), DatetimeMS(10**15))),
    ],
    Cause.ENCODING: [
        *(("Zoë Müller", NFD), (NFD, "Zoë Müller"), ("Zoë", "ZoÃ«"), ("ZoÃ«", "Zoë"), ("Zoë", "ZoÃƒÂ«")),
        *(("10 €", "10 â‚¬"), ("„x“ Í", "â€žxâ€œ Ã\x8d"), ("Zoë", "Zo?"), ("Zoë", "Zo\ufffd"), ("Zoë", "Zoe")),
        *(("Zoë", "Zo\ufffd\ufffd"), ("Zoë 👩", "Zoë ????"), ("👩 Zoe", " Zoe"), ("日本 X", "?? X"), ("\ufeffx", "x")),
        *(("a & b", "a &amp; b"), ("a &amp; b", "a & b"), ("Zoë", "Zo\\u00eb"), ('say "x"', 'say \\"x\\"')),
        *(("a b", "a%20b"), ("a\r\nb", "a\nb"), ("a\nb", "a\r\nb"), ("ﬁne", "fine")),
    ],
    Cause.TIME_ZONE_SHIFT: [
        *((NOON, NOON + timedelta(hours=hours)) for hours in (1, -1, 5.5, -5, 12, 14, -14, 0.25)),
        *((MIDNIGHT, MIDNIGHT + timedelta(days=days)) for days in (1, -1)),
        (DatetimeMS(10**15), DatetimeMS(10**15 + 7_200_000)),
    ],
    Cause.ROGUE_WRITE: [
        *((5, 4), (Int64(10**12), Int64(10**12 + 1)), (0.1, 1), (100.25, 101.5), (1e300, 2e300), (7, 0), (0, 7)),
        *((1.5, float("nan")), (float("nan"), 0.0), (float("inf"), float("-inf")), (1.5, float("inf"))),
        *((Decimal128("1E+6111"), Decimal128("1E+6110")), (Int64(2**63 - 1), Int64(-(2**63)))),
        *((True, 1), (1, True), (True, "true"), (5, "5"), ("5", 5), (5.0, "5.0"), (OID, str(OID)), (str(OID), OID)),
        *((WHEN, WHEN.isoformat()), (WHEN, 1_706_689_800_123), (WHEN, Timestamp(1_706_689_800, 0)), ("1", [1])),
        *((b"x", "x"), (b"x", Binary(b"x", 128)), (Binary(bytes(range(16)), 3), Binary(bytes(range(16)), 4))),
        *((Regex("x", "i"), Regex("x", "")), (Code("x"), "x"), (Code("x", {}), Code("x")), (Code("x"), Code("y"))),
        *((ObjectId(b"a" * 12), ObjectId(b"b" * 12)), (Timestamp(1, 2), Timestamp(2, 1))),
        *(
            ("abc", "ABC"),
            ("abc", ""),
            ("abc", "abcd"),
            ("abc", "bc"),
            ("Zoë", "Zoé"),
            ("what?", "what!"),
            ("ab", "??"),
        ),
        *((NOON, NOON + timedelta(hours=14.25)), (NOON, NOON + timedelta(days=1)), (NOON, NOON + timedelta(seconds=1))),
        *((MIDNIGHT, MIDNIGHT + timedelta(days=2)), (NOON, EPOCH), (True, False), (None, 5), (5, None), (NOTHING, 5)),
        *((5, NOTHING), (NOTHING, None), (None, NOTHING), ("null", None), ([], None), ({}, []), ([], {})),
        *(([1, 2], [2, 1]), ([1, 2], [1]), ([1], [1, 2]), ([1], [1, 0]), ([[1], [2]], [[2], [1]]), ([[1]], [1])),
        *(([1, 1], [1]), (["ab", "abc"], ["abc", "ab"]), ([{"a": 1}], [{"a": 1}, {}]), ([[[]]], [[]])),
        *(
            ({"a": 1}, {"b": 1}),
            ({"a": 1}, {"a": {"b": 1}}),
            ({"a": {"b": 1}}, {"a": 0}),
            ({"a.b": 1}, {"a": {"b": 1}}),
        ),
        *((0, [0]), (0, {"a": 0}), ({"0": 1}, [1]), ({"a": 1}, 0), (None, {"a": 0}), ({}, {"a": 5})),
    ],
    Cause.DEFAULT_FILLED: [
        *product((NOTHING, None), (0, 0.0, Decimal128("0.00"), "", False, EPOCH, NOON, [], {}, float("nan"), "NULL")),
        *((NOTHING, ObjectId(b"\0" * 12)), (None, Binary(bytes(16), 4)), ({"a": 1}, {"a": 1, "b": 0})),
        *(({"a": {"b": None}}, {"a": {"b": ""}}), ([{"a": 1}], [{"a": 1, "b": False}]), ([1, None], [1, 0])),
    ],
}
CASES = [(cause, left, right) for cause, pairs in VALUES.items() for left, right in pairs]


@pytest.mark.parametrize("plan", [OWN, JSON], ids=["rest column", "jsonb column"])
@pytest.mark.parametrize(("cause", "left", "right"), CASES, ids=lambda value: ascii(value)[:40])
async def test_a_value_that_became_another_one_is_given_its_cause(
    plan: CollectionMap, cause: Cause, left: Any, right: Any
) -> None:
    found, fields = await seeded(plan, document(left), rows_of(plan, document(right)))
    assert {path.split(".")[0] for path in fields} == {"f"}
    assert found is cause, fields


SAME: list[Sequence[Any]] = [
    *((0, -0.0), (-0.0, Decimal128("-0")), (5, 5.0), (Int64(5), Decimal128("5.00")), (float("nan"), Decimal128("NaN"))),
    *((Int64(2**53), float(2**53)), (EPOCH, DatetimeMS(0)), (Decimal128("1E+3"), 1000)),
    *((float("inf"), Decimal128("Infinity")), (float("-inf"), Decimal128("-Infinity"))),
    *(({"a": 1, "b": 2}, {"b": 2, "a": 1}), ([1, {"a": -0.0}], [1.0, {"a": 0}])),
]


@pytest.mark.parametrize("plan", [OWN, JSON], ids=["rest column", "jsonb column"])
async def test_what_is_the_same_by_value_is_never_found_whatever_its_bytes(plan: CollectionMap) -> None:
    sources, targets = dict[bytes, Entry](), dict[bytes, Entry]()
    for number, (left, right) in enumerate([*SAME, *((b, a) for a, b in SAME)]):
        key, body = b"%d" % number, document(left)
        entry = stored(plan, source(plan, body).key, rows_of(plan, document(right)), guard_of(plan, body))
        assert entry is not None
        sources[key], targets[key] = replace(source(plan, body), key=key), replace(entry, key=key)
    assert await run(sources, targets) == {}


# --- columns that were filled, and several fields at once -----------------------------------------------------------

FILLING: dict[str, Any] = {
    **{"c_s": "", "c_v": "", "c_b": False, "c_i2": 0, "c_i4": 0, "c_i8": 0, "c_n": Decimal(0), "c_n2": Decimal("0.00")},
    **{"c_d": 0.0, "c_t": WHEN, "c_day": EPOCH.date(), "c_j": "{}", "c_k": '""', "c_o": "0" * 24},
}


@pytest.mark.parametrize("column", FILLING)
@pytest.mark.parametrize("had", [{}, None], ids=["missing", "null"])
async def test_a_column_that_was_filled_where_the_source_has_nothing_is_called_so(column: str, had: Any) -> None:
    field = column.removeprefix("c_")
    body = {"_id": OID, "other": 1, **({field: None} if had is None and field != "k" else {})}
    cause, fields = await seeded(FLAT, body, changed(FLAT, rows_of(FLAT, body), column, FILLING[column]))
    assert (cause, set(fields)) == (Cause.DEFAULT_FILLED, {field})


async def test_several_fields_with_one_cause_have_it_and_each_its_own() -> None:
    body = {"_id": OID, "s": "Lovelace", "n": Decimal128("1.2345"), "v": "abc"}
    rows = changed(FLAT, rows_of(FLAT, body), "c_s", "Love")
    rows = changed(FLAT, rows, "c_v", "ab")
    rows = changed(FLAT, rows, "c_n", Decimal("1.23"))
    cause, fields = await seeded(FLAT, body, rows)
    assert cause is Cause.TRUNCATION
    assert {path: why for path, (_, why) in fields.items()} == {
        "s": Cause.TRUNCATION,
        "v": Cause.TRUNCATION,
        "n": Cause.PRECISION,
    }
    cause, _ = await seeded(FLAT, body, changed(FLAT, rows, "c_b", True))
    assert cause is Cause.ROGUE_WRITE, "one field that nothing explains: somebody wrote these rows"


async def test_an_element_whose_field_was_filled_is_told_from_an_element_too_many() -> None:
    body = {"_id": OID, "items": [{"sku": "a"}]}
    amount = {"items": [{"sku": "a", "price": {"amount": Decimal128("0")}}]}
    assert (await seeded(NESTED, body, rows_of(NESTED, {**body, **amount})))[0] is Cause.DEFAULT_FILLED
    more = {"items": [{"sku": "a"}, {"price": {"amount": Decimal128("0")}}]}
    assert (await seeded(NESTED, body, rows_of(NESTED, {**body, **more})))[0] is Cause.ROGUE_WRITE


# --- states of a key ------------------------------------------------------------------------------------------------

NEW, OLD = {"_id": OID, "s": "new"}, {"_id": OID, "s": "old"}
NONE: list[list[Row]] = [[]]
STATES_OF_A_KEY: dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None, Guard | None, Kind, Cause]] = {
    "an older image": (NEW, OLD, guard_of(FLAT, OLD), Kind.VALUE, Cause.LOST_UPDATE),
    "it never came": (NEW, None, None, Kind.MISSING, Cause.LOST_UPDATE),
    "deleted, and back at the source": (NEW, None, Guard(7, None, deleted=True), Kind.MISSING, Cause.LOST_UPDATE),
    "rows taken away": (NEW, None, guard_of(FLAT, NEW), Kind.MISSING, Cause.ROGUE_WRITE),
    "older rows taken away": (NEW, None, guard_of(FLAT, OLD), Kind.MISSING, Cause.ROGUE_WRITE),
    "rows changed": (NEW, OLD, guard_of(FLAT, NEW), Kind.VALUE, Cause.ROGUE_WRITE),
    "rows changed and an update lost": (NEW, {**OLD, "s": "x"}, guard_of(FLAT, OLD), Kind.VALUE, Cause.ROGUE_WRITE),
    "rows without a guard": (NEW, OLD, None, Kind.VALUE, Cause.ROGUE_WRITE),
    "rows of a deleted key that is back": (NEW, OLD, Guard(7, None, deleted=True), Kind.VALUE, Cause.ROGUE_WRITE),
    "a delete that was lost": (None, OLD, guard_of(FLAT, OLD), Kind.EXTRA, Cause.LOST_DELETE),
    "a delete that was lost, and rows changed": (None, NEW, guard_of(FLAT, OLD), Kind.EXTRA, Cause.ROGUE_WRITE),
    "rows of a deleted key": (None, OLD, Guard(7, None, deleted=True), Kind.EXTRA, Cause.ROGUE_WRITE),
    "rows that nobody applied": (None, OLD, None, Kind.EXTRA, Cause.ROGUE_WRITE),
    "written by the application, and not brought back": (
        NEW, OLD, Guard(9, None, written_here=True), Kind.VALUE, Cause.LOST_UPDATE,
    ),
    "made by the application, and not brought back": (
        None, OLD, Guard(9, None, written_here=True), Kind.EXTRA, Cause.LOST_DELETE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES_OF_A_KEY)
async def test_a_key_in_each_state_is_found_and_given_its_cause(name: str) -> None:
    body, held, guard, kind, cause = STATES_OF_A_KEY[name]
    rows = rows_of(FLAT, held) if held else NONE
    found = await judged(FLAT, body, rows, guard=guard, usual={"_id": OID, "s": "usual"})
    assert (found.kind, found.cause) == (kind, cause)
    assert {one.path for one in found.fields} == ({"s"} if kind is Kind.VALUE else set())


def shelf(*bodies: dict[str, Any]) -> tuple[dict[bytes, Entry], dict[bytes, Entry]]:
    """These documents on both sides, under their own keys, beside keys that nobody touches."""
    sources, targets = twins(FLAT, {"_id": OID, "s": "usual"})
    for body in bodies:
        entry = source(FLAT, body)
        held = stored(FLAT, entry.key, rows_of(FLAT, body), guard_of(FLAT, body))
        assert held is not None
        sources[entry.key], targets[entry.key] = entry, held
    return sources, targets


async def test_one_key_lost_and_one_made_are_found_though_the_counts_agree() -> None:
    """Below the source's first key and above its last one, too."""
    lost, below, above = ({"_id": key, "s": "x"} for key in ("lost", MinKey(), MaxKey()))
    sources, targets = shelf(lost, below, above)
    del targets[source(FLAT, lost).key]
    for made in (below, above):
        entry = stored(FLAT, source(FLAT, made).key, rows_of(FLAT, made), None)
        assert entry is not None
        del sources[entry.key]
        targets[entry.key] = entry
    found = await run(sources, targets)
    assert {key: (one.kind, one.cause) for key, one in found.items()} == {
        source(FLAT, lost).key: (Kind.MISSING, Cause.LOST_UPDATE),
        source(FLAT, below).key: (Kind.EXTRA, Cause.ROGUE_WRITE),
        source(FLAT, above).key: (Kind.EXTRA, Cause.ROGUE_WRITE),
    }


async def test_two_keys_that_swapped_their_rows_are_both_found() -> None:
    one, other = {"_id": 1, "s": "x"}, {"_id": 2, "s": "y"}
    sources, targets = shelf(one, other)
    for mine, theirs in ((one, other), (other, one)):
        rows = changed(FLAT, rows_of(FLAT, mine), "c_s", theirs["s"])
        held = stored(FLAT, source(FLAT, mine).key, rows, guard_of(FLAT, mine))
        assert held is not None
        targets[held.key] = held
    found = await run(sources, targets)
    assert {key: one.cause for key, one in found.items()} == {
        source(FLAT, body).key: Cause.ROGUE_WRITE for body in (one, other)
    }


KEYS: list[Any] = [
    1,
    1.5,
    "1",
    True,
    OID,
    str(OID),
    b"1",
    {"a": 1},
    {"a": "1"},
    Decimal128("2.5"),
    WHEN,
    "",
    Int64(2**40),
]


@pytest.mark.parametrize(("lost", "made"), list(zip(KEYS, [*KEYS[1:], KEYS[0]], strict=True)), ids=str)
async def test_a_key_of_one_type_is_never_taken_for_one_of_another(lost: Any, made: Any) -> None:
    sources, targets = shelf(*({"_id": key, "s": "same"} for key in KEYS))
    gone, there = (source(FLAT, {"_id": key}).key for key in (lost, made))
    del targets[gone], sources[there]
    found = await run(sources, targets)
    assert {key: (one.kind, one.cause) for key, one in found.items()} == {
        gone: (Kind.MISSING, Cause.LOST_UPDATE),
        there: (Kind.EXTRA, Cause.LOST_DELETE),
    }


UNREADABLE_DOCUMENT = b"\x07_id\0" + OID.binary + b"\x10a\0\1\0\0\0" + b"\x10a\0\2\0\0\0"


async def test_a_document_that_cannot_be_read_is_found_as_such() -> None:
    raw = (len(UNREADABLE_DOCUMENT) + 5).to_bytes(4, "little") + UNREADABLE_DOCUMENT + b"\0"
    entry = SourceForm(FLAT).entry(raw)
    sources, targets = twins(FLAT, NEW)
    held = stored(FLAT, entry.key, rows_of(FLAT, OLD), guard_of(FLAT, OLD))
    assert held is not None
    found = await run({**sources, entry.key: entry}, {**targets, entry.key: held})
    assert [(one.key, one.kind, one.cause) for one in found.values()] == [
        (entry.key, Kind.UNREADABLE, Cause.LOST_UPDATE)
    ]


async def test_what_is_accounted_for_elsewhere_is_no_false_alarm() -> None:
    """Quarantined keys, keys that both sides call deleted, and keys that neither has."""
    key = source(FLAT, NEW).key
    quarantined, deleted = Guard(7, None, quarantined=True), Guard(7, None, deleted=True)
    for guard, there in ((quarantined, True), (deleted, False)):
        sources, targets = twins(FLAT, NEW)
        held = stored(FLAT, key, NONE, guard)
        assert held is not None
        assert await run({**sources, **({key: source(FLAT, NEW)} if there else {})}, {**targets, key: held}) == {}


# --- one bug of the mapping -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrong", "cause"), [(TWINS + 1, Cause.MAPPING_BUG), (TWINS - 1, Cause.TRUNCATION)])
async def test_a_field_that_is_wrong_in_most_keys_is_a_mapping_bug_and_keeps_its_pattern(
    wrong: int, cause: Cause
) -> None:
    body = {"_id": OID, "s": "Lovelace"}
    sources, targets = twins(FLAT, body)
    held = stored(FLAT, source(FLAT, body).key, changed(FLAT, rows_of(FLAT, body), "c_s", "Love"), guard_of(FLAT, body))
    assert held is not None
    for number in range(wrong):
        key = b"wrong %d" % number
        sources[key], targets[key] = replace(source(FLAT, body), key=key), replace(held, key=key)
    found = await run(sources, targets)
    assert len(found) == wrong
    assert {one.cause for one in found.values()} == {cause}
    assert {field.cause for one in found.values() for field in one.fields} == {Cause.TRUNCATION}
