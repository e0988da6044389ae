"""Reads that break a limit while they are ramped go back to the source at once, and the reason is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import reads as module
from activities.reads import ReadActivities
from midflight.contracts.base import DomainRef
from midflight.contracts.cutover import Watched, WatchReads
from midflight.core.fingerprint import fingerprint
from midflight.core.histogram import empty, slot
from midflight.core.phase import Stage
from midflight.core.plan import DarkReads, Limits
from midflight.ports import Stores, Target
from midflight.postgres import observed
from midflight.postgres.session import Session, open_session
from midflight.records import READS_BREACHED, AuthorityRow, ReadReport
from midflight.testing.faults import Faulty, FaultyStores, LostAnswer, Valve, lose
from tests.fixtures.rig import Rig, until

DOMAIN = "orders"
LIMITS = Limits(feed_window_seconds=0, minimum_sample=10)
DIFFERS = "1 of 10 compared reads differ (10 %), the limit is 0 %"


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_SECONDS", 0.02)


@pytest.fixture
async def ramped(prepared: Rig) -> Rig:
    """A domain with a quarter of its reads at the target."""
    prepared.plan = prepared.plan.model_copy(update={"limits": LIMITS, "dark_reads": DarkReads(percent=7.5)})
    async with prepared.bridge() as bridge:
        await bridge.target.ledger.register(prepared.plan)
        await bridge.target.ledger.set_stage(DOMAIN, Stage.RAMP, 2_500, 500)
    return prepared


@pytest.fixture
async def session(ramped: Rig) -> AsyncIterator[Session]:
    async with open_session(ramped.postgres_dsn) as opened:
        yield opened


def report(revision: int, **counts: Any) -> ReadReport:
    return ReadReport("balance", revision, **counts)


def latencies(seconds: float, count: int) -> list[int]:
    counts = empty()
    counts[slot(seconds)] = count
    return counts


async def authority(rig: Rig) -> AuthorityRow:
    async with rig.bridge() as bridge:
        return await bridge.target.ledger.authority(DOMAIN)


async def publish(rig: Rig, session: Session, **counts: Any) -> None:
    await observed.publish(session, DOMAIN, "a", [report((await authority(rig)).revision, **counts)], [])


async def reasons(rig: Rig) -> list[dict[str, Any]]:
    async with rig.bridge() as bridge:
        audit = await bridge.target.ledger.audit(DOMAIN)
    return [entry["details"] for entry in audit if entry["kind"] == READS_BREACHED]


def watch(stores: Stores, rig: Rig, seconds: float = 30.0) -> Awaitable[Watched]:
    request = WatchReads(ref=DomainRef.of(rig.plan, fingerprint(rig.plan)), seconds=seconds)
    return ActivityEnvironment().run(ReadActivities(stores).watch_reads, request)


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"compared": 10, "equal": 9}, DIFFERS),
    (
        {"source_latency": latencies(0.001, 50), "target_latency": latencies(0.001, 50), "target_errors": 2},
        "the target fails 4 % of reads, the source 0 %: the limit for the difference is 1 %",
    ),
    (
        {"source_latency": latencies(0.001, 50), "target_latency": latencies(0.2, 50)},
        "the target's p95 is 246.5 ms, the source's 1.2 ms: the limit for the difference is 50 ms",
    ),
]


@pytest.mark.parametrize(("counts", "reason"), BROKEN)
async def test_a_breach_sets_all_reads_back_in_one_step_and_says_why(
    ramped: Rig, session: Session, counts: dict[str, Any], reason: str
) -> None:
    before = await authority(ramped)
    await publish(ramped, session, **counts)
    watched = await watch(ramped.stores, ramped)
    assert watched.breaches[0] == reason
    assert not watched.done
    after = await authority(ramped)
    assert after == replace(before, stage=Stage.DARK_READ, reads_bp=0, dark_reads_bp=750, revision=before.revision + 1)
    assert await reasons(ramped) == [{"revision": after.revision, "breaches": list(watched.breaches)}]


async def test_a_breach_that_comes_later_is_seen_too(ramped: Rig, session: Session) -> None:
    watching = asyncio.ensure_future(watch(ramped.stores, ramped))
    await publish(ramped, session, compared=9, equal=8)
    await asyncio.wait([watching], timeout=0.3)
    assert not watching.done(), "nine reads are no sample"
    await publish(ramped, session, compared=1, equal=1)
    assert (await watching).breaches == (DIFFERS,)


async def test_good_reads_are_watched_until_the_time_is_over(ramped: Rig, session: Session) -> None:
    await publish(ramped, session, compared=100, equal=100)
    watched = await watch(ramped.stores, ramped, seconds=0.2)
    assert (watched.done, watched.breaches) == (True, ())
    assert watched.seconds >= 0.2
    assert (await authority(ramped)).stage is Stage.RAMP


@pytest.mark.parametrize("lost", ["set_back", "audit"])
async def test_a_lost_answer_loses_neither_the_step_nor_the_reason(ramped: Rig, session: Session, lost: str) -> None:
    def fault(target: Target) -> Target:
        return replace(target, ledger=Faulty(target.ledger, lost, after=lose(1)))

    await publish(ramped, session, compared=10, equal=9)
    with pytest.raises(LostAnswer):
        await watch(FaultyStores(ramped.stores, target=fault), ramped)
    assert (await watch(ramped.stores, ramped)).breaches == (DIFFERS,)
    assert len(await reasons(ramped)) == 1


async def test_a_watcher_that_slept_does_not_undo_what_came_after(ramped: Rig, session: Session) -> None:
    """It judged one step of the ramp; meanwhile writes are held for the cutover: its step back would end the hold."""
    valve = Valve()

    def fault(target: Target) -> Target:
        return replace(target, ledger=Faulty(target.ledger, "set_back", before=valve.hold))

    await publish(ramped, session, compared=10, equal=9)
    sleeper = asyncio.ensure_future(watch(FaultyStores(ramped.stores, target=fault), ramped, seconds=0.5))
    await valve.reached.wait()
    async with ramped.bridge() as bridge:
        await bridge.target.ledger.set_stage(DOMAIN, Stage.HOLD, 10_000, 0)
    valve.opened.set()
    assert (await sleeper).breaches == ()
    assert (await authority(ramped)).stage is Stage.HOLD
    assert await reasons(ramped) == []


async def test_reads_set_back_long_ago_are_no_reason_now(ramped: Rig, session: Session) -> None:
    await publish(ramped, session, compared=10, equal=9)
    await watch(ramped.stores, ramped)
    async with ramped.bridge() as bridge:
        await bridge.target.ledger.set_stage(DOMAIN, Stage.RAMP, 2_500, 500)
        assert (await watch(ramped.stores, ramped, seconds=0.1)).breaches == ()
        await bridge.target.ledger.set_stage(DOMAIN, Stage.DARK_READ, 0, 500)
        assert (await watch(ramped.stores, ramped, seconds=0.1)).breaches == ()


async def test_a_pause_ends_the_watch_without_an_error(ramped: Rig) -> None:
    environment = PausedEnvironment()
    request = WatchReads(ref=DomainRef.of(ramped.plan, fingerprint(ramped.plan)), seconds=30.0)
    watching = asyncio.ensure_future(environment.run(ReadActivities(ramped.stores).watch_reads, request))
    await until(lambda: environment.beats, "the first look")
    environment.cancel()
    watched = await watching
    assert (watched.done, watched.breaches) == (False, ())


async def test_a_pause_in_the_middle_of_the_step_back_still_tells_the_reason(ramped: Rig, session: Session) -> None:
    valve = Valve()

    def fault(target: Target) -> Target:
        return replace(target, ledger=Faulty(target.ledger, "set_back", after=valve.hold))

    await publish(ramped, session, compared=10, equal=9)
    environment = PausedEnvironment()
    request = WatchReads(ref=DomainRef.of(ramped.plan, fingerprint(ramped.plan)), seconds=30.0)
    activities = ReadActivities(FaultyStores(ramped.stores, target=fault))
    watching = asyncio.ensure_future(environment.run(activities.watch_reads, request))
    await valve.reached.wait()
    environment.cancel()
    await asyncio.wait([watching], timeout=0.2)
    valve.opened.set()
    assert (await watching).breaches == (DIFFERS,)


class PausedEnvironment(ActivityEnvironment):
    """Counts heartbeats. What it cancels is cancelled by the workflow."""

    def __init__(self) -> None:
        super().__init__()
        self.beats = 0
        self.on_heartbeat = self._beat

    def _beat(self, *details: Any) -> None:
        self.beats += 1
