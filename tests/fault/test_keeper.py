"""The keeper of the source's fence: it mends what an accident left, and never meddles with a handover."""

from __future__ import annotations

from typing import Any

import pytest

from midflight import keeper as keeper_module
from midflight.core.phase import Stage
from midflight.core.routing import BUCKETS
from midflight.keeper import Keeper
from midflight.sync import Bridge
from tests.fixtures.moving import at_source, back, fenced, moving, over, soon
from tests.fixtures.rig import Rig

KEPT = "select kind, details -> 'collections' from midflight.audit where kind like 'fence_%' order by number"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper that looks all the time."""
    monkeypatch.setattr(keeper_module, "LOOK_EVERY_SECONDS", 0.05)


def is_fenced(rig: Rig) -> bool:
    with rig.source() as shop:
        return fenced(shop)


async def looked(bridge: Bridge, times: int = 2) -> None:
    keeper = Keeper(bridge)
    for _ in range(times):
        await keeper.look()


# --- beside the tail ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hurried")
async def test_a_fence_that_somebody_lowered_under_the_target_is_raised_again(prepared: Rig) -> None:
    """Red without the keeper: the application's writes would be accepted by the old authority from then on."""
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        await bridge.source.fence.lower_fence(["orders"])
        await soon(lambda: prepared.query(KEPT) == [("fence_restored", ["orders"])], "the fence to be told of")
        assert is_fenced(prepared)
        assert (await back(bridge, prepared)).done
        assert not is_fenced(prepared)


@pytest.mark.usefixtures("hurried")
async def test_a_fence_that_came_up_under_the_source_is_lowered(prepared: Rig) -> None:
    """Red without the keeper: nobody could write anywhere until the next handover."""
    async with moving(prepared) as bridge:
        await bridge.source.fence.raise_fence(["orders"])
        await soon(lambda: prepared.query(KEPT) == [("fence_lowered", ["orders"])], "the fence to be told of")
        assert not is_fenced(prepared)
        assert (await over(bridge, prepared)).done


@pytest.mark.usefixtures("hurried")
async def test_handovers_there_and_back_give_the_keeper_nothing_to_do(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        for epoch in (1, 3, 5):
            assert (await over(bridge, prepared, epoch=epoch)).done
            assert (await back(bridge, prepared, epoch=epoch + 1)).done
        assert prepared.query(KEPT) == []


# --- what it leaves alone -------------------------------------------------------------------------------------------


async def test_a_hold_of_the_source_is_left_alone(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await bridge.target.ledger.set_stage("orders", Stage.HOLD, BUCKETS, 0)
        await bridge.source.fence.raise_fence(["orders"])
        await looked(bridge, 3)
        assert is_fenced(prepared)


async def test_a_closed_target_is_left_alone(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        await bridge.target.ledger.close("orders")
        await bridge.source.fence.lower_fence(["orders"])
        await looked(bridge, 3)
        assert not is_fenced(prepared)


async def test_one_look_lowers_nothing_nor_do_two_with_a_move_of_the_row_between(prepared: Rig) -> None:
    """Red if the rows of both looks are not compared: the fence may belong to a handover that began in between."""
    async with moving(prepared) as bridge:
        await bridge.source.fence.raise_fence(["orders"])
        keeper = Keeper(bridge)
        for reads in (BUCKETS // 2, BUCKETS):
            await keeper.look()
            await bridge.target.ledger.set_stage("orders", Stage.RAMP, reads, 0)
        await keeper.look()
        assert is_fenced(prepared)
        await keeper.look()
        assert not is_fenced(prepared)


async def test_a_fence_is_not_raised_for_an_authority_that_has_just_moved(prepared: Rig) -> None:
    """Red if the row is not read again: the source would be in charge behind a fence."""
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        await bridge.source.fence.lower_fence(["orders"])

        async def go_back(_: int) -> None:
            await bridge.target.ledger.close("orders")
            await bridge.target.ledger.flip_back("orders", 2)
            await bridge.target.ledger.set_stage("orders", Stage.RAMP, BUCKETS, 0)

        await Keeper(at_source(bridge, "fence", "fenced", after=go_back)).look()
        assert not is_fenced(prepared)
        assert prepared.query(KEPT) == []


async def test_a_fence_is_not_lowered_under_a_hold_that_has_just_begun(prepared: Rig) -> None:
    """Red if the row is not read again: it may be the fence of that hold."""
    async with moving(prepared) as bridge:
        await bridge.source.fence.raise_fence(["orders"])

        async def hold(number: int) -> Any:
            if number == 2:
                await bridge.target.ledger.set_stage("orders", Stage.HOLD, BUCKETS, 0)

        await looked(at_source(bridge, "fence", "fenced", after=hold))
        assert is_fenced(prepared)
        assert prepared.query(KEPT) == []
