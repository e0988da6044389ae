"""Runs of parity in the ledger: places and mismatches commit together, values come back as they were, nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from midflight.errors import RunUnknown, Superseded
from midflight.parity.forms.normal import MISSING, NULL
from midflight.parity.ports import RunStore
from midflight.parity.records import (
    Cause,
    EntityCounts,
    FieldCensus,
    FieldDifference,
    Kind,
    LevelOutcome,
    Mismatch,
    Normal,
    RunRecord,
    State,
    Verdict,
)
from midflight.postgres.connection import open_runs
from midflight.records import KeyRange
from tests.integration.door_kit import DOMAIN, open_shop

NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
RECORD = RunRecord(DOMAIN, "r1", "gate", NOW, None, "print")
RANGES = {"orders": [KeyRange(), KeyRange(None, b"m"), KeyRange(b"m", None)], "members": [KeyRange()]}


@pytest.fixture
async def runs(postgres_database: str) -> AsyncIterator[RunStore]:
    """In a database without a ledger: a run may be kept where nothing is migrated."""
    async with open_runs(postgres_database) as opened:
        await opened.begin(RECORD, RANGES)
        yield opened


def mismatch(key: str, source: Normal = "a", target: Normal = "b", **changes: Any) -> Mismatch:
    field = FieldDifference("name", Kind.VALUE, source, target, Cause.TRUNCATION)
    found = Mismatch("orders", key.encode(), Kind.VALUE, (field,), Cause.STALE, State.SUSPECT, NOW, NOW, 1)
    return replace(found, **changes)


async def test_a_run_that_has_begun_is_known_with_its_ranges(runs: RunStore) -> None:
    assert await runs.record(DOMAIN, "r1") == RECORD
    assert [p.keys for p in await runs.progress(DOMAIN, "r1", "orders")] == RANGES["orders"]
    assert [p.number for p in await runs.progress(DOMAIN, "r1", "members")] == [0]


async def test_a_run_that_has_begun_is_kept_with_its_levels(runs: RunStore) -> None:
    begun = replace(RECORD, run="r2", levels=(LevelOutcome("sample", Verdict.INCOMPLETE),))
    await runs.begin(begun, {})
    assert await runs.record(DOMAIN, "r2") == begun


async def test_a_known_run_stays_as_it_is_when_it_is_begun_again(runs: RunStore) -> None:
    """Red without `on conflict do nothing`, and with ranges written all the same: keys would be compared twice."""
    again = replace(RECORD, mode="watch", started_at=NOW + timedelta(hours=1))
    await runs.begin(again, {"orders": [KeyRange(b"x", b"y")] * 9})
    assert await runs.record(DOMAIN, "r1") == RECORD
    assert len(await runs.progress(DOMAIN, "r1", "orders")) == 3


async def test_a_run_that_nobody_began_is_unknown(runs: RunStore) -> None:
    with pytest.raises(RunUnknown, match="r2"):
        await runs.record(DOMAIN, "r2")
    with pytest.raises(RunUnknown, match="r2"):
        await runs.finish(replace(RECORD, run="r2"))


async def test_a_place_and_what_was_found_on_the_way_commit_together(runs: RunStore) -> None:
    place = (await runs.progress(DOMAIN, "r1", "orders"))[1]
    moved = replace(place, cursor=b"c", compared=10, equal=9, tally={"skipped": 3, "census": {"a": [1, None]}})
    await runs.advance(DOMAIN, "r1", "orders", moved, [mismatch("b")])
    assert (await runs.progress(DOMAIN, "r1", "orders"))[1] == replace(moved, batches=1)
    assert await runs.mismatches(DOMAIN, "r1") == [mismatch("b")]


async def test_an_attempt_that_was_overtaken_leaves_neither_place_nor_mismatch(runs: RunStore) -> None:
    """Red with the mismatches written before the place, in a transaction of their own."""
    place = (await runs.progress(DOMAIN, "r1", "orders"))[1]
    await runs.advance(DOMAIN, "r1", "orders", replace(place, cursor=b"c", compared=1), [])
    with pytest.raises(Superseded, match="range 1 of orders"):
        await runs.advance(DOMAIN, "r1", "orders", replace(place, cursor=b"a"), [mismatch("a")])
    assert await runs.mismatches(DOMAIN, "r1") == []
    assert (await runs.progress(DOMAIN, "r1", "orders"))[1].cursor == b"c"


VALUES: tuple[Normal, ...] = (
    MISSING,
    NULL,
    "",
    "text \u2713",
    "with \0 in it",
    "\ud800 half a pair",
    0,
    2**70,
    0.1,
    -0.0,
    float("inf"),
    Decimal("1E+6111"),
    Decimal("0.1000"),
    NOW,
    ("bool", True),
    ("binary", 4, b"\0\xff"),
    ("date", -(10**15)),
    ("nested", ("a", None, ("b", 1.5))),
)


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_a_differing_value_comes_back_as_it_was(runs: RunStore, value: Normal) -> None:
    await runs.judge(DOMAIN, "r1", [mismatch("k", value, "other"), mismatch("l", "other", value)])
    first, second = await runs.mismatches(DOMAIN, "r1")
    for kept in (first.fields[0].source, second.fields[0].target):
        assert type(kept) is type(value)
        assert repr(kept) == repr(value)
    assert (first.fields[0].source is MISSING) == (value is MISSING)


async def test_everything_known_of_a_mismatch_comes_back(runs: RunStore) -> None:
    known = mismatch(
        "k",
        last_seen=NOW + timedelta(seconds=5),
        cause=Cause.ROGUE_WRITE,
        state=State.HOT,
        rounds=7,
        source_version=b"s",
        target_version=b"t",
        token=2**40,
        resets=5,
    )
    await runs.judge(DOMAIN, "r1", [known])
    assert await runs.mismatches(DOMAIN, "r1") == [known]


async def test_the_last_word_on_a_key_replaces_what_was_known_of_it(runs: RunStore) -> None:
    await runs.judge(DOMAIN, "r1", [mismatch("a"), mismatch("b")])
    settled = mismatch("a", state=State.SETTLED, fields=(), kind=Kind.MISSING, token=4)
    await runs.judge(DOMAIN, "r1", [mismatch("a", rounds=9), settled, mismatch("c")])
    assert await runs.mismatches(DOMAIN, "r1") == [settled, mismatch("b"), mismatch("c")]


async def test_mismatches_come_page_by_page_by_entity_and_key_and_by_state(runs: RunStore) -> None:
    """Keys in order of their bytes, entities too: a page ends where the next one begins."""
    found = [mismatch(key, entity=entity) for entity in ("Zoo", "orders", "é") for key in ("B", "a", "é")]
    settled = replace(found[4], state=State.SETTLED)
    await runs.judge(DOMAIN, "r1", [*reversed(found), settled])
    seen: list[Mismatch] = []
    after = None
    while page := await runs.mismatches(DOMAIN, "r1", after=after, at_most=2):
        seen += page
        after = (page[-1].entity, page[-1].key)
    assert seen == [*found[:4], settled, *found[5:]]
    assert await runs.mismatches(DOMAIN, "r1", states=["settled", "hot"]) == [settled]
    assert await runs.mismatches(DOMAIN, "r1", states=["suspect"], after=("orders", b"a"), at_most=1) == [found[5]]


async def test_a_finished_run_keeps_its_levels_counts_and_census(runs: RunStore) -> None:
    done = replace(
        RECORD,
        finished_at=NOW + timedelta(minutes=1),
        levels=(LevelOutcome("full", Verdict.FAIL, "1 settled", {"done": True, "ranges": [1, 2], "rate": 0.5}),),
        entities=(EntityCounts("orders", source=3, target=2, compared=3, settled=1, by_rule={"ignored note": 2}),),
        census=(FieldCensus("orders", "lines.*.sku", 3, 2, 1, 1, {"string": 2}, {"text": 1}),),
    )
    await runs.finish(done)
    assert await runs.record(DOMAIN, "r1") == done
    assert done.verdict is Verdict.FAIL


async def test_a_run_ends_once(runs: RunStore) -> None:
    first = replace(RECORD, finished_at=NOW + timedelta(minutes=1))
    await runs.finish(first)
    await runs.finish(replace(first, finished_at=NOW + timedelta(hours=1)))
    assert (await runs.record(DOMAIN, "r1")).finished_at == first.finished_at


async def test_the_history_has_the_newest_runs_of_the_domain_first(runs: RunStore) -> None:
    for run in ("r3", "r2"):
        await runs.begin(replace(RECORD, run=run), {})
    await runs.begin(replace(RECORD, domain="other"), {})
    assert [record.run for record in await runs.history(DOMAIN)] == ["r2", "r3", "r1"]
    assert [record.run for record in await runs.history(DOMAIN, at_most=1)] == ["r2"]
    assert [record.domain for record in await runs.history("other")] == ["other"]


async def test_a_ledger_of_the_second_version_is_upgraded_and_its_runs_count_no_more(postgres_database: str) -> None:
    async with open_shop(postgres_database) as here:
        await here.look.execute("create table midflight.parity_runs (domain text)")
        await here.look.execute("drop table midflight.parity_reports, midflight.parity_places cascade")
        await here.look.execute("drop table midflight.parity_mismatches")
        await here.look.execute("update midflight.version set version = 2")
        async with open_runs(postgres_database) as runs:
            await runs.begin(RECORD, RANGES)
        assert await here.ask("select to_regclass('midflight.parity_runs')") == [(None,)]
        assert await here.ask("select version from midflight.version") == [(3,)]


async def test_a_reset_of_the_copy_forgets_what_was_said_of_it(postgres_database: str) -> None:
    """Red without: a run over rows that are gone would still count as evidence in the history."""
    async with open_shop(postgres_database) as here, open_runs(postgres_database) as runs:
        await runs.begin(RECORD, RANGES)
        await runs.judge(DOMAIN, "r1", [mismatch("a")])
        await here.target.ledger.reset(here.plan)
        assert await runs.history(DOMAIN) == []
        assert await runs.mismatches(DOMAIN, "r1") == []
