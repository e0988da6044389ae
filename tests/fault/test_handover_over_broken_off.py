"""The way over broken off anywhere: never half, and whoever asks again hears what became of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from psycopg.conninfo import conninfo_to_dict

from midflight.core.phase import Stage
from midflight.core.routing import BUCKETS
from midflight.errors import AuthorityMoved, MidflightError, TargetUnavailable
from midflight.handover import take_back
from midflight.testing.faults import Valve, lose
from tests.fault.test_stores_away import through
from tests.fixtures.handovers import CALLS_OVER, SECOND_OVER, assert_handed_over, assert_undone, at, second
from tests.fixtures.moving import at_source, at_target, fenced, moving, over
from tests.fixtures.proxy import proxied
from tests.fixtures.rig import Rig


@pytest.mark.parametrize(("where", "port", "method"), CALLS_OVER)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_call_that_fails_anywhere_in_the_hold_leaves_nothing_half(
    prepared: Rig, where: str, port: str, method: str, side: str
) -> None:
    number = 2 if method in SECOND_OVER else 1
    async with moving(prepared) as bridge:
        handed = await over(at(where)(bridge, port, method, **{side: lose(number)}), prepared)
        if (method, side) == ("flip", "after"):
            assert (handed.done, handed.epoch) == (True, 2)
            assert_handed_over(prepared)
        else:
            assert not handed.done
            assert "LostAnswer" in handed.reason
            assert_undone(prepared)


@pytest.mark.parametrize(("where", "port", "method"), CALLS_OVER)
async def test_a_cancelled_attempt_undoes_itself_before_it_ends(
    prepared: Rig, where: str, port: str, method: str
) -> None:
    valve = Valve()
    hold = second(lambda _: valve.hold(1)) if method in SECOND_OVER else valve.hold
    async with moving(prepared) as bridge:
        task = asyncio.create_task(over(at(where)(bridge, port, method, before=hold), prepared))
        await valve.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert_undone(prepared)


async def test_a_hold_that_does_not_hear_its_cancellation_does_not_flip_while_it_is_undone(prepared: Rig) -> None:
    """Red without the look at `undoing` before each step: the ledger is away for who undoes, and the flip is asked for

    between the look at the fence and its end.
    """
    verifying, undoing, flipped = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def deaf(number: int) -> None:
        if number == 2:
            verifying.set()
            with suppress(asyncio.CancelledError):
                await undoing.wait()
            await undoing.wait()

    async def away(number: int) -> None:
        if number > 1:
            raise TargetUnavailable("The ledger is away.")

    async def let_flip(_: int) -> None:
        undoing.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(flipped.wait(), 2)

    async def flip(_: int) -> None:
        flipped.set()

    async with moving(prepared) as bridge:
        held = at_source(at_source(bridge, "feed", "mark", before=deaf), "fence", "lower_fence", before=let_flip)
        held = at_target(at_target(held, "ledger", "flip", after=flip), "ledger", "authority", before=away)
        attempt = asyncio.create_task(over(held, prepared, 20.0))
        await verifying.wait()
        attempt.cancel()
        with pytest.raises(TargetUnavailable):
            await attempt
        assert not (await over(bridge, prepared, first=False)).done
        assert_undone(prepared)


@pytest.mark.parametrize(("where", "port", "method"), CALLS_OVER)
async def test_the_target_that_goes_away_in_the_hold_opens_the_source_unless_the_flip_was_asked_for(
    prepared: Rig, where: str, port: str, method: str
) -> None:
    """And the next attempt, with the target back, says how it stands."""
    place, direct = conninfo_to_dict(prepared.postgres_dsn), prepared.postgres_dsn
    async with moving(prepared), proxied(str(place["host"]), int(str(place["port"]))) as proxy:
        through(prepared, target=proxy)

        async def cut(_: int) -> None:
            await proxy.cut()

        hook = second(cut) if method in SECOND_OVER else cut
        async with prepared.bridge() as far:
            prepared.postgres_dsn = direct
            with pytest.raises(MidflightError) as raised:
                await over(at(where)(far, port, method, before=hook), prepared)
        assert raised.value.retryable
        with prepared.source() as shop:
            assert fenced(shop) == (method == "flip")
        async with prepared.bridge() as near:
            handed = await over(near, prepared, first=False)
        assert not handed.done
        assert_undone(prepared)


async def test_what_a_killed_worker_left_is_undone_first(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        for first in (True, False):
            await bridge.target.ledger.set_stage("orders", Stage.HOLD, BUCKETS, 0)
            await bridge.source.fence.raise_fence(["orders"])
            handed = await over(bridge, prepared, first=first)
            assert (handed.done, handed.epoch) == (False, 1)
            assert "undone" in handed.reason
            assert_undone(prepared)
        assert (await over(bridge, prepared)).done


async def test_a_second_attempt_after_the_flip_says_that_it_is_done(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        for first in (True, False):
            handed = await over(bridge, prepared, first=first)
            assert (handed.done, handed.epoch) == (True, 2)
        assert_handed_over(prepared)
        with pytest.raises(AuthorityMoved):
            await over(bridge, prepared, epoch=7)


async def test_undoing_after_the_flip_changes_nothing(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        assert (await take_back(bridge)).authority == "target"
        assert_handed_over(prepared)
