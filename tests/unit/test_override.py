"""An application's own tests in any stage, without servers: routes are fixed, shadow writes are recorded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from midflight.core.keys import key_bytes
from midflight.core.routing import READS, bucket
from midflight.errors import WritesHeld
from midflight.gateway import AsyncGateway, Gateway, Side
from midflight.gateway.overriding import named, overridden
from midflight.testing.override import StageOverride, override_stage
from tests.fixtures.stages import NOWHERE

STAGES = ["off", "shadow", "dark_read", "ramp", "target", "target_only"]
AT_TARGET = ("target", "target_only")

gateway = AsyncGateway(**NOWHERE)
points = gateway.domain("points", entity=str)
sync_gateway = Gateway(**NOWHERE)
sync_points = sync_gateway.domain("points", entity=str)


async def balance_at_target(member: str) -> str:
    return f"target {member}"


@points.read(entity=lambda member: member, target=balance_at_target)
async def balance(member: str) -> str:
    return f"source {member}"


async def earn_at_target(member: str, amount: int) -> str:
    return f"target {member} {amount}"


@points.write(
    entities=lambda member, amount: [member], target=earn_at_target, keys=lambda member, amount: {"members": [member]}
)
async def earn(member: str, amount: int) -> str:
    points.touched("entries", f"{member}-{amount}")
    return f"source {member} {amount}"


@sync_points.read(entity=lambda member: member, target=lambda member: f"target {member}")
def sync_balance(member: str) -> str:
    return f"source {member}"


@sync_points.write(entities=lambda member: [member], target=lambda member: f"target {member}")
def sync_earn(member: str) -> str:
    sync_points.touched("members", member)
    return f"source {member}"


@pytest.mark.parametrize("stage", STAGES)
async def test_reads_and_writes_go_where_the_stage_says(stage: str) -> None:
    side = "target" if stage in AT_TARGET else "source"
    with override_stage(points, stage):
        assert await balance("m1") == f"{side} m1"
        assert await earn("m1", 5) == f"{side} m1 5"


@pytest.mark.parametrize("stage", STAGES)
def test_the_sync_twin_goes_the_same_way(stage: str) -> None:
    side = "target" if stage in AT_TARGET else "source"
    with override_stage(sync_points, stage):
        assert sync_balance("m1") == f"{side} m1"
        assert sync_earn("m1") == f"{side} m1"


async def test_a_share_of_the_entities_reads_from_the_target_in_ramp() -> None:
    with override_stage(points, "ramp", reads_percent=40):
        for member in (f"m{number}" for number in range(50)):
            expected = "target" if bucket("points", READS, key_bytes(member)) < 4_000 else "source"
            assert await balance(member) == f"{expected} {member}"


async def test_what_writes_name_is_recorded_in_place_of_the_shadow_write() -> None:
    with override_stage(points, "ramp", reads_percent=100) as stage:
        await earn("m1", 5)
        await earn("m2", 6)
        assert stage.keys("members") == ["m1", "m2"]
        assert stage.keys("entries") == ["m1-5", "m2-6"]
        assert await balance("m1") == "target m1"


def test_the_sync_twin_records_too() -> None:
    with override_stage(sync_points, "shadow") as stage:
        sync_earn("m1")
        assert stage.keys("members") == ["m1"]


@pytest.mark.parametrize("stage", AT_TARGET)
async def test_nothing_is_recorded_at_the_target(stage: str) -> None:
    with override_stage(points, stage) as seen:
        await earn("m1", 5)
        assert seen.keys("members") == []


async def test_a_unit_of_work_records_when_it_ends() -> None:
    with override_stage(points, "shadow") as stage:
        async with points.unit_of_work() as route:
            assert route.stage == "shadow"
            await earn("m1", 5)
        assert stage.keys("members") == ["m1"]


async def test_a_held_write_raises_at_once_and_reads_go_on() -> None:
    with override_stage(points, "hold", reads_percent=100):
        assert await balance("m1") == "target m1"
        with pytest.raises(WritesHeld):
            await earn("m1", 5)


async def test_the_stage_can_move_in_the_middle_of_a_test() -> None:
    with override_stage(points, "ramp") as stage:
        revision = points.route.revision
        await earn("m1", 5)
        stage.move("target")
        assert points.route.authority is Side.TARGET
        assert points.route.revision > revision
        assert await earn("m1", 6) == "target m1 6"
        assert stage.keys("members") == ["m1"]


@override_stage(points, "target")
async def test_it_decorates_async_tests() -> None:
    assert await balance("m1") == "target m1"


@override_stage(sync_points, "target")
def test_it_decorates_plain_tests() -> None:
    assert sync_balance("m1") == "target m1"


@pytest.fixture
def in_ramp() -> Iterator[StageOverride]:
    with override_stage(points, "ramp", reads_percent=100) as stage:
        yield stage


async def test_it_does_for_a_fixture(in_ramp: StageOverride) -> None:
    await earn("m1", 5)
    assert in_ramp.keys("members") == ["m1"]


async def test_a_gateway_stands_for_all_its_domains() -> None:
    whole = AsyncGateway(**NOWHERE)
    handles = [whole.domain(name, entity=str) for name in ("orders", "members")]
    with override_stage(whole, "dark_read", dark_reads_percent=5):
        assert [handle.route.stage for handle in handles] == ["dark_read", "dark_read"]
        assert set(whole.routes()) == {"orders", "members"}


async def test_the_inner_override_counts_and_the_outer_one_comes_back() -> None:
    with override_stage(points, "shadow") as outer:
        await earn("m1", 1)
        with override_stage(points, "target") as inner:
            assert await balance("m1") == "target m1"
            assert inner.keys("members") == []
        assert await balance("m1") == "source m1"
        assert outer.keys("members") == ["m1"]
    assert not overridden
    assert not named


@pytest.mark.parametrize("percent", [-1, 100.5])
def test_a_percentage_outside_0_to_100_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="no percentage"):
        override_stage(points, "ramp", reads_percent=percent)


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(ValueError, match="dual_write"):
        override_stage(points, "dual_write")
