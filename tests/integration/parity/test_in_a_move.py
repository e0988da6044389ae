"""Parity's activities over real servers: what a move finds, what of it is repaired, and what the gates are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from temporalio.testing import ActivityEnvironment

from activities.parity import ParityActivities
from midflight.contracts.base import DomainRef
from midflight.contracts.parity import (
    BeginParity,
    CompareRange,
    FinishParity,
    ParityReport,
    Repaired,
    RepairSettled,
    Settled,
    SettleSuspects,
)
from midflight.core.fingerprint import fingerprint
from midflight.core.gates import Evidence
from midflight.core.keys import key_bytes
from midflight.core.plan import Pacing
from midflight.sync import sync_keys
from tests.fixtures.rig import Rig, order

DOCUMENTS = 60
PACING = Pacing(batch_size=7, partition_size=1_000)


@pytest.fixture
async def copied(prepared: Rig) -> Rig:
    """Everything is copied, and the constraints are there."""
    with prepared.source() as shop:
        shop.orders.insert_many([order(n) for n in range(DOCUMENTS)])
    async with prepared.bridge() as bridge:
        await sync_keys(bridge, {"orders": [key_bytes(n) for n in range(DOCUMENTS)]}, "tail")
        await bridge.target.schema.create_indexes(prepared.plan)
        for constraint in await bridge.target.schema.create_foreign_keys(prepared.plan):
            await bridge.target.schema.validate_foreign_key(prepared.plan, constraint)
    return prepared


def vandalise(rig: Rig, *statements: str) -> None:
    """Somebody who is let through the fence writes to the target."""
    with psycopg.connect(rig.postgres_dsn) as connection:
        connection.execute("select set_config('midflight.applier', %s, true)", [rig.plan.domain])
        for statement in statements:
            connection.execute(statement)


class Run:
    """The activities of one run, in the workflow's order."""

    def __init__(self, rig: Rig) -> None:
        self._parity, self._here = ParityActivities(rig.stores), ActivityEnvironment()
        self._about: dict[str, Any] = {"ref": DomainRef.of(rig.plan, fingerprint(rig.plan)), "run": "r"}

    async def compare(self) -> Settled:
        begun = await self._here.run(self._parity.begin_parity, BeginParity(**self._about, pacing=PACING))
        for one in begun.open:
            request = CompareRange(**self._about, collection=one.collection, number=one.number, pacing=PACING)
            assert (await self._here.run(self._parity.compare_range, request)).done
        return await self._here.run(self._parity.settle_suspects, SettleSuspects(**self._about, barrier_seconds=0.0))

    async def repair(self) -> Repaired:
        return await self._here.run(self._parity.repair_settled, RepairSettled(**self._about, barrier_seconds=0.0))

    async def finish(self) -> ParityReport:
        return await self._here.run(self._parity.finish_parity, FinishParity(**self._about))


async def evidence(rig: Rig) -> Evidence:
    async with rig.bridge() as bridge:
        return await bridge.target.ledger.evidence(rig.plan.domain)


def verdicts(report: ParityReport) -> dict[str, str]:
    return {one.level: one.verdict for one in report.levels}


async def test_what_somebody_did_to_the_target_is_repaired_and_the_gates_are_told(copied: Rig) -> None:
    run = Run(copied)
    vandalise(
        copied,
        "update shop.orders set customer = 'somebody else' where id = '7'",
        "delete from shop.orders where id = '9'",
    )
    assert (await run.compare()).settled == 2
    assert (await run.repair()).repaired == 2
    report = await run.finish()
    assert (report.verdict, report.compared, report.equal, report.repaired) == ("pass", DOCUMENTS, DOCUMENTS, 2)
    assert verdicts(report) == dict.fromkeys(("structure", "census", "sample", "full", "invariants"), "pass")
    assert copied.one("select customer from shop.orders where id = '7'") == order(7)["customer"]
    found = await evidence(copied)
    assert (found.parity_run, found.documents_compared, found.rebuilt_equal, found.mismatches) == (
        "r",
        DOCUMENTS,
        DOCUMENTS,
        0,
    )
    assert await run.finish() == report


async def test_rows_that_give_the_same_fields_in_another_order_are_repaired(copied: Rig) -> None:
    """Red if equal fields are enough: the way back would write other bytes than were there."""
    unusual = {**dict(reversed(order(30).items())), "_id": 500}
    with copied.source() as shop:
        shop.orders.insert_one(unusual)
    async with copied.bridge() as bridge:
        await sync_keys(bridge, {"orders": [key_bytes(500)]}, "tail")
    run = Run(copied)
    vandalise(copied, "update shop.orders set extra = extra - '$order' where id = '500'")
    assert (await run.compare()).settled == 1
    ((differences,),) = copied.query("select differences ->> 0 from midflight.parity_mismatches")
    assert '"path": "=image"' in differences
    assert (await run.repair()).repaired == 1
    await run.finish()
    assert (await evidence(copied)).rebuilt_equal == DOCUMENTS + 1


async def test_a_field_that_is_wrong_everywhere_is_a_bug_of_the_mapping_and_is_left_alone(copied: Rig) -> None:
    """Red if it is repaired: the door would write the same rows again, and nobody would hear of the bug."""
    run = Run(copied)
    vandalise(copied, "update shop.orders set version = version + 1000")
    assert (await run.compare()).settled == DOCUMENTS
    repaired = await run.repair()
    assert (repaired.repaired, repaired.refused, repaired.remaining) == (0, DOCUMENTS, DOCUMENTS)
    report = await run.finish()
    assert (report.verdict, report.mismatches) == ("fail", DOCUMENTS)
    assert causes(copied) == [("mapping bug", DOCUMENTS)]
    assert (await evidence(copied)).mismatches == DOCUMENTS


def causes(rig: Rig) -> Sequence[tuple[Any, ...]]:
    return rig.query("select cause, count(*) from midflight.parity_mismatches where state = 'settled' group by cause")
