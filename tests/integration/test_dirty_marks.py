"""Dirty marks: every key that an application changes at the target is written back, in the state it was left in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from midflight.core.documents import read_documents
from midflight.core.keys import key_bytes
from midflight.core.mapping import mapper_for
from midflight.core.outcome import FeedPosition, Mapped
from midflight.core.plan import Plan
from midflight.core.values import ObjectId, encode
from midflight.errors import AuthorityMoved, Superseded
from midflight.postgres.connection import open_target
from midflight.records import DirtyKey, LateWrite
from tests.integration.door_kit import (
    DOMAIN,
    MEMBERS,
    ORDERS,
    SOON,
    Shop,
    member,
    open_shop,
    order,
    shop,
    until_waiting,
)

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


@pytest.fixture
async def here(postgres_database: str) -> AsyncIterator[Shop]:
    """Two orders of two lines and a member, all constraints, and the target in charge."""
    async with open_shop(postgres_database) as opened:
        await opened.apply(
            {"orders": [order("a", 1, extra='{"kept": "a"}'), order("b", 1)], "members": [member("m", "m@x")]}
        )
        await opened.add_constraints()
        await opened.target.ledger.flip(DOMAIN, 1)
        yield opened


@asynccontextmanager
async def application(here: Shop, isolation: psycopg.IsolationLevel | None = None) -> AsyncIterator[Connection]:
    async with await psycopg.AsyncConnection.connect(here.dsn) as connection:
        await connection.set_isolation_level(isolation)
        yield connection


async def do(here: Shop, statement: str) -> None:
    await here.look.execute(statement.encode())


async def dirty(here: Shop, collection: str = "orders") -> dict[Any, DirtyKey]:
    """By key, in the order of their marks."""
    return {key.row_key: key for key in await here.target.reverse.dirty(here.plan, collection, 100)}


async def write_off(here: Shop, collection: str = "orders") -> dict[Any, DirtyKey]:
    found = await dirty(here, collection)
    pairs = [(key.row_key, key.seq) for key in found.values()]
    await here.target.reverse.written_back(DOMAIN, collection, pairs)
    return found


# --- what is marked ---------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "keys"),
    [
        ("insert into orders (id) values ('d'), ('e')", {"d", "e"}),
        ("update orders set version = 2 where id = 'a'", {"a"}),
        ("update orders set version = 2 where id = 'nobody'", set()),
        ("delete from orders where id = 'a'", {"a"}),
        ("update orders set id = 'z' where id = 'c'", {"c", "z"}),
        ("insert into orders (id) values ('a'), ('n') on conflict (id) do update set version = 3", {"a", "n"}),
        ("insert into orders (id) values ('a') on conflict do nothing", set()),
        ("insert into order_lines (order_id, position, sku) values ('a', 7, 's'), ('b', 7, 's')", {"a", "b"}),
        ("update order_lines set sku = 'new' where order_id = 'b'", {"b"}),
        ("update order_lines set order_id = 'c' where order_id = 'a'", {"a", "c"}),
        ("delete from order_lines where order_id = 'b' and position = 1", {"b"}),
        ("with gone as (delete from order_lines where order_id = 'a') update orders set code = 'x'", {"a", "b", "c"}),
        (
            "merge into orders o using (values ('a'), ('n')) v(id) on o.id = v.id"
            " when matched then delete when not matched then insert (id) values (v.id)",
            {"a", "n"},
        ),
    ],
)
async def test_every_key_that_a_statement_touches_is_marked(here: Shop, statement: str, keys: set[str]) -> None:
    await do(here, "set midflight.applier = 'shop'; insert into orders (id) values ('c'); reset midflight.applier")
    await do(here, statement)
    assert set(await dirty(here)) == keys
    assert await here.target.reverse.pending(DOMAIN) == (len(keys), 0)


async def test_a_collections_marks_are_its_own(here: Shop) -> None:
    await do(here, "update members set email = 'new@x'; update orders set version = 2 where id = 'a'")
    assert set(await dirty(here, "members")) == {"m"}
    assert set(await dirty(here)) == {"a"}


async def test_a_write_that_is_rolled_back_leaves_no_mark(here: Shop) -> None:
    async with application(here) as writer:
        await writer.execute("update orders set version = 2")
        await writer.rollback()
    assert await dirty(here) == {}


async def test_the_appliers_writes_leave_no_marks(postgres_database: str) -> None:
    async with open_shop(postgres_database) as here:
        await here.apply([order("a", 1), order("b", 1)])
        await here.apply([order("a", 2)], path="repair")
        assert await here.target.reverse.pending(DOMAIN) == (0, 0)


async def test_marks_come_oldest_first_with_the_rows_of_their_moment(here: Shop) -> None:
    await do(here, "update orders set version = 5 where id = 'b'")
    await do(here, "delete from order_lines where order_id = 'a' and position = 0")
    found = await dirty(here)
    assert list(found) == ["b", "a"]
    assert found["b"].rows is not None
    [root], lines = found["b"].rows
    assert found["b"].root == root
    assert root[0::3] == ("b", 5)
    assert [line[1] for line in lines] == [0, 1]
    assert [line[1] for line in (found["a"].rows or ((), ()))[1]] == [1]
    assert [k.row_key for k in await here.target.reverse.dirty(here.plan, "orders", 1)] == ["b"]


# --- deletes keep what the columns do not say ----------------------------------


async def test_a_deleted_row_leaves_its_rest_column(here: Shop) -> None:
    await do(here, "delete from orders where id = 'a'")
    [gone] = (await dirty(here)).values()
    assert (gone.row_key, gone.rows) == ("a", None)
    assert gone.root == ("a", None, None, None, None, '{"kept": "a"}')


async def test_a_row_that_comes_again_has_its_own_rest_column(here: Shop) -> None:
    await do(here, "delete from orders where id = 'a'")
    await do(here, "insert into orders (id) values ('a')")
    assert await here.ask("select rest from midflight.dirty") == [(None,)]
    await do(here, "update orders set extra = '{\"new\": 1}' where id = 'a'; delete from orders where id = 'a'")
    assert (await dirty(here))["a"].root[-1] == '{"new": 1}'


async def test_a_key_that_was_changed_is_one_row_gone_and_one_that_came(here: Shop) -> None:
    await do(here, "delete from order_lines; update orders set id = 'z' where id = 'a'")
    found = await dirty(here)
    assert (found["a"].rows, found["a"].root[-1]) == (None, '{"kept": "a"}')
    assert found["z"].root[0::5] == ("z", '{"kept": "a"}')


async def test_a_tail_that_slept_through_a_delete_and_an_insert_sees_the_row(here: Shop) -> None:
    await do(here, "begin; delete from orders where id = 'a'; insert into orders (id, version) values ('a', 7); commit")
    [key] = (await dirty(here)).values()
    assert key.root[3] == 7


# --- keys of every type ---------------------------------------------------------

MOMENT = datetime(2024, 5, 1, 12, 30, 15, 123000, UTC)
TYPES = {
    "text": 'it\'s \\ "quoted"',
    "any": "plain",
    "bigint": 2**40,
    "integer": -7,
    "numeric": 17,
    "numeric(6,2)": 17,
    "double precision": 0.1,
    "timestamptz": MOMENT,
    "date": datetime(2024, 5, 1, tzinfo=UTC),
    "boolean": True,
    "bytea": b"\x00\xff'",
    "objectid": ObjectId("65920100aabbccddeeff0011"),
}


@pytest.mark.parametrize("type_text", TYPES)
async def test_a_key_of_any_type_is_marked_read_and_written_off(postgres_database: str, type_text: str) -> None:
    """Whatever the settings of the application's session: the text of a key is the same in all of them."""
    plan = shop({"collection": "things", "table": "things", "key": {"column": "id", "type": type_text}})
    mapper = mapper_for(plan.collection("things"))
    key = key_bytes(TYPES[type_text])
    [document] = read_documents(encode({"_id": TYPES[type_text]}))
    mapped = mapper.map(document)
    assert isinstance(mapped, Mapped), mapped
    async with open_shop(postgres_database, plan) as here:
        await here.apply({"things": [mapped]})
        await here.target.ledger.flip(DOMAIN, 1)
        await do(here, "set timezone = 'Asia/Kolkata'; set datestyle = 'SQL, DMY'; set extra_float_digits = -10")
        await do(here, "set bytea_output = 'escape'; update things set extra = extra")
        await here.target.reverse.late(plan, FeedPosition(b"n", 0, 0), {"things": [LateWrite(key, None)]})
        [found] = await here.target.reverse.dirty(plan, "things", 10)
        assert found.rows is not None
        assert mapper.row_key(key) == found.row_key == found.root[0]
        assert encode(mapper.unmap(found.rows)) == encode({"_id": TYPES[type_text]})
        await here.target.reverse.refuse(DOMAIN, "things", found.row_key, found.seq, "no")
        assert await here.target.reverse.pending(DOMAIN) == (1, 1)
        await here.target.reverse.written_back(DOMAIN, "things", [(found.row_key, found.seq)])
        assert await here.target.reverse.pending(DOMAIN) == (0, 0)


# --- writing off --------------------------------------------------------------


async def test_an_older_seq_leaves_a_newer_mark_pending(here: Shop) -> None:
    await do(here, "update orders set version = 2 where id = 'a'")
    before = await dirty(here)
    await do(here, "update orders set version = 3 where id = 'a'")
    await here.target.reverse.written_back(DOMAIN, "orders", [("a", before["a"].seq)])
    assert (await dirty(here))["a"].seq > before["a"].seq
    await write_off(here)
    await here.target.reverse.written_back(DOMAIN, "orders", [("a", before["a"].seq)])
    assert await dirty(here) == {}


async def test_marks_of_a_key_only_grow_even_when_all_was_written_back(here: Shop) -> None:
    seqs = []
    for version in range(3):
        await do(here, f"update orders set version = {version} where id = 'a'")
        seqs.append((await write_off(here))["a"].seq)
    assert seqs == sorted(set(seqs))


async def test_writing_off_waits_for_nobody(here: Shop) -> None:
    """Else the tail and an application that holds several keys could embrace, and the application would be undone."""
    await do(here, "update orders set version = 2")
    found = await dirty(here)
    pairs = [(key.row_key, key.seq) for key in found.values()]
    async with application(here) as writer:
        await writer.execute("update orders set version = 3 where id = 'a'")
        async with asyncio.timeout(SOON):
            await here.target.reverse.written_back(DOMAIN, "orders", pairs)
        assert set(await dirty(here)) == {"a"}
        await writer.rollback()
    assert (await dirty(here))["a"].seq == found["a"].seq
    await here.target.reverse.written_back(DOMAIN, "orders", pairs)
    assert await dirty(here) == {}


async def test_what_the_source_refuses_waits_until_it_changes_or_is_tried_again(here: Shop) -> None:
    reverse = here.target.reverse
    await do(here, "update orders set version = 2")
    found = await dirty(here)
    await reverse.refuse(DOMAIN, "orders", "a", found["a"].seq, "unique index")
    assert await reverse.pending(DOMAIN) == (2, 1)
    assert set(await dirty(here)) == {"b"}
    await do(here, "update order_lines set sku = 'other' where order_id = 'a'")
    assert await reverse.pending(DOMAIN) == (2, 0)
    # The refusal was of an image that is history.
    await reverse.refuse(DOMAIN, "orders", "a", found["a"].seq, "unique index")
    assert await reverse.pending(DOMAIN) == (2, 0)
    await reverse.refuse(DOMAIN, "orders", "a", (await dirty(here))["a"].seq, "unique index")
    assert await reverse.retry_refused(DOMAIN) == 1
    assert set(await dirty(here)) == {"a", "b"}


# --- races --------------------------------------------------------------------


async def test_two_writers_of_one_document_leave_a_mark_above_what_was_written_back(here: Shop) -> None:
    """A mark drawn before its row is locked would be below the first writer's: the source's guard would refuse it."""
    async with application(here) as first, application(here) as second:
        await do(here, "update orders set version = 2 where id = 'a'")
        await write_off(here)
        await first.execute("update order_lines set sku = 'first' where order_id = 'a' and position = 0")
        waiting = asyncio.create_task(
            second.execute("update order_lines set sku = 'second' where order_id = 'a' and position = 1")
        )
        await until_waiting(here.look, second)
        # The first one marks once more: the second one's place in the line is older than this mark.
        await first.execute("update order_lines set sku = 'again' where order_id = 'a' and position = 0")
        await first.commit()
        await waiting
        before = await write_off(here)
        await second.commit()
    [key] = (await dirty(here)).values()
    assert key.seq > before["a"].seq
    assert [line[2] for line in (key.rows or ((), ()))[1]] == ["again", "second"]


async def test_under_a_snapshot_the_second_writer_is_told_to_try_again(here: Shop) -> None:
    async with application(here, psycopg.IsolationLevel.REPEATABLE_READ) as second:
        await do(here, "update orders set version = 2 where id = 'a'")
        await write_off(here)
        await second.execute("select 1 from orders")
        await do(here, "update order_lines set sku = 'first' where order_id = 'a' and position = 0")
        with pytest.raises(psycopg.errors.SerializationFailure):
            await second.execute("update order_lines set sku = 'second' where order_id = 'a' and position = 1")


async def test_marks_and_rows_are_of_one_moment(here: Shop) -> None:
    """A write between the two reads would be taken for written back: the rows are older than the mark."""
    stop = asyncio.Event()

    async def write() -> None:
        async with application(here) as writer:
            version = 1
            while not stop.is_set():
                version += 1
                await writer.execute("update orders set version = %s where id = 'a'", (version,))
                await writer.execute("update order_lines set sku = %s where order_id = 'a'", (str(version),))
                await writer.commit()

    async with asyncio.TaskGroup() as tasks, open_target(here.dsn) as target:
        tasks.create_task(write())
        for _ in range(100):
            for key in await target.reverse.dirty(here.plan, "orders", 10):
                assert key.rows is not None
                [root], lines = key.rows
                assert {line[2] for line in lines} == {str(root[3])}
                await target.reverse.written_back(DOMAIN, "orders", [(key.row_key, key.seq)])
        stop.set()


async def test_writers_of_many_documents_do_not_embrace(here: Shop) -> None:
    await do(here, "insert into orders (id, version) select 'k' || n, 0 from generate_series(1, 60) n")

    async def write(descending: bool) -> None:
        async with application(here) as writer:
            for _ in range(15):
                add = "insert into order_lines (order_id, position) select id, %s from orders order by id"
                await writer.execute(f"{add} {'desc' if descending else 'asc'}".encode(), (10 + descending,))
                await writer.execute("delete from order_lines where position = %s", (10 + descending,))
                await writer.commit()

    async with asyncio.TaskGroup() as tasks:
        for descending in (True, False):
            tasks.create_task(write(descending))


# --- the residue of elements ---------------------------------------------------

DEEP: dict[str, Any] = {
    "collection": "carts",
    "table": "carts",
    "key": {"column": "id", "type": "text"},
    "children": [
        {
            "array": "lines",
            "table": "cart_lines",
            "parent_key": "cart_id",
            "fields": [{"field": "sku", "column": "sku", "type": "text"}],
            "children": [
                {
                    "map": "taxes",
                    "table": "cart_taxes",
                    "parent_key": "cart_id",
                    "position": "code",
                    "fields": [{"field": "rate", "column": "rate", "type": "integer"}],
                }
            ],
        }
    ],
}


def cart() -> dict[str, Any]:
    """Every line and every tax has a field that no column holds."""
    return {
        "_id": "c",
        "lines": [
            {"sku": f"s{n}", "note": f"of line {n}", "taxes": {"$vat": {"rate": n, "by": f"v{n}"}, "x": {"rate": 1}}}
            for n in range(3)
        ],
        "owner": "ann",
    }


@pytest.fixture
async def carts(postgres_database: str) -> AsyncIterator[Shop]:
    plan: Plan = shop(DEEP)
    [document] = read_documents(encode(cart()))
    mapped = mapper_for(plan.collection("carts")).map(document)
    async with open_shop(postgres_database, plan) as here:
        await here.apply({"carts": [mapped]})
        await here.add_constraints()
        await here.target.ledger.flip(DOMAIN, 1)
        yield here


async def rebuilt(here: Shop) -> dict[str, Any]:
    """The document as it would go back to the source."""
    [key] = await here.target.reverse.dirty(here.plan, "carts", 10)
    assert key.rows is not None
    return mapper_for(here.plan.collection("carts")).unmap(key.rows)


async def test_what_the_application_leaves_alone_comes_back_to_the_byte(carts: Shop) -> None:
    await do(carts, "update carts set extra = extra")
    assert encode(await rebuilt(carts)) == encode(cart())


async def test_an_element_keeps_its_residue_when_its_columns_change(carts: Shop) -> None:
    await do(carts, "update cart_lines set sku = 'other' where position = 1")
    expected = cart()
    expected["lines"][1]["sku"] = "other"
    assert await rebuilt(carts) == expected


async def test_an_element_that_takes_the_place_of_a_deleted_one_does_not_get_its_residue(carts: Shop) -> None:
    await do(carts, "delete from cart_taxes where position = 1; delete from cart_lines where position = 1")
    await do(carts, "insert into cart_lines (cart_id, position, sku) values ('c', 1, 'new')")
    expected = cart()
    expected["lines"][1] = {"sku": "new"}
    assert await rebuilt(carts) == expected


@pytest.mark.parametrize("where", ["position = 0", "position < 1 or sku = 's0'"])
async def test_elements_that_move_up_lose_their_residue_and_take_none(carts: Shop, where: str) -> None:
    await do(carts, "delete from cart_taxes")
    await do(carts, f"delete from cart_lines where {where}")
    await do(carts, "update cart_lines set position = position - 1")
    assert await rebuilt(carts) == {"_id": "c", "lines": [{"sku": "s1"}, {"sku": "s2"}], "owner": "ann"}


async def test_deeper_elements_lose_their_residue_by_themselves(carts: Shop) -> None:
    await do(carts, "delete from cart_taxes where position = 2 and code = '$vat'")
    await do(carts, "insert into cart_taxes (cart_id, position, code, rate) values ('c', 2, '$vat', 19)")
    expected = cart()
    expected["lines"][2]["taxes"]["$vat"] = {"rate": 19}
    assert await rebuilt(carts) == expected


async def test_a_map_element_that_changes_its_name_leaves_its_residue_behind(carts: Shop) -> None:
    await do(carts, "update cart_taxes set code = 'y' where position = 0 and code = '$vat'")
    await do(carts, "insert into cart_taxes (cart_id, position, code, rate) values ('c', 0, '$vat', 1)")
    taxes = (await rebuilt(carts))["lines"][0]["taxes"]
    assert taxes == {"$vat": {"rate": 1}, "x": {"rate": 1}, "y": {"rate": 0}}


async def test_the_residue_goes_out_in_bulk_too(carts: Shop) -> None:
    await do(carts, "insert into carts (id, extra) select 'k' || n, extra from carts, generate_series(1, 200) n")
    await do(
        carts, "insert into cart_lines select 'k' || n, p, 's' from generate_series(1, 200) n, generate_series(0, 2) p"
    )
    await do(carts, "delete from cart_lines where position = 2 and cart_id <> 'c'")
    kept = await carts.ask(
        "select distinct array(select jsonb_object_keys(extra -> '$children' -> 'lines')) from carts where id <> 'c'"
    )
    assert kept == [(["0", "1"],)]


async def test_a_deleted_document_keeps_the_residue_it_had(carts: Shop) -> None:
    await do(carts, "delete from carts")
    [key] = await carts.target.reverse.dirty(carts.plan, "carts", 10)
    assert key.rows is None
    assert '"of line 2"' in key.root[-1]


async def test_a_collection_without_a_rest_column_has_no_residue_to_lose(postgres_database: str) -> None:
    async with open_shop(postgres_database, shop({**ORDERS, "rest": None, "fields": []}, MEMBERS)) as here:
        await here.target.ledger.flip(DOMAIN, 1)
        await do(here, "insert into orders values ('a'); insert into order_lines values ('a', 0, 's')")
        await do(here, "update order_lines set position = 1; delete from order_lines; delete from orders")
        assert (await dirty(here))["a"].root == ("a",)


# --- late writes ---------------------------------------------------------------


async def test_a_late_write_is_kept_with_its_image_and_its_key_is_dirty(here: Shop) -> None:
    image = encode({"_id": "a", "total": 5, "text": "a\0b", "at": MOMENT})
    writes = {"orders": [LateWrite(key_bytes("a"), image), LateWrite(key_bytes("b"), None)]}
    await here.target.reverse.late(here.plan, FeedPosition(b"next", 0, 7, 3), writes)
    position = await here.target.ledger.position(DOMAIN)
    assert position is not None
    assert (position.token, position.commits, position.mark, position.events) == (b"next", 1, 7, 3)
    written, deleted = await here.target.ledger.quarantined(DOMAIN)
    assert (written.path, deleted.path) == ("tripwire", "tripwire")
    assert "after the flip" in written.reason
    assert "deleted" in deleted.reason
    images = await here.ask("select image from midflight.quarantine order by key")
    assert images[0][0]["text"] == {"$utf8": "YQBi"}
    assert images[1] == (None,)
    assert set(await dirty(here)) == {"a", "b"}


async def test_a_late_write_of_an_unknown_key_is_dirty_without_rows(here: Shop) -> None:
    late = [LateWrite(key_bytes("stranger"), encode({"_id": "stranger"})), LateWrite(key_bytes(5), encode({"_id": 5}))]
    await here.target.reverse.late(here.plan, FeedPosition(b"next", 0, 0), {"orders": late})
    # A number does not fit the key column: there never was such a row, but the image is kept.
    [key] = (await dirty(here)).values()
    assert (key.row_key, key.rows) == ("stranger", None)
    assert len(await here.target.ledger.quarantined(DOMAIN)) == 2


async def test_another_late_write_needs_another_waiver(here: Shop) -> None:
    reverse = here.target.reverse
    for commits, image in enumerate([{"_id": "a", "n": 1}, {"_id": "a", "n": 2}]):
        late = {"orders": [LateWrite(key_bytes("a"), None), LateWrite(key_bytes("a"), encode(image))]}
        await reverse.late(here.plan, FeedPosition(b"next", commits, 0), late)
        [entry] = await here.target.ledger.quarantined(DOMAIN)
        await here.target.ledger.waive(DOMAIN, entry.number, "ann", "seen")
    assert await images(here) == ["1", "2"]


async def images(here: Shop) -> list[str]:
    return [n for (n,) in await here.ask("select image->>'n' from midflight.quarantine order by number")]


async def test_no_late_write_takes_the_place_of_another(here: Shop) -> None:
    """Red if a key has one entry only: the first image would be in no store any more."""
    for commits, number in enumerate([1, 2, 2]):
        late = {"orders": [LateWrite(key_bytes("a"), encode({"_id": "a", "n": number}))]}
        await here.target.reverse.late(here.plan, FeedPosition(b"next", commits, 0), late)
    assert await images(here) == ["1", "2"]
    assert len(await here.target.ledger.quarantined(DOMAIN)) == 2


async def test_what_cannot_be_decoded_is_kept_as_bytes(here: Shop) -> None:
    image = encode({"_id": "a", "n": 1}).replace(b"\x10n\0", b"\x7en\0")
    await here.target.reverse.late(here.plan, FeedPosition(b"n", 0, 0), {"orders": [LateWrite(key_bytes("a"), image)]})
    [(kept,)] = await here.ask("select image from midflight.quarantine")
    assert "$binary" in str(kept)


async def test_a_zombie_of_the_tripwire_keeps_nothing(here: Shop) -> None:
    late = {"orders": [LateWrite(key_bytes("a"), None)]}
    await here.target.reverse.late(here.plan, FeedPosition(b"one", 0, 0), {})
    with pytest.raises(Superseded):
        await here.target.reverse.late(here.plan, FeedPosition(b"one", 0, 0), late)
    assert await dirty(here) == {}
    assert await here.target.ledger.quarantined(DOMAIN) == []


async def test_under_the_source_no_write_is_late(here: Shop) -> None:
    """A zombie that marked a key after the way back would make the next reverse tail restore an old document."""
    await here.target.ledger.close(DOMAIN)
    await here.target.ledger.flip_back(DOMAIN, 2)
    with pytest.raises(AuthorityMoved):
        await here.target.reverse.late(
            here.plan, FeedPosition(b"one", 0, 0), {"orders": [LateWrite(key_bytes("a"), None)]}
        )
    assert await dirty(here) == {}
