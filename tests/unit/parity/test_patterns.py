"""What two values say about what happened to the one on its way to the other."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midflight.parity.forms.normal import EMPTY_ARRAY, EMPTY_OBJECT, FALSE, MISSING, NAN, NULL, TRUE
from midflight.parity.patterns import pattern_of
from midflight.parity.records import Cause, Normal

NOON = datetime(2026, 11, 21, 12, 7, 13, 456_000, tzinfo=UTC)
MAX_DECIMAL128 = Decimal("9." + "9" * 33 + "e6144")


def later(**by: float) -> datetime:
    return NOON + timedelta(**by)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("abcdef", "abc"),
        ("abc   ", "abc"),
        ("Zoë", "Zo"),
        ("before\0after", "before"),
        ("cafe\u0301", "cafe"),
        ("abcdef", "abc..."),
        ("abcdef", "abc\u2026"),
        ("  abc ", "abc"),
        (("binary", 0, b"\x00\x01\x02"), ("binary", 0, b"\x00\x01")),
        (2**32 + 5, 5),
        (3_000_000_000, 3_000_000_000 - 2**32),
        (3_000_000_000, 2**31 - 1),
        (-70_000, -(2**15)),
        (70_000, 70_000 - 2**16),
    ],
)
def test_what_was_cut_short_is_truncation(source: Normal, target: Normal) -> None:
    assert pattern_of(source, target) is Cause.TRUNCATION


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("abc", ""),
        ("abc", "abcdef"),
        ("abc", "bc"),
        ("abc", "abd"),
        ("abc", "..."),
        ("   ", ""),
        (" abc ", "bc"),
        (2**32 + 5, 6),
        (5, 2**31 - 1),
        (40_000, -40_000),
        (("binary", 0, b"\x00\x01"), ("binary", 4, b"\x00")),
        (("objectId", "aa"), ("objectId", "bb")),
        ("5", 5),
        (b"ab", "a"),
    ],
)
def test_what_is_no_beginning_is_no_truncation(source: Normal, target: Normal) -> None:
    assert pattern_of(source, target) is Cause.UNKNOWN


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (0.1, Decimal("0.1000000000000000055511151231257827")),
        (2**53 + 1, 2**53),
        (2**53 + 1, float(2**53)),
        (0.1, 0.10000000149011612),
        (16_777_217, 16_777_216),
        (Decimal("19.995"), Decimal("19.99")),
        (Decimal("19.995"), Decimal("20.00")),
        (19.99, 19),
        (19.99, 20),
        (-19.99, -19),
        (-19.1, -20),
        (0.5, 1),
        (Decimal("1.234567890123456789012345678901234"), Decimal("1.2345678901234568")),
        (1.0000000001, 1.0000000002),
        (Decimal("1000000000000000000000000000001.5"), 10**30 + 1),
        (NOON, later(microseconds=1)),
        (NOON, later(microseconds=-999)),
        (NOON, NOON.replace(microsecond=0)),
        (NOON, NOON.replace(second=0, microsecond=0)),
        (NOON, NOON.replace(hour=0, minute=0, second=0, microsecond=0)),
    ],
)
def test_what_lost_its_last_digits_is_precision(source: Normal, target: Normal) -> None:
    assert pattern_of(source, target) is Cause.PRECISION


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (5, 4),
        (0.1, 1),
        (-0.9, -2),
        (Decimal("19.994"), Decimal("20.00") + 1),
        (1_000_001, 1_000_000),
        (10**17 + 10**6, 10**17),
        (19.99, 21),
        (19.99, 18),
        (1e-17, 2e-17),
        (100.25, 101.5),
        (Decimal("1e6144"), Decimal("1e-6176")),
        (MAX_DECIMAL128, -MAX_DECIMAL128),
        (10**400, 10**401),
        (1e300, 2e300),
        (float("inf"), 1.0),
        (1.0, float("-inf")),
        (1.5, NAN),
        (1.5, "1.5"),
        (1, TRUE),
        (NOON, later(seconds=1)),
        (NOON, later(days=2)),
    ],
)
def test_another_number_or_time_is_no_precision(source: Normal, target: Normal) -> None:
    assert pattern_of(source, target) is Cause.UNKNOWN


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Zoë", unicodedata.normalize("NFD", "Zoë")),
        ("café", "cafÃ©"),
        ("10 €", "10 â‚¬"),
        ("naïve", "naÃ¯ve"),
        ("cafÃ©", "café"),
        ("café!", "cafÃƒÂ©!"),
        ("Zoë X", "Zo? X"),
        ("Zoë X", "Zo\ufffd X"),
        ("日本 X", "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd X"),
        ("Zoë X", "Zo X"),
        ("Zoë X", "Zoe X"),
        ("Zoë 👩 X", "Zoë ???? X"),
        ("Zoë 👩 X", "Zoë \ufffd X"),
        ("Í x", "Ã\x8d x"),
        ("a & b", "a &amp; b"),
        ("a &lt; b", "a < b"),
        ("Zoë", "Zo\\u00eb"),
        ('"x"', '\\"x\\"'),
        ("a b/c", "a%20b%2Fc"),
        ("a\r\nb", "a\nb"),
        ("a\nb", "a\r\nb"),
        ("\ufeffa", "a"),
    ],
)
def test_the_same_text_in_other_bytes_is_encoding(source: str, target: str) -> None:
    assert pattern_of(source, target) is Cause.ENCODING


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Zoë X", "Zoë Y"),
        ("what?", "what!"),
        ("ab", "??"),
        ("Zoë ab", "Zo? ?b"),
        ("Zoë", "Zoé"),
        ("é", "\ufffda"),
        ("", "\ufffd"),
        ("a", "a??"),
        ("Zoë 👩", "Zoé ??"),
        ("\ud800", "x"),
    ],
)
def test_another_text_is_no_encoding(source: str, target: str) -> None:
    assert pattern_of(source, target) is Cause.UNKNOWN


@pytest.mark.parametrize("hours", [1, -1, 2, -5, 5.5, 5.75, 14, -14, 0.25, 12])
def test_a_time_moved_by_quarter_hours_is_a_time_zone_shift(hours: float) -> None:
    assert pattern_of(NOON, later(hours=hours)) is Cause.TIME_ZONE_SHIFT


def test_a_date_beyond_pythons_years_moved_by_an_hour_is_a_time_zone_shift() -> None:
    far = 10**15
    assert pattern_of(("date", far), ("date", far + 3_600_000)) is Cause.TIME_ZONE_SHIFT
    assert pattern_of(("date", 10**18), ("date", -(10**18))) is Cause.UNKNOWN


@pytest.mark.parametrize("days", [1, -1])
def test_a_day_without_a_time_that_became_the_next_one_is_a_time_zone_shift(days: int) -> None:
    day = NOON.replace(hour=0, minute=0, second=0, microsecond=0)
    assert pattern_of(day, day + timedelta(days=days)) is Cause.TIME_ZONE_SHIFT
    assert pattern_of(day, day + timedelta(days=2 * days)) is Cause.UNKNOWN


@pytest.mark.parametrize("shift", [{"hours": 14.25}, {"hours": 24}, {"minutes": 20}, {"hours": 1, "milliseconds": 1}])
def test_other_moves_of_a_time_are_no_time_zone_shift(shift: dict[str, float]) -> None:
    assert pattern_of(NOON, later(**shift)) is Cause.UNKNOWN


@pytest.mark.parametrize("source", [MISSING, NULL])
@pytest.mark.parametrize(
    "target",
    [
        0,
        0.0,
        Decimal("0.00"),
        "",
        FALSE,
        EMPTY_ARRAY,
        EMPTY_OBJECT,
        datetime(1970, 1, 1, tzinfo=UTC),
        NOON,
        NAN,
        "NULL",
        "None",
    ],
)
def test_what_columns_are_filled_with_where_the_source_has_nothing_is_default_filled(
    source: Normal, target: Normal
) -> None:
    assert pattern_of(source, target) is Cause.DEFAULT_FILLED


@pytest.mark.parametrize(
    ("source", "target"),
    [(MISSING, "x"), (MISSING, 7), (NULL, TRUE), (MISSING, NULL), (NULL, MISSING), ("x", ""), (7, 0), (TRUE, FALSE)],
)
def test_other_values_are_no_defaults(source: Normal, target: Normal) -> None:
    assert pattern_of(source, target) is Cause.UNKNOWN


VALUES = st.one_of(
    st.text(),
    st.integers(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False),
    st.datetimes(timezones=st.just(UTC)),
    st.tuples(st.just("date"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("binary"), st.integers(0, 255), st.binary()),
    st.sampled_from([MISSING, NULL, NAN, TRUE, FALSE, EMPTY_ARRAY, ("minKey",), ("code", "x", None)]),
)


@given(VALUES, VALUES)
def test_every_pair_of_values_has_a_pattern_or_none(source: Normal, target: Normal) -> None:
    assert isinstance(pattern_of(source, target), Cause)
