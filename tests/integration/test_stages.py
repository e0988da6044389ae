"""The activities that move stages: they wait for the instances of the application, and say who is late."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import cutover
from activities.cutover import CutoverActivities
from midflight import comparing
from midflight.contracts.cutover import AwaitAcknowledged, HandBack, HandedOver, HandOver, Rehearse, SetStage, Undo
from midflight.core.keys import key_bytes
from midflight.core.phase import Stage
from midflight.core.routing import BUCKETS
from midflight.errors import AuthorityMoved
from midflight.records import Beat
from tests.fixtures.moving import (
    AT_THE_SOURCE,
    AT_THE_TARGET,
    as_applier,
    authority,
    fenced,
    instance,
    moving,
    over,
    ref_of,
)
from tests.fixtures.rig import Rig


async def run(rig: Rig, activity: str, request: Any) -> Any:
    return await ActivityEnvironment().run(getattr(CutoverActivities(rig.stores), activity), request)


async def test_a_stage_is_set_and_acknowledged(prepared: Rig) -> None:
    async with instance(prepared, "web-1"), instance(prepared, "web-2"):
        staged = await run(prepared, "set_stage", SetStage(ref=ref_of(prepared), stage=Stage.SHADOW))
    assert (staged.epoch, staged.late) == (1, ())
    assert staged.revision == prepared.one("select revision from midflight.domains")
    assert staged.seconds < 5


async def test_requests_of_an_earlier_epoch_move_no_stage_and_empty_no_table(prepared: Rig) -> None:
    """Those of an attempt that slept while the operator rolled back."""
    ref = ref_of(prepared)
    await run(prepared, "undo", Undo(ref=ref, forget_copy=True, epoch=1))
    as_applier(prepared, "insert into shop.orders (id, version) values ('1', 1)")
    await run(prepared, "undo", Undo(ref=ref, forget_copy=True, epoch=1))
    late = SetStage(ref=ref, stage=Stage.RAMP, reads_bp=BUCKETS, epoch=1)
    for activity, request in [("set_stage", late), ("undo", Undo(ref=ref, forget_partitions=True, epoch=1))]:
        with pytest.raises(AuthorityMoved):
            await run(prepared, activity, request)
    assert prepared.query("select stage, epoch from midflight.domains") == [("off", 2)]
    assert prepared.one("select count(*) from shop.orders") == 1
    assert (await run(prepared, "set_stage", late.model_copy(update={"epoch": 2}))).epoch == 2


async def test_who_is_late_is_named_and_may_be_waited_for(prepared: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutover, "ACKNOWLEDGE_SECONDS", 0.2)
    done = asyncio.Event()

    def beat(seen: int) -> Beat:
        return Beat("web-1", seen, 5.0) if done.is_set() else Beat("web-1", seen, 5.0, 1, 1.5)

    async with instance(prepared, "web-1", beat):
        staged = await run(prepared, "set_stage", SetStage(ref=ref_of(prepared), stage=Stage.SHADOW))
        assert staged.late == ("web-1: write in flight for 1.5 s",)
        request = AwaitAcknowledged(ref=ref_of(prepared), revision=staged.revision, within_seconds=10)
        waiting = asyncio.create_task(run(prepared, "acknowledged", request))
        done.set()
        assert (await waiting).late == ()


async def test_a_rehearsal_says_how_long_and_moves_the_token_and_harms_nobody(prepared: Rig) -> None:
    async with moving(prepared), instance(prepared, "web-1"):
        before = prepared.query("select * from midflight.domains")
        rehearsed = await run(prepared, "rehearse", Rehearse(ref=ref_of(prepared), token=0))
        assert prepared.query("select * from midflight.domains") == before
        assert rehearsed.token >= prepared.one("select max(token) from midflight.guards") > 0
        assert rehearsed.forecast_seconds == pytest.approx(sum(rehearsed.steps.values()))
        assert set(rehearsed.steps) == {"acknowledge", "fence", "drain", "verify", "round trips"}
        with prepared.source() as shop:
            assert not fenced(shop)


async def test_a_rehearsal_that_finds_a_difference_keeps_the_old_token(prepared: Rig) -> None:
    async with moving(prepared):
        as_applier(prepared, "update shop.orders set version = 7 where id = '4'")
        rehearsed = await run(prepared, "rehearse", Rehearse(ref=ref_of(prepared), token=0))
        assert rehearsed.token == 0


async def test_a_difference_is_found_however_many_keys_have_changed(
    prepared: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red where only the first page is compared: the token would move past the rest."""
    monkeypatch.setattr(comparing, "CHANGED_A_PAGE", 3)
    async with moving(prepared) as bridge:
        for number in (0, 7, 19):
            as_applier(prepared, f"update shop.orders set version = 7 where id = '{number}'")
            rehearsed = await run(prepared, "rehearse", Rehearse(ref=ref_of(prepared), token=0))
            assert rehearsed.token == 0
            as_applier(prepared, f"update shop.orders set version = 0 where id = '{number}'")
        assert sorted((await comparing.changed_keys(bridge, 0))["orders"]) == sorted(map(key_bytes, range(20)))
        rehearsed = await run(prepared, "rehearse", Rehearse(ref=ref_of(prepared), token=0))
        assert rehearsed.token >= prepared.one("select max(token) from midflight.guards")


async def test_handovers_and_their_undoing_as_activities(prepared: Rig) -> None:
    ref = ref_of(prepared)
    async with moving(prepared):
        await run(prepared, "undo_handover", ref)
        assert authority(prepared) == AT_THE_SOURCE
        handed: HandedOver = await run(prepared, "hand_over", HandOver(ref=ref, epoch=1, token=0, seconds=5))
        assert handed.done
        with pytest.raises(AuthorityMoved):
            await run(prepared, "undo_handover", ref)
        assert authority(prepared) == AT_THE_TARGET
        staged = await run(prepared, "retire", ref)
        assert staged.epoch == 2
        assert prepared.one("select stage from midflight.domains") == "target_only"
        returned = await run(prepared, "hand_back", HandBack(ref=ref, epoch=2, seconds=5))
        assert returned.done


async def test_undoing_releases_a_hold(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await bridge.target.ledger.set_stage("orders", Stage.HOLD, BUCKETS, 0)
        await bridge.source.fence.raise_fence(["orders"])
        await run(prepared, "undo_handover", ref_of(prepared))
        assert authority(prepared) == AT_THE_SOURCE
        with prepared.source() as shop:
            assert not fenced(shop)


async def test_evidence_knows_instances_late_writes_and_what_is_refused(prepared: Rig) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        with prepared.source() as shop:
            shop.orders.delete_one({"_id": 4})
        async with instance(prepared, "web-1"):
            evidence = await run(prepared, "gather_evidence", ref_of(prepared))
            while not evidence.late_writes:
                evidence = await run(prepared, "gather_evidence", ref_of(prepared))
        assert (evidence.instances, evidence.late_writes, evidence.reverse_pending) == (1, 1, 1)
