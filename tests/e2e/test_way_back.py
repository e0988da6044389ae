"""Real stores, a real worker: to the target, written there, back to the source, and forward again to the end."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client

from midflight.contracts.domain import Resume, Rollback
from midflight.core.phase import Phase
from tests.fixtures.rig import Handle, Rig, approve, order, until, until_status
from workflows.client import connect
from workflows.domain import MigrateDomain

LONG = 3_600.0
DOMAIN = "select authority, stage, epoch from midflight.domains"


async def test_what_was_written_at_the_target_is_in_the_source_after_a_rollback_and_the_move_goes_on(rig: Rig) -> None:
    plan = rig.plan.model_copy(update={"soak_seconds": LONG})
    with rig.source() as shop:
        shop.orders.insert_many([order(n) for n in range(300)])
        rig.start_worker()
        handle = await rig.start(plan)
        await in_charge(rig, handle, epoch=2)
        change_at_the_target(rig)

        rollback = Rollback(person="ann", to=Phase.RAMP, reason="drill")
        await handle.execute_update(MigrateDomain.rollback_update, rollback)
        await until_status(handle, lambda s: s.state.state == "rolled_back", "the way back")
        assert rig.query(DOMAIN) == [("source", "ramp", 3)]
        assert {d["_id"]: d["version"] for d in shop.orders.find({"_id": {"$in": [1, 2]}})} == {1: 77}
        shop.orders.update_one({"_id": 5}, {"$set": {"version": 88}})  # the fence is down

        await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
        await in_charge(rig, handle, epoch=4)
        assert rig.query("select id, version from shop.orders where id in ('1', '2', '5') order by id") == [
            ("1", 77),
            ("5", 88),
        ]
        await handle.terminate()


async def test_what_was_only_marked_in_retire_is_written_back_before_the_source_is_in_charge(rig: Rig) -> None:
    plan = rig.plan.model_copy(update={"retention_seconds": LONG})
    with rig.source() as shop:
        shop.orders.insert_many([order(n) for n in range(300)])
        rig.start_worker()
        handle = await rig.start(plan)
        await approve(handle, "cutover")
        await until_status(handle, lambda s: "retention" in s.state.waiting_for, "the retention")
        change_at_the_target(rig)
        assert rig.query(DOMAIN) == [("target", "target_only", 2)]

        rollback = Rollback(person="ann", to=Phase.VERIFY, reason="drill")
        await handle.execute_update(MigrateDomain.rollback_update, rollback)
        await until_status(handle, lambda s: s.state.state == "rolled_back", "the way back")
        assert rig.query(DOMAIN) == [("source", "shadow", 3)]
        assert {d["_id"]: d["version"] for d in shop.orders.find({"_id": {"$in": [1, 2]}})} == {1: 77}
        await handle.terminate()


async def test_a_worker_killed_in_the_way_back_changes_nothing_about_its_end(rig: Rig) -> None:
    plan = rig.plan.model_copy(update={"soak_seconds": LONG})
    with rig.source() as shop:
        shop.orders.insert_many([order(n) for n in range(300)])
        rig.start_worker(hurried=True)
        handle = await rig.start(plan)
        await in_charge(rig, handle, epoch=2)
        rig.kill_workers()
        change_at_the_target(rig)
        client: Client = await connect(rig.temporal_address, "default")
        said = Rollback(person="ann", to=Phase.RAMP, reason="drill")
        await client.get_workflow_handle(handle.id).signal("rollback", said)
        rig.start_worker(hurried=True)
        await until(lambda: left_to_write_back(rig) == 0, "the reverse tail to begin")
        rig.kill_workers()
        rig.start_worker(hurried=True)
        status = await until_status(
            handle, lambda s: s.state.state in ("rolled_back", "attention"), "the way back, done or undone"
        )
        if status.state.state == "attention":  # the attempt that was killed held writes: the next one undid it
            assert "The way back was undone" in status.state.problem
            await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
            await until_status(handle, lambda s: s.state.state == "rolled_back", "the way back")
        assert rig.query(DOMAIN) == [("source", "ramp", 3)]
        assert {d["_id"]: d["version"] for d in shop.orders.find({"_id": {"$in": [1, 2]}})} == {1: 77}
        await handle.terminate()


async def in_charge(rig: Rig, handle: Handle, epoch: int) -> None:
    """Approve the cutover, and wait until the target is in charge and the source is kept fresh."""
    await approve(handle, "cutover")
    await until_status(handle, lambda s: s.state.phase is Phase.SOAK, "the flip")
    assert rig.query(DOMAIN) == [("target", "target", epoch)]


def change_at_the_target(rig: Rig) -> None:
    """As the application does there: one row changed, one deleted."""
    rig.query("update shop.orders set version = 77 where id = '1' returning id")
    rig.query("delete from shop.orders where id = '2' returning id")


def left_to_write_back(rig: Rig) -> Any:
    """Dirty keys that the source does not have yet."""
    return rig.one("select count(*) from midflight.dirty where seq > written_back")
