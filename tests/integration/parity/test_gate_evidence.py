"""What the gates are told of parity: the newest run that compared everything, byte for byte, and what is open of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from midflight.core.gates import Evidence
from midflight.parity.ports import RunStore
from midflight.parity.records import (
    Cause,
    EntityCounts,
    Kind,
    LevelOutcome,
    Mismatch,
    RunRecord,
    State,
    Verdict,
)
from midflight.postgres.connection import open_runs
from tests.integration.door_kit import DOMAIN, Shop, open_shop

NOW = datetime.now(UTC)
EXACT = LevelOutcome("full", Verdict.FAIL, "", {"exact": True})
BOTH = (EntityCounts("orders", compared=20, unproven=0), EntityCounts("members", compared=20, unproven=0))


class Ledger:
    """A domain's ledger, with the place where its runs are kept."""

    def __init__(self, here: Shop, runs: RunStore) -> None:
        self.here, self.runs = here, runs

    async def run(self, name: str, *found: Mismatch, minutes: int = 5, **changes: object) -> None:
        """A run that ended so many minutes ago."""
        now = datetime.now(UTC)
        record = RunRecord(DOMAIN, name, "gate", now, now - timedelta(minutes=minutes), "print", (EXACT,), BOTH)
        record = replace(record, **changes)  # type: ignore[arg-type]
        await self.runs.begin(record, {})
        await self.runs.judge(DOMAIN, name, found)
        if record.finished_at is not None:
            await self.runs.finish(record)

    async def evidence(self) -> Evidence:
        return await self.here.target.ledger.evidence(DOMAIN)


@pytest.fixture
async def ledger(postgres_database: str) -> AsyncIterator[Ledger]:
    async with open_shop(postgres_database) as here, open_runs(postgres_database) as runs:
        yield Ledger(here, runs)


def mismatch(key: str, state: State = State.SETTLED, kind: Kind = Kind.VALUE) -> Mismatch:
    return Mismatch("orders", key.encode(), kind, (), Cause.UNKNOWN, state, NOW, NOW, 1)


async def test_what_is_open_of_a_finished_run_is_a_mismatch_and_all_else_gives_the_documents_back(
    ledger: Ledger,
) -> None:
    states = (State.SETTLED, State.HOT, State.SUSPECT, State.CLEARED, State.REPAIRED)
    await ledger.run("one", *(mismatch(state.value, state) for state in states))
    found = await ledger.evidence()
    assert (found.parity_run, found.documents_compared, found.mismatches, found.rebuilt_equal) == ("one", 40, 3, 37)
    assert found.parity_age_seconds is not None
    assert 250 < found.parity_age_seconds < 400


async def test_a_repair_after_the_run_closes_what_was_open(ledger: Ledger) -> None:
    await ledger.run("one", mismatch("a"))
    assert (await ledger.evidence()).mismatches == 1
    await ledger.runs.judge(DOMAIN, "one", [mismatch("a", State.REPAIRED)])
    found = await ledger.evidence()
    assert (found.mismatches, found.rebuilt_equal) == (0, 40)


async def test_a_key_that_only_the_target_has_was_never_a_compared_document(ledger: Ledger) -> None:
    await ledger.run("one", mismatch("ghost", kind=Kind.EXTRA))
    found = await ledger.evidence()
    assert (found.mismatches, found.rebuilt_equal) == (1, 40)


async def test_documents_that_were_not_seen_to_be_given_back_do_not_count_as_rebuilt(ledger: Ledger) -> None:
    await ledger.run("one", entities=(replace(BOTH[0], unproven=2), BOTH[1]))
    assert (await ledger.evidence()).rebuilt_equal == 38


@pytest.mark.parametrize(
    "lack",
    [
        {"entities": BOTH[:1]},
        {"finished_at": None},
        {"mode": "watch"},
        {"levels": (LevelOutcome("full", Verdict.PASS, "", {"exact": False}),)},
        {"levels": (LevelOutcome("sample", Verdict.PASS, "", {}),)},
    ],
    ids=["a collection", "the end", "keys that were skipped", "the bytes", "the full level"],
)
async def test_a_run_that_lacks_something_is_no_evidence(ledger: Ledger, lack: dict[str, Any]) -> None:
    """Red without each of the conditions of the query."""
    await ledger.run("half", **lack)
    assert (await ledger.evidence()).parity_age_seconds is None
    await ledger.run("whole", minutes=10)
    assert (await ledger.evidence()).parity_run == "whole"


async def test_the_run_that_ended_last_counts(ledger: Ledger) -> None:
    for minutes, name in ((9, "one"), (3, "two"), (6, "three")):
        await ledger.run(name, minutes=minutes)
    assert (await ledger.evidence()).parity_run == "two"


async def test_broken_invariants_are_named(ledger: Ledger) -> None:
    broken = [LevelOutcome("invariants", Verdict.FAIL, "broken: points"), LevelOutcome("structure", Verdict.FAIL)]
    await ledger.run("one", levels=(EXACT, *broken))
    assert (await ledger.evidence()).levels_failed == ("invariants",)
