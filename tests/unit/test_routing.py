"""Where a read or a write goes: golden vectors of the percentage, its evenness, and every stage."""

from __future__ import annotations

from uuid import UUID

import pytest
from bson.objectid import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from midflight.core.keys import key_bytes
from midflight.core.phase import Stage
from midflight.core.routing import (
    BUCKETS,
    DARK_READS,
    READS,
    Route,
    Side,
    bucket,
    read_side,
    sampled,
    shadows,
    write_side,
)

ALL = BUCKETS


def route(stage: Stage, reads_bp: int = 0, *, dark_reads_bp: int = 0, authority: Side | None = None) -> Route:
    at_target = stage in (Stage.TARGET, Stage.TARGET_ONLY)
    authority = authority or (Side.TARGET if at_target else Side.SOURCE)
    return Route("members", authority, 1, 1, at_target, stage, reads_bp, dark_reads_bp)


# Never change these: a running ramp would send members to the other store.
GOLDEN = [
    ("members", READS, "m-1", 4331),
    ("members", READS, "m-2", 3171),
    ("members", DARK_READS, "m-1", 2343),
    ("orders", READS, "m-1", 6969),
    ("members", READS, 1, 5950),
    ("members", READS, 1.0, 5950),
    ("members", READS, ObjectId("65920100aabbccddeeff0011"), 1634),
    ("members", READS, UUID("12345678-1234-5678-1234-567812345678"), 2810),
    ("members", READS, "", 1262),
    ("members", READS, "Grüße, 世界", 6692),
]


@pytest.mark.parametrize(("domain", "salt", "key", "expected"), GOLDEN)
def test_the_formula_of_the_percentage_never_changes(domain: str, salt: str, key: object, expected: int) -> None:
    assert bucket(domain, salt, key_bytes(key)) == expected


def test_every_part_of_the_formula_counts() -> None:
    assert bucket("ab", "c", b"d") != bucket("a", "bc", b"d")


@given(st.text(max_size=20), st.integers(0, ALL), st.integers(0, ALL))
def test_who_is_at_the_target_stays_there_when_the_percentage_grows(name: str, low: int, high: int) -> None:
    low, high = sorted((low, high))
    entity = key_bytes(name)
    if read_side(route(Stage.RAMP, low), entity) is Side.TARGET:
        assert read_side(route(Stage.RAMP, high), entity) is Side.TARGET


def test_nothing_is_none_and_all_is_everybody() -> None:
    entities = [key_bytes(number) for number in range(2_000)]
    assert {read_side(route(Stage.RAMP, 0), entity) for entity in entities} == {Side.SOURCE}
    assert {read_side(route(Stage.RAMP, ALL), entity) for entity in entities} == {Side.TARGET}


@pytest.mark.parametrize(("percent", "tolerance"), [(1, 0.3), (10, 0.8), (50, 1.5)])
def test_the_percentage_is_even(percent: int, tolerance: float) -> None:
    count = sum(bucket("members", READS, key_bytes(f"m-{number}")) < percent * 100 for number in range(20_000))
    assert count / 200 == pytest.approx(percent, abs=tolerance)


def test_the_sample_of_dark_reads_is_not_the_ramp() -> None:
    entities = [key_bytes(f"m-{number}") for number in range(20_000)]
    ramp = route(Stage.RAMP, 5_000, dark_reads_bp=1_000)
    in_sample = [entity for entity in entities if sampled(ramp, entity)]
    at_target = sum(read_side(ramp, entity) is Side.TARGET for entity in in_sample)
    assert len(in_sample) == pytest.approx(2_000, rel=0.1)
    assert at_target / len(in_sample) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("stage", "writes", "reads", "followed"),
    [
        (Stage.OFF, Side.SOURCE, Side.SOURCE, False),
        (Stage.SHADOW, Side.SOURCE, Side.SOURCE, True),
        (Stage.DARK_READ, Side.SOURCE, Side.SOURCE, True),
        (Stage.RAMP, Side.SOURCE, Side.TARGET, True),
        (Stage.HOLD, None, Side.TARGET, True),
        (Stage.TARGET, Side.TARGET, Side.TARGET, False),
        (Stage.TARGET_ONLY, Side.TARGET, Side.TARGET, False),
    ],
)
def test_every_stage_of_the_protocols_table(stage: Stage, writes: Side | None, reads: Side, followed: bool) -> None:
    now = route(stage, ALL)
    assert (write_side(now), read_side(now, b"any"), shadows(now)) == (writes, reads, followed)


def test_while_the_way_back_holds_writes_reads_stay_at_the_target() -> None:
    held = route(Stage.HOLD, 0, authority=Side.TARGET)
    assert read_side(held, b"any") is Side.TARGET
    assert write_side(held) is None
    assert not shadows(held)


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.SHADOW, Stage.HOLD, Stage.TARGET, Stage.TARGET_ONLY])
def test_dark_reads_are_made_in_two_stages_only(stage: Stage) -> None:
    assert not sampled(route(stage, ALL, dark_reads_bp=ALL), b"any")
    assert sampled(route(Stage.DARK_READ, dark_reads_bp=ALL), b"any")
    assert sampled(route(Stage.RAMP, dark_reads_bp=ALL), b"any")
