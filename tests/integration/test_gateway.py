"""The application's library on real stores: every stage's ways, acknowledgements, parking, read-your-writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

import embedded
from midflight.core.keys import key_bytes
from midflight.core.phase import Stage
from midflight.core.routing import READS, Side, bucket
from midflight.errors import GatewayMisused, NotReady, WritesHeld
from midflight.gateway import AsyncGateway
from tests.integration.gateway_kit import DOMAIN, QUICK, App, Gate, World, open_app, open_world, until

ALL = 10_000


@pytest.fixture
async def world(servers: embedded.Servers, mongo_database: str, postgres_database: str) -> AsyncIterator[World]:
    async with open_world(servers.mongo_uri, mongo_database, postgres_database) as opened:
        yield opened


@pytest.fixture
async def app(world: World) -> AsyncIterator[App]:
    async with open_app(world) as opened:
        yield opened


# --- where calls go -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "reads_bp", "read", "write", "shadowed"),
    [
        (Stage.OFF, 0, Side.SOURCE, "source", False),
        (Stage.SHADOW, 0, Side.SOURCE, "source", True),
        (Stage.DARK_READ, 0, Side.SOURCE, "source", True),
        (Stage.RAMP, 0, Side.SOURCE, "source", True),
        (Stage.RAMP, ALL, Side.TARGET, "source", True),
    ],
)
async def test_before_the_flip_the_source_is_written_and_the_target_follows(
    world: World, app: App, stage: Stage, reads_bp: int, read: Side, write: str, shadowed: bool
) -> None:
    await world.stage(stage, reads_bp)
    assert await app.put("ada", 7) == write
    assert await app.points("ada") == 7
    assert app.sides("points") == [read]
    assert await world.target_points("ada") == (7 if shadowed else None)


@pytest.mark.parametrize("stage", [Stage.TARGET, Stage.TARGET_ONLY])
async def test_after_the_flip_everything_goes_to_the_target(world: World, app: App, stage: Stage) -> None:
    await world.flip()
    if stage is Stage.TARGET_ONLY:
        await world.target.ledger.retire(DOMAIN)
    assert await app.put("ada", 7) == "target"
    assert await app.points("ada") == 7
    assert app.sides("points") == [Side.TARGET]
    assert await world.source_points("ada") is None


async def test_a_percentage_sends_the_same_entities_to_the_target_each_time(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, 5_000)
    names = [f"name-{number}" for number in range(40)]
    for _ in range(2):
        for name in names:
            await app.points(name)
    expected = [Side.TARGET if bucket(DOMAIN, READS, key_bytes(name)) < 5_000 else Side.SOURCE for name in names]
    assert app.sides("points") == expected * 2
    assert set(expected) == set(Side)


async def test_the_caller_gets_what_its_own_function_raises(world: World, app: App) -> None:
    async def fail() -> None:
        raise LookupError("no such purse")

    await world.stage(Stage.SHADOW)
    app.before_source_read = app.before_source_write = fail
    with pytest.raises(LookupError):
        await app.points("ada")
    with pytest.raises(LookupError):
        await app.put("ada", 1)
    assert await world.acknowledged((await world.stage(Stage.SHADOW)).revision)


async def test_a_failing_target_read_falls_back_while_the_source_is_the_authority(world: World, app: App) -> None:
    async def fail() -> None:
        raise ConnectionError("gone")

    await world.stage(Stage.RAMP, ALL)
    await app.put("ada", 7)
    app.before_target_read = fail
    assert await app.points("ada") == 7
    assert app.sides("points") == [Side.TARGET, Side.SOURCE]
    await world.flip()
    await app.sees(Stage.TARGET, ALL)
    with pytest.raises(ConnectionError):
        await app.points("ada")


async def test_a_slow_target_read_falls_back_in_time(world: World) -> None:
    async with open_app(world, policy=replace(QUICK, target_read_seconds=0.1)) as app:
        await world.stage(Stage.RAMP, ALL)
        await app.put("ada", 7)
        app.before_target_read = Gate().pass_through
        async with asyncio.timeout(2):
            assert await app.points("ada") == 7


async def test_before_the_first_route_a_call_waits_and_an_unknown_domain_is_named(world: World) -> None:
    policy = replace(QUICK, start_seconds=0.3)
    async with AsyncGateway(ledger=world.dsn, source=world.mongo_uri, policy=policy) as gateway:
        nowhere = gateway.domain("nowhere", entity=str)
        with pytest.raises(NotReady, match="not known yet"):
            _ = nowhere.route
        with pytest.raises(NotReady, match="does not know nowhere"):
            await nowhere.ready()
        assert (await gateway.domain(DOMAIN, entity=str).ready()).stage is Stage.OFF
        assert set(gateway.routes()) == {DOMAIN}


async def test_one_gateway_is_of_one_event_loop(world: World, app: App) -> None:
    await app.domain.ready()
    with pytest.raises(GatewayMisused, match="event loop"):
        await asyncio.to_thread(asyncio.run, app.points("ada"))


# --- acknowledgements -----------------------------------------------------------------------------------------------


async def test_a_step_is_acknowledged_within_a_moment_although_polls_are_rare(world: World) -> None:
    async with open_app(world, policy=replace(QUICK, poll_seconds=30, lease_seconds=60)) as app:
        await app.domain.ready()
        for stage in (Stage.SHADOW, Stage.DARK_READ, Stage.RAMP):
            row = await world.stage(stage)
            async with asyncio.timeout(2):
                await until(partial(world.acknowledged, row.revision), "acknowledgement")


async def test_a_step_is_not_acknowledged_before_the_last_older_write_has_ended(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, ALL)
    await app.domain.ready()
    await app.sees(Stage.RAMP, ALL)
    gate = Gate()
    app.before_source_write = gate.pass_through
    writing = asyncio.create_task(app.put("ada", 1))
    await gate.reached.wait()
    row = await world.stage(Stage.HOLD, ALL)
    await app.sees(Stage.HOLD, ALL)
    for _ in range(3):
        assert not await world.acknowledged(row.revision)
        await asyncio.sleep(QUICK.poll_seconds)
    gate.opened.set()
    async with asyncio.timeout(QUICK.poll_seconds):
        await until(lambda: world.acknowledged(row.revision), "acknowledgement")
    assert await writing == "source"


async def test_the_end_of_the_last_older_write_is_told_within_a_moment_although_polls_are_rare(world: World) -> None:
    async with open_app(world, policy=replace(QUICK, poll_seconds=30, lease_seconds=60)) as app:
        await app.domain.ready()
        gate = Gate()
        app.before_source_write = gate.pass_through
        writing = asyncio.create_task(app.put("ada", 1))
        await gate.reached.wait()
        row = await world.stage(Stage.SHADOW)
        await app.sees(Stage.SHADOW)
        assert not await world.acknowledged(row.revision)
        gate.opened.set()
        async with asyncio.timeout(2):
            await until(partial(world.acknowledged, row.revision), "acknowledgement")
        await writing


async def test_the_ledger_is_told_how_old_the_oldest_write_is(world: World, app: App) -> None:
    gate = Gate()
    app.before_source_write = gate.pass_through
    writing = asyncio.create_task(app.put("ada", 1))
    await gate.reached.wait()

    async def told() -> bool:
        [instance] = await world.target.registry.instances(DOMAIN)
        return (instance.oldest_seconds or 0) > 0.1

    await until(told, "the age of the write")
    gate.opened.set()
    await writing


# --- parking --------------------------------------------------------------------------------------------------------


async def test_parked_writes_go_on_at_the_target_after_the_flip(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, ALL)
    await app.put("ada", 1)
    row = await world.stage(Stage.HOLD, ALL)
    await app.sees(Stage.HOLD, ALL)
    parked = [asyncio.create_task(app.put("ada", points)) for points in (2, 3)]
    await until(lambda: world.acknowledged(row.revision), "acknowledgement")
    await world.fence()
    assert not any(task.done() for task in parked)
    await world.flip()
    assert await asyncio.gather(*parked) == ["target", "target"]
    assert app.sides("put") == [Side.SOURCE, Side.TARGET, Side.TARGET]


async def test_parked_writes_go_on_at_the_source_after_a_hold_that_was_undone(world: World, app: App) -> None:
    await world.stage(Stage.HOLD, ALL)
    await app.domain.ready()
    parked = asyncio.create_task(app.put("ada", 2))
    await asyncio.sleep(0.05)
    assert not parked.done()
    await world.stage(Stage.RAMP, ALL)
    assert await parked == "source"
    assert await world.target_points("ada") == 2


async def test_a_hold_that_lasts_too_long_is_a_retryable_error(world: World) -> None:
    async with open_app(world, policy=replace(QUICK, park_seconds=0.3)) as app:
        await world.stage(Stage.HOLD, ALL)
        with pytest.raises(WritesHeld) as caught:
            await app.put("ada", 2)
        assert caught.value.retryable
        assert app.calls == []


async def test_reads_go_on_while_writes_are_held(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, ALL)
    await app.put("ada", 1)
    await world.stage(Stage.HOLD, ALL)
    await app.sees(Stage.HOLD, ALL)
    assert await app.points("ada") == 1
    assert app.sides("points") == [Side.TARGET]


async def test_while_the_way_back_holds_writes_reads_stay_at_the_target(world: World, app: App) -> None:
    await world.flip()
    await app.put("ada", 1)
    await world.target.ledger.close(DOMAIN)
    await app.sees(Stage.HOLD)
    assert await app.points("ada") == 1
    assert app.sides("points") == [Side.TARGET]


# --- units of work --------------------------------------------------------------------------------------------------


async def test_a_unit_of_work_keeps_its_route_and_is_one_write_in_flight(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, 0)
    async with app.domain.unit_of_work() as pinned:
        row = await world.stage(Stage.HOLD, ALL)
        await until(lambda: app.gateway.routes()[DOMAIN].stage is Stage.HOLD, "hold")
        assert await app.put("ada", 5) == "source"
        assert app.domain.route == pinned
        assert await app.points("ada") == 5
        assert not await world.acknowledged(row.revision)
    await until(lambda: world.acknowledged(row.revision), "acknowledgement")


async def test_a_unit_of_work_reads_what_it_wrote_and_shadows_at_its_end(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, ALL)
    async with app.domain.unit_of_work():
        await app.put("ada", 5)
        assert await world.target_points("ada") is None
        assert await app.points("ada") == 5
    assert await world.target_points("ada") == 5
    assert await app.points("ada") == 5
    assert app.sides("points") == [Side.SOURCE, Side.TARGET]


async def test_a_write_inside_a_write_does_not_wait_for_the_hold_that_waits_for_it(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, 0)
    await app.domain.ready()

    async def second() -> None:
        app.before_source_write = None
        await world.stage(Stage.HOLD, 0)
        await until(lambda: app.gateway.routes()[DOMAIN].stage is Stage.HOLD, "hold")
        await app.put("eve", 2)

    app.before_source_write = second
    async with asyncio.timeout(2):
        assert await app.put("ada", 1) == "source"
    assert (await world.source_points("ada"), await world.source_points("eve")) == (1, 2)


async def test_a_write_that_outlives_its_unit_of_work_stays_in_flight_and_is_behind(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, ALL)
    await app.put("ada", 1)
    gate = Gate()
    app.before_source_write = gate.pass_through
    async with app.domain.unit_of_work():
        writing = asyncio.create_task(app.put("ada", 2))
        await gate.reached.wait()
    row = await world.stage(Stage.RAMP, ALL - 1)
    await app.sees(Stage.RAMP, ALL - 1)
    for _ in range(3):
        assert not await world.acknowledged(row.revision)
        await asyncio.sleep(QUICK.poll_seconds)
    await world.floor_reached(app.gateway)
    gate.opened.set()
    await writing
    assert await app.points("ada") == 2
    async with asyncio.timeout(QUICK.poll_seconds):
        await until(lambda: world.acknowledged(row.revision), "acknowledgement")


async def test_a_failed_write_inside_a_unit_of_work_may_have_happened(world: World, app: App) -> None:
    async def lose_the_answer() -> None:
        raise ConnectionError("gone")

    await world.stage(Stage.RAMP, ALL)
    await app.put("ada", 1)
    async with app.domain.unit_of_work():
        app.after_source_write = lose_the_answer
        with pytest.raises(ConnectionError):
            await app.put("ada", 2)
        app.after_source_write = None
        await app.put("eve", 1)
    assert await app.points("ada") == 2


async def test_what_only_the_function_knows_it_tells_by_touched(world: World, app: App) -> None:
    async def earn(owner: str, points: int) -> str:
        name = f"{owner}-{points}"
        await world.database["purses"].insert_one({"_id": name, "points": points})
        app.domain.touched("purses", name)
        return name

    async def nothing(owner: str, points: int) -> str:
        raise AssertionError

    write = app.domain.write(entities=lambda owner, points: [owner], target=nothing)(earn)
    await world.stage(Stage.RAMP, ALL)
    name = await write("ada", 9)
    assert await world.target_points(name) == 9
    assert app.gateway.floor() == ""


# --- read-your-writes -----------------------------------------------------------------------------------------------


async def write_unseen(world: World, app: App, name: str, points: int) -> None:
    """A write at the source whose documents nobody names, so that no shadow write can be made."""

    async def put(name: str, points: int) -> None:
        await world.database["purses"].update_one({"_id": name}, {"$set": {"points": points}}, upsert=True)

    await app.domain.write(entities=lambda name, points: [name], target=put)(put)(name, points)


async def test_what_missed_its_shadow_write_is_read_from_the_source_until_the_tail_has_it(
    world: World, app: App
) -> None:
    await world.stage(Stage.RAMP, ALL)
    await app.put("ada", 1)
    await write_unseen(world, app, "ada", 2)
    assert await app.points("ada") == 2
    assert await app.points("eve") is None
    assert app.sides("points") == [Side.SOURCE, Side.TARGET]
    await world.floor_reached(app.gateway)
    assert await app.points("ada") == 2
    assert app.sides("points")[-1] is Side.TARGET


@pytest.mark.parametrize("among_others", [False, True])
async def test_after_a_write_that_names_nothing_everything_is_read_from_the_source(
    world: World, app: App, among_others: bool
) -> None:
    async def reset(points: int) -> None:
        await world.database["purses"].update_many({}, {"$set": {"points": points}})

    await world.stage(Stage.RAMP, ALL)
    await app.put("ada", 1)
    reset_all = app.domain.write(entities=lambda points: [], target=reset)(reset)
    with app.gateway.with_floor(""):
        async with app.domain.unit_of_work():
            if among_others:
                await app.put("eve", 1)
            await reset_all(0)
            assert await app.points("ada") == 0
        assert app.gateway.floor().startswith(f"{DOMAIN}.1.")
    assert await app.points("ada") == 0
    assert app.sides("points") == [Side.SOURCE, Side.SOURCE]


@pytest.mark.parametrize("shadow_seconds", [1.0, 0.0])
async def test_what_is_in_quarantine_is_read_from_the_source_although_the_tail_has_passed_it(
    world: World, shadow_seconds: float
) -> None:
    """Whether the shadow write put it there or, where that was missed, the tail; whether it is waived or not."""
    async with open_app(world, policy=replace(QUICK, shadow_seconds=shadow_seconds)) as app:

        async def put(name: str, points: int, owner: object) -> None:
            change = {"points": points, "owner": owner}
            await world.database["purses"].update_one({"_id": name}, {"$set": change}, upsert=True)

        async def read_from(side: Side) -> bool:
            assert await app.points("ada") == 2
            return app.sides("points")[-1] is side

        writing = app.domain.write(
            entities=lambda name, points, owner: [name],
            keys=lambda name, points, owner: {"purses": [name]},
            target=put,
        )
        await world.stage(Stage.RAMP, ALL)
        await writing(put)("ada", 2, 7)
        await writing(put)("eve", 3, "eve")
        await world.floor_reached(app.gateway)
        [entry] = await world.target.ledger.quarantined(DOMAIN)
        await world.target.ledger.waive(DOMAIN, entry.number, "ann", "known")
        for _ in range(3):
            assert await read_from(Side.SOURCE)
            await asyncio.sleep(QUICK.poll_seconds)
        assert await app.points("eve") == 3
        assert app.sides("points")[-1] is Side.TARGET
        await world.database["purses"].update_one({"_id": "ada"}, {"$set": {"owner": "ada"}})
        await world.drain()
        await until(lambda: read_from(Side.TARGET), "the mended document is read at the target")


async def test_a_floor_carries_what_a_session_wrote_to_another_process(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, ALL)
    with app.gateway.with_floor(""):
        await app.put("ada", 1)
        assert app.gateway.floor() == ""
        await write_unseen(world, app, "ada", 2)
        token = app.gateway.floor()
    assert token.startswith(f"{DOMAIN}.1.")
    async with open_app(world) as other:
        await other.domain.ready()
        with other.gateway.with_floor(token):
            assert await other.points("ada") == 2
            assert other.sides("points") == [Side.SOURCE]
            await world.floor_reached(other.gateway)
            assert await other.points("ada") == 2
        assert other.sides("points") == [Side.SOURCE, Side.TARGET]


@pytest.mark.parametrize("token", ["nonsense", "a.b.c~", f"{DOMAIN}.x.1", "~" * 5_000, "\0", f"{DOMAIN}.7.1"])
async def test_a_made_up_token_costs_nothing_but_a_poll(world: World, app: App, token: str) -> None:
    await world.stage(Stage.RAMP, ALL)
    with app.gateway.with_floor(token):
        assert await app.points("ada") is None
    assert app.sides("points") == [Side.TARGET]


async def test_a_floor_of_an_unwritten_mark_is_marked_by_whoever_gets_it(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, ALL)
    with app.gateway.with_floor(f"{DOMAIN}.1.0"):
        assert await app.points("ada") is None
        assert app.sides("points") == [Side.SOURCE]
        await until(lambda: not app.gateway.floor().endswith(".0"), "a mark")
        await world.floor_reached(app.gateway)


async def test_in_a_hold_an_entity_that_is_behind_is_read_where_the_authority_is_by_now(world: World, app: App) -> None:
    """The flip waits for nobody: an instance in `hold` must ask before it reads the source."""
    await world.stage(Stage.RAMP, ALL)
    await app.domain.ready()
    await write_unseen(world, app, "ada", 1)
    await world.stage(Stage.HOLD, ALL)
    await app.sees(Stage.HOLD, ALL)
    async with open_app(world, policy=replace(QUICK, poll_seconds=60, lease_seconds=90)) as late:
        await late.sees(Stage.HOLD, ALL)
        await world.be_silent()
        with late.gateway.with_floor(app.gateway.floor()):
            assert await late.points("ada") == 1
            assert late.sides("points") == [Side.SOURCE]
            await world.drain()
            await world.flip()
            assert await app.put("ada", 2) == "target"
            assert await late.points("ada") == 2


async def test_what_reads_show_reaches_the_ledger(world: World, app: App) -> None:
    await world.stage(Stage.DARK_READ, 0, ALL)
    await app.put("ada", 1)
    for _ in range(5):
        await app.points("ada")
    query = b"select sum(compared), sum(equal), count(*) from midflight.reads where operation = 'points'"

    async def published() -> bool:
        [(compared, equal, _)] = await (await world.look.execute(query)).fetchall()
        return bool(compared == equal == 5)

    await until(published, "the comparisons")


# --- cancellation and the end ---------------------------------------------------------------------------------------


async def test_a_cancelled_call_that_has_not_written_yet_writes_nothing(world: World, app: App) -> None:
    await world.stage(Stage.HOLD, ALL)
    parked = asyncio.create_task(app.put("ada", 1))
    await asyncio.sleep(0.1)
    parked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await parked
    await world.stage(Stage.RAMP, ALL)
    await app.sees(Stage.RAMP, ALL)
    assert app.calls == []


async def test_a_write_cut_after_it_has_happened_is_landed_and_behind(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, ALL)
    await app.put("ada", 1)
    gate = Gate()
    app.after_source_write = gate.pass_through
    writing = asyncio.create_task(app.put("ada", 2))
    await gate.reached.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await app.points("ada") == 2
    assert app.sides("points") == [Side.SOURCE]
    row = await world.stage(Stage.HOLD, ALL)
    await until(lambda: world.acknowledged(row.revision), "acknowledgement")


async def test_closing_waits_for_the_write_and_its_shadow_and_gives_up_the_lease(world: World) -> None:
    await world.stage(Stage.SHADOW)
    gate = Gate()
    async with open_app(world) as app:
        app.before_source_write = gate.pass_through
        writing = asyncio.create_task(app.put("ada", 3))
        await gate.reached.wait()
        asyncio.get_running_loop().call_later(0.2, gate.opened.set)
    assert await writing == "source"
    assert await world.target_points("ada") == 3
    assert await world.target.registry.instances(DOMAIN) == []


async def test_a_closed_gateway_starts_anew_when_it_is_used_again(world: World) -> None:
    async with open_app(world) as app:
        await app.domain.ready()
        await app.gateway.close()
        await app.gateway.close()
        assert await app.points("ada") is None


async def test_floors_of_concurrent_requests_do_not_mix(world: World, app: App) -> None:
    await world.stage(Stage.RAMP, ALL)

    async def request(writes: bool) -> str:
        with app.gateway.with_floor(""):
            if writes:
                await asyncio.create_task(write_unseen(world, app, "ada", 2))
            await asyncio.sleep(0.05)
            return app.gateway.floor()

    wrote, looked = await asyncio.gather(request(True), request(False))
    assert wrote != ""
    assert looked == ""
