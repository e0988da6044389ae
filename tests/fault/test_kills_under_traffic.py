"""kill -9 and SIGSTOP of real servers and processes while an application serves: nothing is lost, nobody gets an error.

Each test has servers of its own and makes a whole journey, with clients who check what must be true as they go.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from demo.traffic import TrafficReport
from midflight.core.phase import Phase, Stage
from tests.fixtures.kills import WORKER, Journey, journey

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

OUTAGE = 1.5
STAGES = (
    (Phase.CAPTURE, Stage.SHADOW),
    (Phase.BACKFILL, Stage.SHADOW),
    (Phase.VERIFY, Stage.SHADOW),
    (Phase.DARK_READ, Stage.DARK_READ),
    (Phase.RAMP, Stage.RAMP),
    (Phase.CUTOVER, Stage.HOLD),
    (Phase.SOAK, Stage.TARGET),
)


def assert_kept(told: TrafficReport) -> None:
    """No failed request, nothing lost, no stale read, points conserved, no negative balance: all that clients saw."""
    print(told.line())
    assert told.doubts == []
    assert (told.figures.failed, told.lost, told.stale_reads) == (0, 0, 0)
    assert told.acknowledged > 100
    assert told.audits > 0


async def test_postgresql_dies_in_shadow_dark_read_and_ramp_and_nobody_notices(tmp_path: Path) -> None:
    async with journey(tmp_path) as trip:
        await trip.start()
        await trip.hurry()
        for gate in ("dark_read", "ramp", "cutover"):  # before them the stage is shadow, dark_read and ramp
            await trip.before(gate)
            before = trip.acknowledged()
            await trip.victims.kill("postgres", OUTAGE)
            assert trip.acknowledged() > before, "the application stood still while PostgreSQL was away"
            await trip.served()
            await trip.audit(f"after PostgreSQL died before {gate}")
            state = await trip.before(gate)
            assert state.parity.mismatches == 0
            await trip.open(gate)
        await trip.inside(Phase.SOAK, Stage.TARGET)
        await trip.before("retire")
        await trip.audit("at the target")
    assert_kept(trip.report())


async def test_the_source_dies_while_the_target_is_in_charge_and_catches_up(tmp_path: Path) -> None:
    async with journey(tmp_path) as trip:
        await trip.start()
        await trip.hurry()
        await trip.before("retire")  # the stage is target
        before = trip.acknowledged()
        await trip.victims.kill("mongo", OUTAGE)
        assert trip.acknowledged() > before, "the application stood still while the source was away"
        await trip.served()
        await trip.audit("after the source died")
        await trip.traveller.roll_back(Phase.RAMP, "the way back is there too")
        await trip.until(lambda s: s.state == "rolled_back", "the way back")
        await trip.served()
        await trip.audit("back at the source")
    assert_kept(trip.report())


async def kill_worker(trip: Journey) -> None:
    """A new one takes over when Temporal misses the old one."""
    await trip.victims.kill(WORKER)


async def kill_temporal(trip: Journey) -> None:
    """It comes back with its database."""
    await trip.victims.kill("temporal", OUTAGE)


async def kill_application(trip: Journey) -> None:
    """One after the other in turn, so that nobody is spared."""
    await trip.kill_shop(trip.acknowledged() % len(trip.shop.processes))


@pytest.mark.parametrize("strike", [kill_worker, kill_temporal, kill_application])
async def test_killed_in_every_phase_it_stops_neither_move_nor_traffic(
    tmp_path: Path, strike: Callable[[Journey], Awaitable[None]]
) -> None:
    """A write in flight in one more process holds the capture and the hold open until the strike."""
    async with journey(tmp_path) as trip:
        with trip.slow_till() as till:
            await till.earn("capture", 5)
            await trip.start()
            for phase, stage in STAGES:
                if phase is Phase.CUTOVER:
                    await trip.before("cutover")
                    await trip.audit("before the cutover")
                    await till.earn("hold", 7)
                    await trip.open("cutover")
                await trip.inside(phase, stage)
                await strike(trip)
                if phase in (Phase.CAPTURE, Phase.CUTOVER):
                    told = await till.go_on()
                    assert told.error == ""
                    trip.journal(*(("capture", 5) if phase is Phase.CAPTURE else ("hold", 7)))
                if phase is Phase.CUTOVER:
                    await trip.hand_over()
                if phase is Phase.VERIFY:
                    await trip.hurry()
                await trip.calm()
        await trip.before("retire")
        await trip.audit("at the target")
    assert_kept(trip.report())


async def test_a_cutover_is_undone_for_a_write_that_never_ends_and_goes_on_without_a_process_that_sleeps(
    tmp_path: Path,
) -> None:
    """Both are the same process, with a write immediately before the source: first it lives, then it is stopped.

    A process that serves clients is not stopped here: in the middle of its transaction at the source it could commit
    after the fence, for the stand-in's `collMod` does not wait for open transactions as MongoDB's does.
    """
    async with journey(tmp_path) as trip:
        await trip.start()
        await trip.hurry()
        await trip.before("cutover")
        with trip.slow_till() as till:
            await till.earn("late", 5)
            await trip.open("cutover")
            state = await trip.said("undone")
            assert re.search(r"late: slow-till-\S+: write in flight for", state.problem)
            assert trip.authority() == ("source", "ramp")
            await trip.served()
            told = await till.go_on()
            assert (told.source, told.refused, told.target, told.error) == (1, [], 0, "")
            trip.journal("late", 5)
            await trip.audit("after the undone cutover")

            await trip.traveller.resume("the write has ended")
            await trip.before("cutover")
            await till.earn("asleep", 7)
            known = await till.balance()
            till.process.freeze()
            await trip.open("cutover")
            await trip.hand_over()
            assert trip.authority() == ("target", "target")
            assert await trip.earn("awake", 11) == known + 11
            till.process.thaw()
            assert await till.balance() == known + 11, "a stale read after the sleep"
            told = await till.go_on()
            assert (told.source, told.refused, told.target, told.error) == (1, ["WriteError 121"], 1, "")
            assert told.balance == known + 18
            trip.journal("asleep", 7)
            assert await till.balance() == known + 18
        await trip.before("retire")
        await trip.served()
        await trip.audit("at the target")
    assert_kept(trip.report())
