"""The way back broken off anywhere: the target reopened, or, after the flip back, only forward."""

from __future__ import annotations

import asyncio

import pytest
from psycopg.conninfo import conninfo_to_dict

from midflight.errors import MidflightError
from midflight.testing.faults import Valve, lose
from tests.fault.test_stores_away import through
from tests.fixtures.handovers import assert_back, assert_still_at_the_target, at, second
from tests.fixtures.moving import at_target, back, moving, over
from tests.fixtures.proxy import proxied
from tests.fixtures.rig import Rig

CALLS_BACK = [
    ("target", "ledger", "hold"),
    ("target", "registry", "instances"),
    ("target", "ledger", "close"),
    ("source", "feed", "mark"),
    ("target", "reverse", "pending"),
    ("target", "ledger", "flip_back"),
]
SECOND_BACK = {"mark", "pending"}
"""Of these the first call comes before the hold."""


@pytest.mark.parametrize(("where", "port", "method"), CALLS_BACK)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_call_that_fails_anywhere_on_the_way_back_leaves_nothing_half(
    prepared: Rig, where: str, port: str, method: str, side: str
) -> None:
    number = 2 if method in SECOND_BACK else 1
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        returned = await back(at(where)(bridge, port, method, **{side: lose(number)}), prepared)
        if (method, side) == ("flip_back", "after"):
            assert (returned.done, returned.epoch) == (True, 3)
            assert_back(prepared)
        else:
            assert not returned.done
            assert_still_at_the_target(prepared)


@pytest.mark.parametrize(("where", "port", "method"), CALLS_BACK)
async def test_a_cancelled_way_back_reopens_the_target(prepared: Rig, where: str, port: str, method: str) -> None:
    valve = Valve()
    hold = second(lambda _: valve.hold(1)) if method in SECOND_BACK else valve.hold
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        task = asyncio.create_task(back(at(where)(bridge, port, method, before=hold), prepared))
        await valve.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert_still_at_the_target(prepared)


@pytest.mark.parametrize(("port", "method"), [("fence", "lower_fence"), ("ledger", "set_stage")])
@pytest.mark.parametrize("side", ["before", "after"])
async def test_after_the_flip_back_there_is_only_forward(prepared: Rig, port: str, method: str, side: str) -> None:
    where = "source" if port == "fence" else "target"
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        with pytest.raises(Exception, match="lost"):
            await back(at(where)(bridge, port, method, **{side: lose(1)}), prepared)
        returned = await back(bridge, prepared, first=False)
        assert (returned.done, returned.epoch) == (True, 3)
        assert_back(prepared)
        again = await back(bridge, prepared)
        assert again.done
        assert_back(prepared)


async def test_a_target_that_a_killed_worker_left_closed_is_reopened_first(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        ledger = bridge.target.ledger
        await over(bridge, prepared)
        for leave, first in ((ledger.hold, True), (ledger.close, True), (ledger.close, False)):
            await leave("orders")
            returned = await back(bridge, prepared, first=first)
            assert (returned.done, returned.epoch) == (False, 2)
            assert_still_at_the_target(prepared)
        assert (await back(bridge, prepared)).done


async def test_the_target_that_goes_away_on_the_way_back_is_reopened_by_the_next_attempt(prepared: Rig) -> None:
    place, direct = conninfo_to_dict(prepared.postgres_dsn), prepared.postgres_dsn
    async with moving(prepared) as bridge, proxied(str(place["host"]), int(str(place["port"]))) as proxy:
        await over(bridge, prepared)
        through(prepared, target=proxy)

        async def cut(_: int) -> None:
            await proxy.cut()

        async with prepared.bridge() as far:
            prepared.postgres_dsn = direct
            with pytest.raises(MidflightError) as raised:
                await back(at_target(far, "ledger", "flip_back", before=cut), prepared)
        assert raised.value.retryable
        assert not (await back(bridge, prepared, first=False)).done
        assert_still_at_the_target(prepared)
