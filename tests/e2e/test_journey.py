"""Whole moves under writes, and what stays behind in the history."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any

from bson import Binary, Decimal128, ObjectId
from temporalio.client import Client

from midflight.contracts.domain import Pause, Resume, Rollback
from midflight.core.phase import Phase
from midflight.core.plan import Pacing
from tests.fixtures.rig import Handle, Rig, approve, order, until, until_status
from workflows.client import connect
from workflows.domain import MigrateDomain

WRITTEN = "select coalesce(sum(batches), 0) from midflight.partitions"
SECRET = "hunter2-secret"


async def histories(rig: Rig, handle: Handle) -> dict[str, Any]:
    """The history of the move and of its children, by workflow id."""
    client: Client = await connect(rig.temporal_address, "default")
    found = {}
    async for execution in client.list_workflows(f'WorkflowId STARTS_WITH "{handle.id}"'):
        history = await client.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()
        found[f"{execution.id} {execution.run_id}"] = history
    return found


async def test_a_pause_stops_all_writing_within_two_seconds_and_resume_goes_on_from_the_cursor(rig: Rig) -> None:
    pacing = Pacing(parallel=2, batch_size=20, partition_size=1_000, documents_per_second=400)
    with rig.source() as shop:
        shop.orders.insert_many([order(n) for n in range(2_000)])
        rig.start_worker()
        handle = await rig.start(rig.plan.model_copy(update={"pacing": pacing, "approvals": ()}))
        await until(lambda: (rig.one(WRITTEN) or 0) > 5, "the backfill to write")
        await handle.execute_update(MigrateDomain.pause_update, Pause(person="ann"))
        await asyncio.sleep(2.0)  # what is promised: from here on nothing is written
        before = watermark(rig)
        shop.orders.update_one({"_id": 1}, {"$set": {"version": 99}})
        await asyncio.sleep(1.5)  # long enough for a tail or a copy that had not stopped to write again
        assert watermark(rig) == before
        await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
        await handle.result()
        assert rig.one("select count(*) from shop.orders") == 2_000
        assert rig.one("select version from shop.orders where id = '1'") == 99
        assert rig.one("select sum(documents) from midflight.partitions") == 2_000


def watermark(rig: Rig) -> list[tuple[Any, ...]]:
    """Changes with anything that is written."""
    return rig.query(
        "select (select last_value from midflight.clock), (select count(*) from midflight.guards),"
        " (select sum(batches) from midflight.partitions), (select commits from midflight.positions)"
    )


async def test_a_move_rolled_back_from_ramp_to_the_beginning_arrives_after_all(rig: Rig) -> None:
    plan = rig.plan.model_copy(update={"approvals": ("ramp",)})
    with rig.source() as shop:
        shop.orders.insert_many([order(n) for n in range(500)])
        rig.start_worker()
        handle = await rig.start(plan)
        await until_status(handle, lambda s: s.state.state == "waiting", "the gate of ramp")
        await handle.execute_update(
            MigrateDomain.rollback_update, Rollback(person="ann", to=Phase.PREPARE, reason="drill")
        )
        await until_status(handle, lambda s: s.state.state == "rolled_back", "the rollback")
        assert rig.one("select count(*) from shop.orders") == 0
        assert rig.query("select stage, epoch from midflight.domains") == [("off", 2)]
        shop.orders.delete_many({"_id": {"$lt": 100}})
        await handle.execute_update(MigrateDomain.resume_update, Resume(person="ann"))
        await approve(handle, "ramp")
        await handle.result()
        assert rig.one("select count(*) from shop.orders") == 400
        assert rig.query("select authority, stage, epoch from midflight.domains") == [("target", "target_only", 3)]


async def test_keys_of_many_types_in_one_collection_all_arrive(rig: Rig) -> None:
    keys = [
        1,
        2.5,
        "three",
        ObjectId(),
        Decimal128("4.25"),
        Binary(b"5"),
        datetime(2024, 1, 6, tzinfo=UTC),
        True,
        {"a": 7},
    ]
    with rig.source() as shop:
        shop.orders.insert_many([{**order(n), "_id": key} for n, key in enumerate(keys)])
        rig.start_worker()
        handle = await rig.start(rig.plan.model_copy(update={"approvals": ()}))
        report = await handle.result()
    assert report.parity.compared == report.parity.equal == len(keys)
    assert rig.one("select count(*) from shop.orders") == len(keys)
    assert rig.one("select count(*) from midflight.quarantine") == 0


async def test_bad_documents_go_to_quarantine_and_shut_the_ramp_until_waived_by_name(rig: Rig) -> None:
    with rig.source() as shop:
        shop.orders.insert_many([order(n) for n in range(50)])
        shop.orders.update_one({"_id": 3}, {"$set": {"placed": "yesterday"}})
        shop.orders.update_one({"_id": 4}, {"$set": {"customer": "nul\x00byte"}})
        rig.start_worker()
        handle = await rig.start()
        status = await until_status(
            handle, lambda s: s.state.phase is Phase.RAMP and s.state.gate is not None, "the ramp's gate"
        )
        assert status.state.gate is not None
        assert "2 documents are in quarantine" in status.state.gate.reasons[0]
        async with rig.bridge() as bridge:
            entries = await bridge.target.ledger.quarantined("orders")
            assert {(e.field, e.value_type, e.column) for e in entries} == {
                ("placed", "string", "placed"),
                ("customer", "string", "customer"),
            }
            shop.orders.update_one({"_id": 3}, {"$set": {"placed": datetime(2024, 1, 1, tzinfo=UTC)}})
            waived = next(e for e in entries if e.field == "customer")
            await bridge.target.ledger.waive("orders", waived.number, "ann", "known garbage")
        await approve(handle, "cutover")
        await handle.result()
    assert rig.one("select count(*) from shop.orders") == 49
    assert rig.one("select count(*) from midflight.quarantine") == 1


async def test_the_history_holds_no_document_no_key_and_no_secret_and_stays_small(rig: Rig) -> None:
    marker = "customer-of-the-test-4711"
    key = "key-of-the-test-4712"
    documents = 3_000
    plan = rig.plan.model_copy(update={"pacing": Pacing(batch_size=100, partition_size=1_000)})
    with rig.source() as shop:
        shop.orders.insert_many([{**order(n), "_id": f"{key}-{n}", "customer": marker} for n in range(documents)])
        shop.orders.update_one({"_id": f"{key}-1"}, {"$set": {"placed": SECRET}})
        rig.start_worker()
        handle = await rig.start(plan)
        async with rig.bridge() as bridge:
            await until(lambda: rig.one("select count(*) from midflight.quarantine") == 1, "the bad document")
            entry = (await bridge.target.ledger.quarantined("orders"))[0]
            await bridge.target.ledger.waive("orders", entry.number, "ann", "test")
        await approve(handle, "cutover")
        await handle.result()
    found = await histories(rig, handle)
    assert len(found) >= 3
    text = "".join(decoded(history.to_json()) for history in found.values())
    for forbidden in (marker, key, SECRET, "mongodb://", "postgresql://"):
        assert forbidden not in text
    assert events_of_a_million(found, documents // 1_000) < 2_000


def events_of_a_million(found: dict[str, Any], partitions: int) -> int:
    """From the events of this run: what is fixed, and what each partition (copy) and range (compare) adds."""
    in_all = sum(len(history.events) for history in found.values())
    adding = ("copy_partition", "compare_range")
    each = sum(
        1
        for history in found.values()
        for event in history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name in adding
    )
    events_each = 6  # scheduled, started, completed, and a workflow task of three
    return in_all + events_each * (each // partitions) * (1_000_000 // Pacing().partition_size + 1)


def decoded(history: str) -> str:
    """The history's JSON with every payload decoded from base64."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: base64.b64decode(v).decode("utf-8", "replace") if k == "data" else walk(v) for k, v in value.items()
            }
        return [walk(item) for item in value] if isinstance(value, list) else value

    return json.dumps(walk(json.loads(history)))
