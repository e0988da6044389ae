"""The door's rules, each on a real server: guard, tombstone, authority, epoch, checkpoint."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import psycopg
import pytest

from midflight.core.keys import key_bytes
from midflight.core.outcome import Applied, Batch, FeedPosition, Outcome, PartitionCursor
from midflight.errors import AuthorityMoved, DomainUnknown, Superseded, TargetUnavailable
from midflight.postgres.connection import open_target
from tests.integration.door_kit import DOMAIN, Shop, gone, open_shop, order, refused, until_blocked


@pytest.fixture
async def here(postgres_database: str) -> AsyncIterator[Shop]:
    async with open_shop(postgres_database) as opened:
        yield opened


# --- draw --------------------------------------------------


async def test_a_later_draw_gives_a_larger_token_in_the_same_epoch(here: Shop) -> None:
    first, second = await here.draw(), await here.draw()
    assert first.token < second.token
    assert first.epoch == second.epoch == 1


async def test_nothing_is_drawn_while_the_target_is_the_authority(here: Shop) -> None:
    await here.target.ledger.flip(DOMAIN, 1)
    with pytest.raises(AuthorityMoved):
        await here.draw()


async def test_an_unknown_domain_is_named(here: Shop) -> None:
    with pytest.raises(DomainUnknown, match="nowhere"):
        await here.target.door.draw("nowhere")


async def test_a_target_without_a_ledger_says_so(postgres_database: str) -> None:
    async with open_target(postgres_database) as target:
        with pytest.raises(DomainUnknown, match="no ledger"):
            await target.door.draw(DOMAIN)


# --- rows --------------------------------------------------


async def test_a_document_arrives_with_its_child_rows_and_its_guard_row(here: Shop) -> None:
    ticket = await here.draw()
    applied = await here.apply([order("a", 1)], ticket, path="backfill")
    assert applied == Applied(written=1, rows=3)
    assert await here.orders() == {"a": 1}
    assert await here.skus("a") == ["sku-1-0", "sku-1-1"]
    assert await here.guard("a") == (ticket.token, False, False, "backfill")


async def test_a_newer_image_replaces_the_row_and_all_child_rows(here: Shop) -> None:
    await here.apply([order("a", 1, lines=3), order("b", 1)])
    await here.apply([order("a", 2, lines=1)])
    assert await here.orders() == {"a": 2, "b": 1}
    assert await here.skus("a") == ["sku-2-0"]
    assert await here.skus("b") == ["sku-1-0", "sku-1-1"]


async def test_jsonb_goes_in_and_comes_out_as_text(here: Shop) -> None:
    await here.apply([order("a", 1, extra='{"x": [1, "é"]}')])
    [(extra,)] = await here.ask("select extra->'x'->>1 from orders")
    assert extra == "é"


async def test_of_two_outcomes_of_one_key_the_last_counts(here: Shop) -> None:
    applied = await here.apply([order("a", 1), order("b", 1), order("a", 2)])
    assert applied.written == 2
    assert await here.orders() == {"a": 2, "b": 1}


async def test_an_empty_batch_moves_its_checkpoint(here: Shop) -> None:
    assert await here.apply([], checkpoint=FeedPosition(b"next", 0, 7, 3)) == Applied()
    position = await here.target.ledger.position(DOMAIN)
    assert position is not None
    assert (position.token, position.commits, position.mark, position.events) == (b"next", 1, 7, 3)


# --- guard and tombstone --------------------------------------------------


async def test_an_older_token_loses(here: Shop) -> None:
    older, newer = await here.draw(), await here.draw()
    await here.apply([order("a", 2)], newer)
    applied = await here.apply([order("a", 1), order("b", 1)], older)
    assert applied == Applied(written=1, stale=1, rows=3)
    assert await here.orders() == {"a": 2, "b": 1}
    assert await here.skus("a") == ["sku-2-0", "sku-2-1"]


async def test_a_deleted_document_is_not_brought_back_by_an_older_image(here: Shop) -> None:
    older, newer = await here.draw(), await here.draw()
    await here.apply([gone("a")], newer)
    assert await here.apply([order("a", 1)], older) == Applied(stale=1)
    assert await here.orders() == {}
    assert await here.guard("a") == (newer.token, True, False, "tail")


async def test_a_delete_removes_the_child_rows_too(here: Shop) -> None:
    await here.apply([order("a", 1), order("b", 1)])
    assert await here.apply([gone("a")]) == Applied(deleted=1)
    assert await here.orders() == {"b": 1}
    assert await here.skus("a") == []


async def test_a_document_inserted_again_after_its_delete_is_there(here: Shop) -> None:
    await here.apply([order("a", 1)])
    await here.apply([gone("a")])
    await here.apply([order("a", 3, lines=1)])
    assert await here.orders() == {"a": 3}
    assert await here.skus("a") == ["sku-3-0"]


async def test_applying_the_same_batch_twice_changes_nothing(here: Shop) -> None:
    ticket = await here.draw()
    batch: list[Outcome] = [order("a", 1), gone("b"), refused("c")]
    await here.apply(batch, ticket)
    before = await here.everything()
    assert await here.apply(batch, ticket) == Applied(stale=3)
    assert await here.everything() == before


async def test_two_batches_of_one_cursor_share_their_token(here: Shop) -> None:
    ticket = await here.draw()
    await here.apply([order("a", 1)], ticket, PartitionCursor("orders", 0, 0, b"a", 1), "backfill")
    await here.apply([order("b", 1)], ticket, PartitionCursor("orders", 0, 1, b"b", 2), "backfill")
    assert await here.orders() == {"a": 1, "b": 1}


async def test_any_order_of_applies_ends_with_the_highest_token(here: Shop) -> None:
    chance = random.Random(7)
    names = [f"k{n}" for n in range(6)]
    for _ in range(5):
        tickets = [await here.draw() for _ in range(12)]
        # (version, ticket, key, whether it exists): versions rise with the tokens.
        images = [
            (version, ticket, name, chance.random() < 0.7)
            for version, ticket in enumerate(tickets)
            for name in chance.sample(names, 3)
        ]
        final = {name: (version, exists) for version, _, name, exists in images}
        chance.shuffle(images)
        for version, ticket, name, exists in images:
            await here.apply([order(name, version, lines=version % 3) if exists else gone(name)], ticket)
        assert await here.orders() == {name: version for name, (version, exists) in final.items() if exists}
        for name, (version, exists) in final.items():
            assert await here.skus(name) == [f"sku-{version}-{n}" for n in range(version % 3 if exists else 0)]
        await here.apply([gone(name) for name in names])


# --- authority and epoch --------------------------------------------------


async def test_a_ticket_of_an_earlier_epoch_writes_nothing(here: Shop) -> None:
    ticket = await here.draw()
    await here.target.ledger.reset(here.plan)
    before = await here.everything()
    with pytest.raises(AuthorityMoved, match="epoch"):
        await here.apply([order("a", 1)], ticket)
    assert await here.everything() == before


async def test_once_the_target_is_the_authority_nothing_is_applied(here: Shop) -> None:
    ticket = await here.draw()
    await here.target.ledger.flip(DOMAIN, 1)
    # With the epoch of the flip itself: only the authority can refuse it.
    with pytest.raises(AuthorityMoved, match="authority"):
        await here.apply([order("a", 1)], type(ticket)(ticket.token, 2))
    assert await here.orders() == {}


async def test_a_flip_waits_for_an_apply_under_way(here: Shop) -> None:
    async with (
        open_target(here.dsn) as other,
        await psycopg.AsyncConnection.connect(here.dsn) as blocker,
        asyncio.TaskGroup() as tasks,
    ):
        await blocker.execute("lock table orders in share mode")
        applying = tasks.create_task(here.apply([order("a", 1)]))
        await until_blocked(here.look, 1)
        flipping = tasks.create_task(other.ledger.flip(DOMAIN, 1))
        await until_blocked(here.look, 2)
        assert not applying.done()
        assert not flipping.done()
        await blocker.rollback()
    assert applying.result().written == 1
    assert flipping.result() == 2
    assert await here.orders() == {"a": 1}


async def test_an_apply_that_meets_a_flip_under_way_gives_up(here: Shop) -> None:
    ticket = await here.draw()
    async with await psycopg.AsyncConnection.connect(here.dsn) as flipping:
        await flipping.execute("update midflight.domains set authority = 'target', epoch = epoch + 1")
        applying = asyncio.create_task(here.apply([order("a", 1)], ticket))
        await until_blocked(here.look)
        await flipping.commit()
    with pytest.raises(AuthorityMoved):
        await applying
    assert await here.orders() == {}


# --- checkpoint --------------------------------------------------


async def test_a_zombie_of_the_backfill_writes_nothing(here: Shop) -> None:
    zombie = await here.draw()
    cursor = PartitionCursor("orders", 0, 0, key_bytes("b"), 2)
    await here.apply([order("a", 1), order("b", 1)], checkpoint=cursor, path="backfill")
    before = await here.everything()
    with pytest.raises(Superseded, match="partition 0"):
        await here.apply([order("c", 1)], zombie, cursor, "backfill")
    assert await here.everything() == before
    [partition] = await here.target.ledger.partitions(DOMAIN, "orders")
    assert (partition.cursor, partition.batches, partition.documents) == (key_bytes("b"), 1, 2)


async def test_a_zombie_of_the_tail_writes_nothing(here: Shop) -> None:
    zombie = await here.draw()
    await here.apply([order("a", 1)], checkpoint=FeedPosition(b"two", 0, 0, 1))
    before = await here.everything()
    with pytest.raises(Superseded, match="feed position"):
        await here.apply([order("b", 1)], zombie, FeedPosition(b"one", 0, 0, 1))
    assert await here.everything() == before


async def test_marks_never_go_back_and_events_add_up(here: Shop) -> None:
    await here.apply([], checkpoint=FeedPosition(b"1", 0, 9, 4))
    await here.apply([], checkpoint=FeedPosition(b"2", 1, 3, 2))
    position = await here.target.ledger.position(DOMAIN)
    assert position is not None
    assert (position.mark, position.events, position.commits) == (9, 6, 2)


async def test_a_connection_killed_in_the_middle_leaves_nothing(here: Shop) -> None:
    before = await here.everything()
    async with await psycopg.AsyncConnection.connect(here.dsn) as blocker:
        # The guard rows and the checkpoint are written by then; the rows of `order_lines` are not.
        await blocker.execute("lock table order_lines in share mode")
        applying = asyncio.create_task(
            here.apply([order("a", 1), refused("b")], checkpoint=FeedPosition(b"next", 0, 0, 1))
        )
        [pid] = await until_blocked(here.look)
        await here.look.execute("select pg_terminate_backend(%s)", (pid,))
        with pytest.raises(TargetUnavailable):
            await applying
    assert await here.everything() == before


async def test_a_cancelled_apply_leaves_nothing_and_the_connection_works_on(here: Shop) -> None:
    before = await here.everything()
    async with await psycopg.AsyncConnection.connect(here.dsn) as blocker:
        await blocker.execute("lock table orders in share mode")
        applying = asyncio.create_task(here.apply([order("a", 1)]))
        await until_blocked(here.look)
        applying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await applying
    assert await here.everything() == before
    assert (await here.apply([order("a", 1)])).written == 1


# --- many at once --------------------------------------------------


async def test_appliers_with_the_same_keys_in_any_order_do_not_deadlock(here: Shop) -> None:
    names = [f"k{n:03}" for n in range(150)]
    chance = random.Random(3)
    final: dict[str, tuple[int, int]] = {}

    async def applier(number: int) -> None:
        async with open_target(here.dsn) as target:
            for turn in range(6):
                ticket = await target.door.draw(DOMAIN)
                version = number * 100 + turn
                mine = chance.sample(names, 120)
                final.update({name: max(final.get(name, (0, 0)), (ticket.token, version)) for name in mine})
                batch = Batch("tail", {"orders": [order(name, version) for name in mine]})
                await asyncio.sleep(chance.random() / 100)
                await target.door.apply(here.plan, ticket, batch)

    async with asyncio.TaskGroup() as tasks:
        for number in range(1, 5):
            tasks.create_task(applier(number))
    assert await here.orders() == {name: version for name, (_, version) in sorted(final.items())}
    [(lines,)] = await here.ask("select count(*) from order_lines l join orders o on o.id = l.order_id")
    assert lines == 2 * len(final)
    await here.look.execute("select pg_stat_force_next_flush()")
    [(deadlocks,)] = await here.ask("select deadlocks from pg_stat_database where datname = current_database()")
    assert deadlocks == 0


async def test_calls_on_one_connection_follow_one_another(here: Shop) -> None:
    ledger = here.target.ledger
    async with asyncio.TaskGroup() as tasks:
        for n in range(20):
            tasks.create_task(here.apply([order(f"k{n}", n)]))
            tasks.create_task(ledger.report_lag(DOMAIN, float(n)))
    assert len(await here.orders()) == 20


async def test_a_deadlock_with_others_is_tried_again(here: Shop) -> None:
    await here.apply([order("a", 1), order("b", 1)])
    async with await psycopg.AsyncConnection.connect(here.dsn) as other:
        await other.execute("select from midflight.guards where key = %s for update", (key_bytes("b"),))
        applying = asyncio.create_task(here.apply([order("a", 2), order("b", 2)]))
        [pid] = await until_blocked(here.look)
        # Closes the circle; the server ends one of the two.
        await other.execute("set deadlock_timeout = '10s'")
        await other.execute("select from midflight.guards where key = %s for update", (key_bytes("a"),))
        await other.rollback()
    assert pid
    assert (await applying).written == 2
    assert await here.orders() == {"a": 2, "b": 2}
