"""The ledger: plan, authority, places, quarantine, audit, evidence, and forgetting a copy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from psycopg import sql

from midflight.core.gates import Evidence
from midflight.core.outcome import FeedPosition, PartitionCursor
from midflight.core.phase import Stage
from midflight.core.plan import Pacing
from midflight.errors import AuthorityMoved, DomainUnknown, LedgerConflict, TargetError
from midflight.postgres.connection import open_target
from midflight.postgres.session import open_session
from midflight.records import AuthorityRow, KeyRange, Position
from tests.integration.door_kit import DOMAIN, MEMBERS, ORDERS, Shop, gone, member, open_shop, order, refused, shop

RANGES = [KeyRange(None, b"k"), KeyRange(b"k", None)]


@pytest.fixture
async def here(postgres_database: str) -> AsyncIterator[Shop]:
    async with open_shop(postgres_database) as opened:
        yield opened


async def evidence(here: Shop) -> Evidence:
    return await here.target.ledger.evidence(DOMAIN)


# --- plan and authority ---------------------------------------------------


async def test_a_registered_plan_comes_back_as_it_was(here: Shop) -> None:
    assert await here.target.ledger.plan(DOMAIN) == here.plan
    start = AuthorityRow("source", 1, accepting=False, stage=Stage.OFF, reads_bp=0, dark_reads_bp=0)
    assert await here.target.ledger.authority(DOMAIN) == start


async def test_registering_again_keeps_the_authority_row(here: Shop) -> None:
    await here.target.ledger.set_stage(DOMAIN, Stage.RAMP, 2_500, 100)
    before = await here.target.ledger.authority(DOMAIN)
    await here.target.ledger.register(here.plan)
    assert await here.target.ledger.authority(DOMAIN) == before


async def test_another_plan_of_a_domain_under_way_is_refused_with_both_fingerprints(here: Shop) -> None:
    with pytest.raises(LedgerConflict, match=r"with plan \w{12}, this plan is \w{12}"):
        await here.target.ledger.register(shop(ORDERS, {**MEMBERS, "rest": None}))


async def test_another_pacing_is_the_same_plan(here: Shop) -> None:
    slower = here.plan.model_copy(update={"pacing": Pacing(batch_size=7)})
    await here.target.ledger.register(slower)
    assert (await here.target.ledger.plan(DOMAIN)).pacing.batch_size == 7


async def test_after_a_reset_another_plan_may_be_registered(here: Shop) -> None:
    await here.target.ledger.reset(here.plan)
    other = shop(ORDERS, {**MEMBERS, "rest": None})
    await here.target.ledger.register(other)
    assert await here.target.ledger.plan(DOMAIN) == other


@pytest.mark.parametrize("ask", ["plan", "authority", "evidence"])
async def test_an_unknown_domain_is_named(here: Shop, ask: str) -> None:
    with pytest.raises(DomainUnknown, match="nowhere"):
        await getattr(here.target.ledger, ask)("nowhere")


async def test_a_stage_moves_only_while_the_source_is_the_authority(here: Shop) -> None:
    ledger = here.target.ledger
    await ledger.set_stage(DOMAIN, Stage.DARK_READ, 0, 500)
    assert (await ledger.authority(DOMAIN)).dark_reads_bp == 500
    await ledger.set_stage(DOMAIN, Stage.HOLD, 10_000, 0)
    await ledger.flip(DOMAIN, 1)
    with pytest.raises(AuthorityMoved, match="stage stays target"):
        await ledger.set_stage(DOMAIN, Stage.RAMP, 0, 0)
    await ledger.set_stage(DOMAIN, Stage.TARGET, 10_000, 0)


async def test_a_change_of_stage_that_comes_in_a_later_epoch_changes_nothing(here: Shop) -> None:
    """A rollback has emptied the target meanwhile: reads must not go there. Red without the epoch in the statement."""
    ledger = here.target.ledger
    assert (await ledger.set_stage(DOMAIN, Stage.RAMP, 100, 0, 1)).epoch == 1
    assert (await ledger.set_stage(DOMAIN, Stage.RAMP, 100, 0, 1)).epoch == 1
    await ledger.reset(here.plan)
    await ledger.set_stage(DOMAIN, Stage.SHADOW, 0, 0, 2)
    for reads_bp in (100, 10_000):
        with pytest.raises(AuthorityMoved, match="epoch 2: its stage stays shadow"):
            await ledger.set_stage(DOMAIN, Stage.RAMP, reads_bp, 0, 1)
    assert (await ledger.authority(DOMAIN)).stage == Stage.SHADOW


async def test_a_change_of_stage_in_its_epoch_does_not_end_the_hold_of_a_handover(here: Shop) -> None:
    ledger = here.target.ledger
    await ledger.set_stage(DOMAIN, Stage.HOLD, 10_000, 0)
    with pytest.raises(AuthorityMoved, match="stays hold"):
        await ledger.set_stage(DOMAIN, Stage.RAMP, 2_500, 0, 1)
    assert (await ledger.authority(DOMAIN)).stage == Stage.HOLD


async def test_a_flip_happens_once_however_often_it_is_asked_for(here: Shop) -> None:
    ledger = here.target.ledger
    assert await ledger.flip(DOMAIN, 1) == 2
    assert await ledger.flip(DOMAIN, 1) == 2
    row = await ledger.authority(DOMAIN)
    assert (row.authority, row.epoch, row.accepting, row.stage) == ("target", 2, True, Stage.TARGET)


async def test_a_flip_from_an_epoch_that_is_over_is_refused(here: Shop) -> None:
    await here.target.ledger.reset(here.plan)
    with pytest.raises(AuthorityMoved, match="epoch 2"):
        await here.target.ledger.flip(DOMAIN, 1)
    assert (await here.target.ledger.authority(DOMAIN)).authority == "source"


async def test_only_a_target_in_charge_is_retired(here: Shop) -> None:
    ledger = here.target.ledger
    with pytest.raises(AuthorityMoved, match="not retired"):
        await ledger.retire(DOMAIN)
    await ledger.flip(DOMAIN, 1)
    await ledger.retire(DOMAIN)
    await ledger.retire(DOMAIN)
    assert (await ledger.authority(DOMAIN)).stage == Stage.TARGET_ONLY


# --- places -----------------------------------------------------------------


async def test_a_pinned_position_stays(here: Shop) -> None:
    await here.target.ledger.pin(DOMAIN, b"later")
    assert await here.target.ledger.position(DOMAIN) == Position(b"start", 0, 0)


async def test_recorded_partitions_stay(here: Shop) -> None:
    ledger = here.target.ledger
    await ledger.reset_partitions(DOMAIN)
    await ledger.put_partitions(DOMAIN, "orders", RANGES)
    await here.apply([], checkpoint=PartitionCursor("orders", 1, 0, b"m", 12, done=True), path="backfill")
    await ledger.put_partitions(DOMAIN, "orders", [KeyRange()])
    first, second = await ledger.partitions(DOMAIN, "orders")
    assert (first.keys, first.cursor, first.done) == (RANGES[0], None, False)
    assert (second.keys, second.cursor, second.batches, second.documents, second.done) == (RANGES[1], b"m", 1, 12, True)
    assert await ledger.partitions(DOMAIN, "members") == []


async def test_two_first_cuts_never_mix(here: Shop) -> None:
    await here.target.ledger.reset_partitions(DOMAIN)
    cuts = [[KeyRange(None, bytes([n])), KeyRange(bytes([n]), None)] for n in range(1, 6)]

    async def cut(ranges: list[KeyRange]) -> None:
        async with open_target(here.dsn) as target:
            await target.ledger.put_partitions(DOMAIN, "orders", ranges)

    async with asyncio.TaskGroup() as tasks:
        for ranges in cuts:
            tasks.create_task(cut(ranges))
    recorded = [p.keys for p in await here.target.ledger.partitions(DOMAIN, "orders")]
    assert recorded in cuts


# --- quarantine, audit, counts -----------------------------------------


async def test_quarantine_is_listed_by_collection_and_without_what_is_waived(here: Shop) -> None:
    ledger = here.target.ledger
    await here.apply({"orders": [refused("a"), refused("b")], "members": [refused("m")]})
    first, *_ = await ledger.quarantined(DOMAIN, collection="orders")
    waived = await ledger.waive(DOMAIN, first.number, "ann", "known")
    assert (waived.waived_by, waived.waived_reason, waived.key) == ("ann", "known", first.key)
    assert len(await ledger.quarantined(DOMAIN)) == 2
    assert len(await ledger.quarantined(DOMAIN, only_open=False)) == 3
    assert [e.collection for e in await ledger.quarantined(DOMAIN, collection="members")] == ["members"]
    assert len(await ledger.quarantined(DOMAIN, at_most=1)) == 1


async def test_waiving_what_is_not_there_is_refused(here: Shop) -> None:
    with pytest.raises(TargetError, match="no quarantine entry 99"):
        await here.target.ledger.waive(DOMAIN, 99, "ann", "known")


async def test_the_audit_trail_is_told_oldest_first(here: Shop) -> None:
    ledger = here.target.ledger
    for n in range(3):
        await ledger.record(DOMAIN, "phase", "ann", {"n": n})
    assert [(e["kind"], e["person"], e["details"]) for e in await ledger.audit(DOMAIN)] == [
        ("phase", "ann", {"n": n}) for n in range(3)
    ]
    assert [e["details"]["n"] for e in await ledger.audit(DOMAIN, at_most=2)] == [1, 2]


async def test_counts_are_told_by_collection(here: Shop) -> None:
    await here.apply([order("a", 1), order("b", 1, lines=0), gone("c"), refused("d")])
    assert await here.target.ledger.counts(here.plan) == {
        "members": {"documents": 0, "tombstones": 0, "quarantined": 0, "rows": 0},
        "orders": {"documents": 2, "tombstones": 1, "quarantined": 1, "rows": 4},
    }


# --- reset ------------------------------------------------------------------


async def test_a_reset_forgets_the_copy_and_begins_a_new_epoch(here: Shop) -> None:
    ledger = here.target.ledger
    await here.apply({"orders": [order("a", 1), refused("b")], "members": [member("m", "m@x")]})
    await ledger.record(DOMAIN, "phase", "ann", {})
    await ledger.reset(here.plan)
    assert await ledger.counts(here.plan) == {
        name: {"documents": 0, "tombstones": 0, "quarantined": 0, "rows": 0} for name in ("members", "orders")
    }
    assert await ledger.position(DOMAIN) is None
    assert await ledger.partitions(DOMAIN, "orders") == []
    assert await ledger.quarantined(DOMAIN) == []
    assert len(await ledger.audit(DOMAIN)) == 1
    assert (await ledger.authority(DOMAIN)).epoch == 2
    await ledger.pin(DOMAIN, b"again")
    assert (await here.apply([order("a", 1)])).written == 1


async def test_a_reset_that_comes_late_or_again_leaves_the_new_copy_alone(here: Shop) -> None:
    """Red without the epoch: it would empty a target that may be read by now."""
    ledger = here.target.ledger
    await ledger.reset(here.plan, 1)
    await here.apply([order("a", 1)])
    await ledger.reset(here.plan, 1)
    assert await here.orders() == {"a": 1}
    for epoch in (0, 3):
        with pytest.raises(AuthorityMoved, match="epoch 2"):
            await ledger.reset(here.plan, epoch)
    assert await here.orders() == {"a": 1}
    assert (await ledger.authority(DOMAIN)).epoch == 2


async def test_partitions_are_forgotten_only_in_the_epoch_that_was_meant(here: Shop) -> None:
    ledger = here.target.ledger
    before = await ledger.partitions(DOMAIN, "orders")
    with pytest.raises(AuthorityMoved, match="epoch 1"):
        await ledger.reset_partitions(DOMAIN, 2)
    assert await ledger.partitions(DOMAIN, "orders") == before != []
    await ledger.reset_partitions(DOMAIN, 1)
    assert await ledger.partitions(DOMAIN, "orders") == []


async def test_a_reset_leaves_tables_that_are_not_ours(here: Shop) -> None:
    await here.apply([order("a", 1)])
    await here.look.execute("delete from midflight.target_tables where table_name = 'orders'")
    await here.target.ledger.reset(here.plan)
    assert await here.orders() == {"a": 1}


async def test_the_truth_is_not_reset(here: Shop) -> None:
    await here.apply([order("a", 1)])
    await here.target.ledger.flip(DOMAIN, 1)
    with pytest.raises(AuthorityMoved, match="truth"):
        await here.target.ledger.reset(here.plan)
    assert await here.orders() == {"a": 1}


# --- evidence --------------------------------------------------------


async def test_without_measurements_the_evidence_says_so(here: Shop) -> None:
    found = await evidence(here)
    assert (found.epoch, found.stage, found.parity_age_seconds, found.lag_seconds) == (1, "off", None, None)
    assert found.gathered_at.endswith("Z")


async def test_quarantine_is_told_open_and_waived(here: Shop) -> None:
    await here.apply([refused("a"), refused("b"), refused("c")])
    [first, *_] = await here.target.ledger.quarantined(DOMAIN)
    await here.target.ledger.waive(DOMAIN, first.number, "ann", "known")
    found = await evidence(here)
    assert (found.quarantine_open, found.quarantine_waived) == (2, 1)


async def test_lag_is_what_the_tail_says_until_it_falls_silent(here: Shop) -> None:
    await here.target.ledger.report_lag(DOMAIN, 1.5)
    assert (await evidence(here)).lag_seconds == 1.5
    await here.look.execute("update midflight.positions set reported_at = now() - interval '100 seconds'")
    silent = (await evidence(here)).lag_seconds
    assert silent is not None
    assert 100 <= silent < 160
    await here.apply([], checkpoint=FeedPosition(b"moved", 0, 0))
    assert ((await evidence(here)).lag_seconds or 0) >= 100


async def test_the_clock_is_raised_above_what_is_asked_for_and_never_lowered(here: Shop) -> None:
    ledger, rows = here.target.ledger, here.target.rows
    await ledger.raise_clock(5_000_000)
    raised = await rows.last_token(DOMAIN)
    assert raised > 5_000_000
    await ledger.raise_clock(5_000_000)
    await ledger.raise_clock(0)
    assert await rows.last_token(DOMAIN) == raised
    assert (await here.target.door.draw(DOMAIN)).token == raised + 1


@pytest.mark.parametrize(("told", "used"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")])
async def test_our_sessions_wait_for_the_disk_whatever_the_database_was_told(here: Shop, told: str, used: str) -> None:
    """Red without the setting: the source would be fenced for a flip that a crash undoes."""
    ((name,),) = await here.ask("select current_database()")
    await here.look.execute(f'alter database "{name}" set synchronous_commit = {told}')
    async with open_session(here.dsn) as session:
        assert await session.row(sql.SQL("show synchronous_commit")) == (used,)
