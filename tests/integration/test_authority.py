"""Moving the authority there and back, and its races with those who write: no write is ever in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from midflight.core.keys import key_bytes
from midflight.core.outcome import Batch, FeedPosition
from midflight.core.phase import Stage
from midflight.errors import AuthorityMoved, DomainUnknown, NotDrained
from midflight.ports import Ledger
from midflight.postgres.connection import open_target
from midflight.postgres.refusals import refused_by_fence
from midflight.records import LateWrite
from tests.integration.door_kit import DOMAIN, SOON, Shop, open_shop, order, until_blocked, until_waiting

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
WRITE = "insert into orders (id, version) values (%s, 1)"


@pytest.fixture
async def here(postgres_database: str) -> AsyncIterator[Shop]:
    """The shop, with the target in charge."""
    async with open_shop(postgres_database) as opened:
        await opened.target.ledger.flip(DOMAIN, 1)
        yield opened


@asynccontextmanager
async def application(here: Shop, isolation: psycopg.IsolationLevel | None = None) -> AsyncIterator[Connection]:
    async with await psycopg.AsyncConnection.connect(here.dsn) as connection:
        await connection.set_isolation_level(isolation)
        yield connection


@asynccontextmanager
async def ledger(here: Shop) -> AsyncIterator[Ledger]:
    """On a connection of its own."""
    async with open_target(here.dsn) as target:
        yield target.ledger


# --- closing, reopening, handing back -------------------------------------------------------------


async def test_a_closed_target_is_still_the_authority_and_opens_again(here: Shop) -> None:
    ledger = here.target.ledger
    for _ in range(2):
        row = await ledger.close(DOMAIN)
        assert (row.authority, row.epoch, row.accepting, row.stage) == ("target", 2, False, Stage.HOLD)
    for _ in range(2):
        row = await ledger.reopen(DOMAIN)
        assert (row.authority, row.epoch, row.accepting, row.stage) == ("target", 2, True, Stage.TARGET)


async def test_a_held_target_still_accepts_and_is_closed_only_by_who_holds_it(here: Shop) -> None:
    ledger = here.target.ledger
    for _ in range(2):
        held = await ledger.hold(DOMAIN)
        assert (held.authority, held.epoch, held.accepting, held.stage) == ("target", 2, True, Stage.HOLD)
    await here.look.execute(WRITE, ("a",))
    with pytest.raises(AuthorityMoved, match="was taken back"):
        await ledger.close(DOMAIN, held.revision - 1)
    row = await ledger.reopen(DOMAIN)
    assert (row.accepting, row.stage) == (True, Stage.TARGET)
    held = await ledger.hold(DOMAIN)
    assert not (await ledger.close(DOMAIN, held.revision)).accepting
    assert not (await ledger.hold(DOMAIN)).accepting


async def test_repeating_a_move_makes_no_new_revision(here: Shop) -> None:
    ledger = here.target.ledger
    revisions = [(await ledger.close(DOMAIN)).revision for _ in range(2)]
    assert revisions[0] == revisions[1]
    await ledger.flip_back(DOMAIN, 2)
    assert (await ledger.flip_back(DOMAIN, 2)).revision == revisions[0] + 1


async def test_reopening_what_was_never_closed_keeps_its_stage(here: Shop) -> None:
    await here.target.ledger.retire(DOMAIN)
    assert (await here.target.ledger.reopen(DOMAIN)).stage == Stage.TARGET_ONLY


async def test_the_source_is_the_authority_again_in_a_new_epoch_and_the_stage_stays_hold(here: Shop) -> None:
    ledger = here.target.ledger
    await ledger.close(DOMAIN)
    for _ in range(2):
        row = await ledger.flip_back(DOMAIN, 2)
        assert (row.authority, row.epoch, row.accepting, row.stage) == ("source", 3, False, Stage.HOLD)
    assert (await ledger.set_stage(DOMAIN, Stage.RAMP, 10_000, 0)).reads_bp == 10_000
    assert await ledger.flip(DOMAIN, 3) == 4


async def test_the_authority_goes_back_only_from_the_epoch_that_was_seen(here: Shop) -> None:
    ledger = here.target.ledger
    await ledger.close(DOMAIN)
    with pytest.raises(AuthorityMoved, match="target in epoch 2: it is not flipped back from 1"):
        await ledger.flip_back(DOMAIN, 1)
    await ledger.flip_back(DOMAIN, 2)
    with pytest.raises(AuthorityMoved, match="source in epoch 3"):
        await ledger.flip_back(DOMAIN, 1)


async def test_an_open_target_is_not_handed_back(here: Shop) -> None:
    with pytest.raises(NotDrained, match=r"still accepts.*Close it first"):
        await here.target.ledger.flip_back(DOMAIN, 2)


@pytest.mark.parametrize("refused", [False, True])
async def test_pending_keys_keep_the_authority_at_the_target_even_those_that_the_source_refuses(
    here: Shop, refused: bool
) -> None:
    ledger = here.target.ledger
    await here.look.execute(WRITE, ("a",))
    await ledger.close(DOMAIN)
    [mark] = await here.target.reverse.dirty(here.plan, "orders", 10)
    if refused:
        await here.target.reverse.refuse(DOMAIN, "orders", "a", mark.seq, "too large")
    with pytest.raises(NotDrained, match=rf"1 keys of shop .*\({int(refused)} of them it refuses\)"):
        await ledger.flip_back(DOMAIN, 2)
    assert (await ledger.authority(DOMAIN)).authority == "target"
    await here.target.reverse.written_back(DOMAIN, "orders", [("a", mark.seq)])
    assert (await ledger.flip_back(DOMAIN, 2)).authority == "source"


@pytest.mark.parametrize("move", ["hold", "close", "reopen"])
async def test_under_the_source_there_is_nothing_to_close(here: Shop, move: str) -> None:
    ledger = here.target.ledger
    await ledger.close(DOMAIN)
    await ledger.flip_back(DOMAIN, 2)
    with pytest.raises(AuthorityMoved, match="source is the authority"):
        await getattr(ledger, move)(DOMAIN)
    with pytest.raises(DomainUnknown, match="nowhere"):
        await getattr(ledger, move)("nowhere")


# --- races ----------------------------------------------------------------------------------------


async def test_closing_waits_for_a_write_that_was_accepted(here: Shop) -> None:
    async with application(here) as writer, ledger(here) as closing:
        await writer.execute(WRITE, ("a",))
        close = asyncio.create_task(closing.close(DOMAIN))
        await until_blocked(here.look)
        assert not close.done()
        await writer.commit()
        await close
    assert await here.orders() == {"a": 1}
    assert await here.target.reverse.pending(DOMAIN) == (1, 0)


async def test_a_write_that_comes_while_the_target_closes_waits_and_is_refused(here: Shop) -> None:
    async with application(here) as first, application(here) as second, ledger(here) as closing:
        await first.execute(WRITE, ("a",))
        close = asyncio.create_task(closing.close(DOMAIN))
        await until_blocked(here.look)
        late = asyncio.create_task(second.execute(WRITE, ("b",)))
        # It does not overtake who waits: otherwise closing could wait for ever.
        await until_waiting(here.look, second)
        await first.commit()
        await close
        with pytest.raises(psycopg.Error) as refusal:
            await late
    assert refused_by_fence(refusal.value)
    assert await here.orders() == {"a": 1}


@pytest.mark.parametrize("isolation", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE])
@pytest.mark.parametrize("move", ["close", "flip back"])
async def test_a_snapshot_from_before_the_move_lets_no_write_through(
    here: Shop, isolation: psycopg.IsolationLevel, move: str
) -> None:
    async with application(here, isolation) as writer:
        # The snapshot is taken, and shows a target that accepts.
        await writer.execute("select count(*) from orders")
        await here.target.ledger.close(DOMAIN)
        if move == "flip back":
            await here.target.ledger.flip_back(DOMAIN, 2)
        with pytest.raises(psycopg.Error) as refusal:
            await writer.execute(WRITE, ("a",))
    assert refusal.value.sqlstate in ("40001", "MF001")
    assert await here.orders() == {}


async def test_the_authority_goes_back_only_after_the_last_mark_is_seen(here: Shop) -> None:
    """A late write is being kept when the hand-over begins: who counts the marks before that is over misses one."""
    await here.target.ledger.close(DOMAIN)
    late = {"orders": [LateWrite(key_bytes("a"), None)]}
    async with application(here) as blocker, ledger(here) as handing_back:
        await blocker.execute("lock table midflight.dirty in share mode")
        keeping = asyncio.create_task(here.target.reverse.late(here.plan, FeedPosition(b"next", 0, 0, 1), late))
        await until_blocked(here.look)
        back = asyncio.create_task(handing_back.flip_back(DOMAIN, 2))
        await until_blocked(here.look, 2)
        await blocker.rollback()
        await keeping
        with pytest.raises(NotDrained):
            await back
    assert await here.target.reverse.pending(DOMAIN) == (1, 0)


async def test_moving_the_authority_does_not_starve_under_steady_writes(here: Shop) -> None:
    """Share locks overlap all the time: each is granted past an update that waits."""
    stop = asyncio.Event()
    order_of_turns = asyncio.Lock()

    async def write(number: int) -> None:
        async with application(here) as mine:
            while not stop.is_set():
                try:
                    await mine.execute(
                        "insert into orders (id, version) values (%s, 1) on conflict (id) do update set version = 2",
                        (f"k{number}",),
                    )
                    # Holds the lock until another writer holds it too.
                    async with order_of_turns:
                        await asyncio.sleep(0.02)
                except psycopg.Error as refusal:
                    if not refused_by_fence(refusal):
                        raise
                await mine.rollback()

    async with asyncio.TaskGroup() as writers, ledger(here) as closing:
        tasks = [writers.create_task(write(number)) for number in range(6)]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(SOON):
            for _ in range(5):
                await closing.close(DOMAIN)
                await closing.reopen(DOMAIN)
        stop.set()
        assert not any(task.done() and task.exception() for task in tasks)


async def test_an_apply_that_comes_while_the_stage_moves_does_not_overtake_it(postgres_database: str) -> None:
    async with (
        open_shop(postgres_database) as here,
        application(here) as blocker,
        ledger(here) as moving,
        open_target(here.dsn) as other,
    ):
        await blocker.execute("lock table order_lines in share mode")
        first = asyncio.create_task(here.apply([order("a", 1)]))
        await until_blocked(here.look)
        moved = asyncio.create_task(moving.set_stage(DOMAIN, Stage.SHADOW, 0, 0))
        await until_blocked(here.look, 2)
        # It brings nothing, so nothing but the authority row can keep it waiting.
        second = asyncio.create_task(other.door.apply(here.plan, await other.door.draw(DOMAIN), Batch("tail")))
        await until_blocked(here.look, 3)
        await blocker.rollback()
        await asyncio.gather(first, moved, second)


async def test_a_flip_waits_for_an_apply_whatever_the_application_does(postgres_database: str) -> None:
    async with open_shop(postgres_database) as here, ledger(here) as flipping, application(here) as blocker:
        await blocker.execute("lock table order_lines in share mode")
        applying = asyncio.create_task(here.apply([order("a", 1)]))
        await until_blocked(here.look)
        flip = asyncio.create_task(flipping.flip(DOMAIN, 1))
        await until_blocked(here.look, 2)
        assert not flip.done()
        await blocker.rollback()
        assert (await applying).written == 1
        assert await flip == 2
        assert await here.orders() == {"a": 1}
        assert await here.target.reverse.pending(DOMAIN) == (0, 0)
