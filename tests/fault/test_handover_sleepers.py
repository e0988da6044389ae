"""Attempts that slept while another went on: they change nothing that is no longer theirs."""

from __future__ import annotations

import asyncio
import time

import pytest

from midflight import handover
from midflight.core.phase import Stage
from midflight.core.routing import BUCKETS
from midflight.errors import TargetUnavailable
from midflight.handover import take_back
from midflight.testing.faults import Valve, lose
from tests.fixtures.handovers import (
    CALLS_OVER,
    SECOND_OVER,
    assert_handed_over,
    assert_still_at_the_target,
    assert_undone,
    at,
    second,
)
from tests.fixtures.moving import at_source, at_target, authority, back, fenced, moving, over
from tests.fixtures.rig import Rig


@pytest.mark.parametrize(("where", "port", "method"), CALLS_OVER[1:])
async def test_an_attempt_that_slept_cannot_flip_once_its_successor_has_undone_it(
    prepared: Rig, where: str, port: str, method: str
) -> None:
    """Red if the flip does not name the revision of its own hold: it would happen with the fence down."""
    valve = Valve()
    hold = second(lambda _: valve.hold(1)) if method in SECOND_OVER else valve.hold
    async with moving(prepared) as bridge, prepared.bridge() as other:
        sleeper = asyncio.create_task(over(at(where)(bridge, port, method, before=hold), prepared, 20.0))
        await valve.reached.wait()
        assert not (await over(other, prepared, first=False)).done
        valve.opened.set()
        handed = await sleeper
        assert not handed.done
        assert_undone(prepared)


async def test_an_attempt_that_wakes_while_its_successor_undoes_it_cannot_flip(prepared: Rig) -> None:
    """Red if the fence comes down before the hold has a new revision."""
    flips, fences = Valve(), Valve()
    async with moving(prepared) as bridge, prepared.bridge() as other:
        sleeper = asyncio.create_task(over(at_target(bridge, "ledger", "flip", before=flips.hold), prepared, 20.0))
        await flips.reached.wait()
        opening = at_source(other, "fence", "lower_fence", after=fences.hold)
        undoing = asyncio.create_task(over(opening, prepared, first=False))
        await fences.reached.wait()
        flips.opened.set()
        assert not (await sleeper).done
        fences.opened.set()
        assert not (await undoing).done
        assert_undone(prepared)


async def test_a_sleeper_of_an_earlier_attempt_does_not_lower_the_fence_of_a_later_one(prepared: Rig) -> None:
    valve = Valve()
    async with moving(prepared) as bridge, prepared.bridge() as other:
        sleeper = asyncio.create_task(over(at_target(bridge, "ledger", "flip", before=valve.hold), prepared, 20.0))
        await valve.reached.wait()
        assert not (await over(other, prepared, first=False)).done
        assert (await over(other, prepared)).done
        valve.opened.set()
        await sleeper
        assert_handed_over(prepared)


async def test_an_undoing_that_slept_does_not_lower_the_fence_of_a_later_handover(prepared: Rig) -> None:
    valve = Valve()
    async with moving(prepared) as bridge, prepared.bridge() as other:
        await bridge.target.ledger.set_stage("orders", Stage.HOLD, BUCKETS, 0)
        sleeper = asyncio.create_task(take_back(at_target(bridge, "ledger", "set_stage", after=valve.hold)))
        await valve.reached.wait()
        assert not (await over(other, prepared, first=False)).done
        assert (await over(other, prepared)).done
        valve.opened.set()
        assert (await sleeper).authority == "target"
        assert_handed_over(prepared)


async def test_without_the_ledger_an_attempt_that_slept_leaves_the_fence_alone(
    prepared: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own look at the ledger fails after a long sleep, and meanwhile another handover has been finished."""
    asleep = 0.0
    monkeypatch.setattr(handover, "seconds", lambda: time.monotonic() + asleep)
    async with moving(prepared) as bridge, prepared.bridge() as other:

        async def sleep_and_fail(number: int) -> None:
            nonlocal asleep
            if number == 2:
                assert not (await over(other, prepared, first=False)).done
                assert (await over(other, prepared)).done
                asleep = 100.0
            if number > 1:
                raise TargetUnavailable("The ledger is away.")

        lost = at_source(bridge, "fence", "raise_fence", before=lose(1))
        with pytest.raises(TargetUnavailable):
            await over(at_target(lost, "ledger", "authority", before=sleep_and_fail), prepared)
        assert_handed_over(prepared)


async def test_a_way_back_that_slept_does_not_lower_the_fence_of_the_next_way_over(prepared: Rig) -> None:
    valve = Valve()
    async with moving(prepared) as bridge, prepared.bridge() as other:
        await over(bridge, prepared)
        held = at_target(bridge, "ledger", "flip_back", after=valve.hold)
        sleeper = asyncio.create_task(back(held, prepared, 20.0))
        await valve.reached.wait()
        assert (await back(other, prepared, first=False)).done
        assert (await over(other, prepared, epoch=3)).done
        valve.opened.set()
        assert (await sleeper).done
        assert authority(prepared) == ("target", 4, "target", True)
        with prepared.source() as shop:
            assert fenced(shop)


async def test_a_way_back_that_slept_does_not_close_the_target_once_its_hold_was_taken_back(prepared: Rig) -> None:
    """Red if closing does not name the revision of its own hold: a way back that was said to be undone would go on."""
    valve = Valve()
    async with moving(prepared) as bridge, prepared.bridge() as other:
        await over(bridge, prepared)
        sleeper = asyncio.create_task(back(at_target(bridge, "ledger", "close", before=valve.hold), prepared, 20.0))
        await valve.reached.wait()
        assert not (await back(other, prepared, first=False)).done
        valve.opened.set()
        assert not (await sleeper).done
        assert_still_at_the_target(prepared)
