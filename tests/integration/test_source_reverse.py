"""The way back: documents and their guards, and whose write a document is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId, Regex, Timestamp
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

import embedded
from midflight.core.documents import split
from midflight.core.keys import key_bytes
from midflight.errors import SourceUnavailable
from midflight.mongo import transactions
from midflight.mongo.client import open_source
from midflight.mongo.reverse import MongoReverse
from midflight.mongo.wire import GUARDS, KEYS_A_QUERY, raw
from midflight.ports import Source
from midflight.records import LateWrite, WriteBack

Database = AsyncDatabase[dict[str, Any]]
NAME = "orders"
ONE = key_bytes(1)


@pytest.fixture
async def database(servers: embedded.Servers, mongo_database: str) -> AsyncIterator[Database]:
    async with AsyncMongoClient[dict[str, Any]](servers.mongo_uri) as client:
        await client[mongo_database].create_collection(NAME)
        yield client[mongo_database]


@pytest.fixture
async def source(servers: embedded.Servers, mongo_database: str) -> AsyncIterator[Source]:
    async with open_source(servers.mongo_uri, mongo_database) as source:
        yield source


def change(seq: int, document: dict[str, Any] | None, key: object = 1) -> WriteBack:
    return WriteBack(key_bytes(document["_id"] if document else key), seq, bson.encode(document) if document else None)


async def put(source: Source, *changes: WriteBack) -> dict[bytes, str]:
    """What was refused, and why, by key."""
    return {each.key: each.reason for each in await source.reverse.write_back(NAME, changes)}


async def stored(database: Database) -> list[bytes]:
    return [each async for block in raw(database[NAME].find_raw_batches(sort=[("_id", 1)])) for each in split(block)]


async def documents(database: Database) -> list[dict[str, Any]]:
    return [bson.decode(each) for each in await stored(database)]


async def test_documents_are_written_replaced_and_deleted(source: Source, database: Database) -> None:
    assert await put(source, change(1, {"_id": 1, "a": 1}), change(2, {"_id": 2, "a": 2})) == {}
    assert await put(source, change(3, {"_id": 1, "b": 3}), change(4, None, 2)) == {}
    assert await documents(database) == [{"_id": 1, "b": 3}]


@pytest.mark.parametrize("seq", [4, 5], ids=["older", "equal"])
async def test_only_a_larger_seq_replaces_a_document(source: Source, database: Database, seq: int) -> None:
    await put(source, change(5, {"_id": 1, "a": "new"}))
    assert await put(source, change(seq, {"_id": 1, "a": "old"})) == {}, "being late is not being refused"
    assert await put(source, change(seq, None)) == {}
    assert await documents(database) == [{"_id": 1, "a": "new"}]


async def test_a_deleted_document_does_not_come_back_with_an_older_write(source: Source, database: Database) -> None:
    await put(source, change(5, {"_id": 1}))
    await put(source, change(7, None))
    await put(source, change(6, {"_id": 1, "a": "old"}))
    assert await documents(database) == []
    await put(source, change(8, {"_id": 1, "a": "new"}))
    assert await documents(database) == [{"_id": 1, "a": "new"}]


async def test_a_delete_of_what_never_existed_leaves_its_tombstone(source: Source, database: Database) -> None:
    await put(source, change(7, None))
    await put(source, change(6, {"_id": 1}))
    assert await documents(database) == []


async def test_of_two_changes_of_one_key_in_one_call_the_newer_one_counts(source: Source, database: Database) -> None:
    await put(source, change(2, {"_id": 1, "a": "new"}), change(1, {"_id": 1, "a": "old"}))
    assert await documents(database) == [{"_id": 1, "a": "new"}]


async def test_many_keys_are_written_in_several_transactions(source: Source, database: Database) -> None:
    many = [change(number + 1, {"_id": number}) for number in range(2 * KEYS_A_QUERY + 1)]
    assert await put(source, *many) == {}
    assert len(await stored(database)) == len(many)
    assert await database[GUARDS].count_documents({}) == len(many)


async def test_writes_back_pass_our_fence_and_the_customers_validator(source: Source, database: Database) -> None:
    await database[NAME].insert_one({"_id": 1, "points": 1})
    await database.command("collMod", NAME, validator={"points": {"$gte": 0}})
    await source.fence.raise_fence([NAME])
    assert await put(source, change(1, {"_id": 1, "points": -1}), change(2, {"_id": 2})) == {}
    assert await documents(database) == [{"_id": 1, "points": -1}, {"_id": 2}]
    assert await source.fence.fenced([NAME]) == {NAME}


async def test_every_field_keeps_its_place_and_its_bytes(source: Source, database: Database) -> None:
    body = {"_id": 1, "z": 1, "a": Int64(1), "m": {"b": 1.0, "a": Decimal128("1.10")}, "": None, "a.b": Regex("x", "i")}
    exact = bson.encode(body)
    for seq in (1, 2):  # inserted, then replaced
        await source.reverse.write_back(NAME, [WriteBack(ONE, seq, exact)])
        assert await stored(database) == [exact]


async def test_a_document_that_the_server_changes_is_still_our_own(source: Source, database: Database) -> None:
    await put(source, WriteBack(ONE, 1, bson.encode({"a": 1, "_id": 1, "t": Timestamp(0, 0)})))
    assert (await documents(database))[0].keys() == {"_id", "a", "t"}
    assert await source.reverse.late_writes(NAME, [ONE]) == []


@pytest.mark.parametrize("now", [Int64(3), 3.0, Decimal128("3")], ids=["long", "double", "decimal"])
async def test_a_key_in_another_numeric_type_replaces_the_document(
    source: Source, database: Database, now: object
) -> None:
    await database[NAME].insert_one({"_id": 3, "a": "old"})
    for seq in (1, 2):
        document = {"_id": now, "a": seq}
        assert await put(source, change(seq, document)) == {}
        assert await stored(database) == [bson.encode(document)]
    await put(source, change(1, {"_id": 3, "a": "late"}))
    assert await stored(database) == [bson.encode({"_id": now, "a": 2})]


@pytest.mark.parametrize(
    "key", [ObjectId(b"twelve bytes"), "text", {"b": 1, "a": Int64(2)}, b"bytes", None, True, Regex("^t")], ids=repr
)
async def test_keys_of_every_kind_are_found_again(source: Source, database: Database, key: object) -> None:
    await database[NAME].insert_one({"_id": "tother"})
    for seq in (1, 2):
        assert await put(source, change(seq, {"_id": key, "a": seq})) == {}
    assert await source.reverse.late_writes(NAME, [key_bytes(key)]) == []
    assert await put(source, change(3, None, key)) == {}
    assert await documents(database) == [{"_id": "tother"}]


# --- what the source refuses ------------------------------------------------------------------------------------------


@pytest.fixture
async def unique(database: Database) -> None:
    await database[NAME].create_index("mail", unique=True, sparse=True)
    await database[NAME].insert_one({"_id": "taken", "mail": "secret@example.com"})


async def test_one_refused_key_does_not_stop_the_others(source: Source, database: Database, unique: None) -> None:
    taken = change(2, {"_id": 2, "mail": "secret@example.com"})
    refused = await put(source, change(1, {"_id": 1}), taken, change(3, {"_id": 3}))
    assert refused == {taken.key: "another document of the source has the same value of the unique index on `mail`"}
    assert [each["_id"] for each in await documents(database)] == [1, 3, "taken"]


async def test_a_refused_document_leaves_no_guard_and_gets_in_later(
    source: Source, database: Database, unique: None
) -> None:
    taken = change(2, {"_id": 2, "mail": "secret@example.com"})
    assert set(await put(source, taken)) == {taken.key}
    assert await database[GUARDS].count_documents({}) == 0
    await database[NAME].delete_one({"_id": "taken"})
    assert await put(source, taken) == {}


async def test_two_keys_may_swap_a_unique_value_while_a_third_is_refused(
    source: Source, database: Database, unique: None
) -> None:
    await database[NAME].insert_many([{"_id": 1, "mail": "a"}, {"_id": 2, "mail": "b"}])
    taken = change(5, {"_id": 5, "mail": "secret@example.com"})
    swapped = [change(1, {"_id": 1, "mail": "b"}), change(2, {"_id": 2, "mail": "a"})]
    assert set(await put(source, swapped[0], taken, swapped[1])) == {taken.key}
    assert (await documents(database))[:2] == [{"_id": 1, "mail": "b"}, {"_id": 2, "mail": "a"}]


async def test_a_value_may_move_to_a_key_that_is_written_before_its_owner_lets_go(
    source: Source, database: Database, unique: None
) -> None:
    await database[NAME].insert_one({"_id": 2, "mail": "b"})
    assert await put(source, change(1, {"_id": 1, "mail": "b"}), change(2, {"_id": 2, "mail": "c"})) == {}
    assert await put(source, change(3, {"_id": 3, "mail": "c"}), change(4, None, 2)) == {}
    assert (await documents(database))[:2] == [{"_id": 1, "mail": "b"}, {"_id": 3, "mail": "c"}]


@pytest.mark.parametrize("size", [16 * 2**20, 17 * 2**20], ids=["for the server", "for the driver"])
async def test_a_document_that_is_too_large_is_refused_alone(source: Source, database: Database, size: int) -> None:
    large = change(1, {"_id": 1, "a": "x" * size})
    refused = await put(source, large, change(2, {"_id": 2}))
    assert set(refused) == {large.key}
    assert await documents(database) == [{"_id": 2}]


# --- at the same time -------------------------------------------------------------------------------------------------


async def test_many_writers_of_one_key_leave_the_newest_image(
    servers: embedded.Servers, mongo_database: str, database: Database
) -> None:
    async def write(seq: int) -> None:
        async with open_source(servers.mongo_uri, mongo_database) as own:
            await put(own, change(seq, {"_id": 1, "a": seq}), change(seq, None if seq % 2 else {"_id": 2}, 2))

    await asyncio.gather(*map(write, range(1, 11)))
    assert await documents(database) == [{"_id": 1, "a": 10}, {"_id": 2}]


async def test_a_belated_writer_that_read_the_guard_early_cannot_restore_an_old_document(
    source: Source, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The belated one stops between its look at the guard and its write; meanwhile the newer one goes through."""
    await put(source, change(1, {"_id": 1, "a": 1}))
    belated = MongoReverse(database)
    look = belated._guards_of
    newer = iter([change(3, {"_id": 1, "a": 3})])

    async def look_then_wait(*arguments: Any) -> Any:
        found = await look(*arguments)
        for each in newer:
            await put(source, each)
        return found

    monkeypatch.setattr(belated, "_guards_of", look_then_wait)
    assert await belated.write_back(NAME, [change(2, {"_id": 1, "a": 2})]) == []
    assert await documents(database) == [{"_id": 1, "a": 3}]
    assert await source.reverse.late_writes(NAME, [ONE]) == []


# --- late writes ------------------------------------------------------------------------------------------------------


async def test_what_the_reverse_tail_wrote_is_not_late(source: Source, database: Database) -> None:
    await put(source, change(1, {"_id": 1, "a": 1}), change(2, {"_id": 2}), change(3, None, 3))
    await put(source, change(4, None, 2))
    assert await source.reverse.late_writes(NAME, [key_bytes(number) for number in (1, 2, 3, 1)]) == []


async def test_whatever_somebody_else_wrote_is_late(source: Source, database: Database) -> None:
    await put(source, *(change(number, {"_id": number}) for number in range(1, 4)), change(4, None, 4))
    await database[NAME].update_one({"_id": 1}, {"$set": {"a": 1}})
    await database[NAME].delete_one({"_id": 2})
    await database[NAME].insert_many([{"_id": 4}, {"_id": 5}])
    found = await source.reverse.late_writes(NAME, [key_bytes(number) for number in range(1, 7)])
    images = {
        1: bson.encode({"_id": 1, "a": 1}),
        2: None,
        4: bson.encode({"_id": 4}),
        5: bson.encode({"_id": 5}),
        6: None,
    }
    assert found == [LateWrite(key_bytes(number), image) for number, image in images.items()]


async def test_a_late_write_is_settled_by_the_next_write_back(source: Source, database: Database) -> None:
    await put(source, change(1, {"_id": 1, "a": 1}))
    await database[NAME].update_one({"_id": 1}, {"$set": {"a": 2}})
    await put(source, change(2, {"_id": 1, "a": 1}))
    assert await source.reverse.late_writes(NAME, [ONE]) == []
    assert await documents(database) == [{"_id": 1, "a": 1}]


async def test_a_write_back_that_is_under_way_is_never_called_late(
    servers: embedded.Servers, mongo_database: str, source: Source
) -> None:
    """Document and guard must be seen as of one moment, whatever happens between the two reads."""
    keys = [key_bytes(number) for number in range(5)]
    await put(source, *(change(1, {"_id": number, "a": 1}) for number in range(5)))

    async def write() -> None:
        for seq in range(2, 60):
            await put(source, *(change(seq, {"_id": number, "a": seq}) for number in range(5)))

    async with open_source(servers.mongo_uri, mongo_database) as other:
        writing = asyncio.create_task(write())
        found: list[list[LateWrite]] = []
        while not writing.done():
            found.append(await other.reverse.late_writes(NAME, keys))
        await writing
    assert len(found) > 10
    assert not any(found)


# --- guards and retries -----------------------------------------------------------------------------------------------


async def test_guards_of_other_collections_outlive_those_that_are_forgotten(source: Source, database: Database) -> None:
    await put(source, change(5, {"_id": 1}))
    await source.reverse.write_back("members", [change(5, {"_id": 1})])
    await source.reverse.forget_guards([NAME])
    assert [each["c"] async for each in database[GUARDS].find()] == ["members"]
    await source.reverse.forget_guards([NAME, "members"])
    assert GUARDS not in await database.list_collection_names()
    assert await put(source, change(1, {"_id": 1, "a": "again"})) == {}
    assert await documents(database) == [{"_id": 1, "a": "again"}]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(transactions, "ATTEMPTS", 3)


async def test_a_key_that_somebody_holds_for_too_long_is_an_error_that_may_be_retried(
    source: Source, database: Database, impatient: None
) -> None:
    await put(source, change(1, {"_id": 1, "a": 1}))
    async with database.client.start_session() as session:
        await session.start_transaction()
        await database[NAME].update_one({"_id": 1}, {"$set": {"a": "held"}}, session=session)
        with pytest.raises(SourceUnavailable):
            await put(source, change(2, {"_id": 1, "a": 2}))
        await session.abort_transaction()
    assert await put(source, change(2, {"_id": 1, "a": 2})) == {}


async def test_a_commit_whose_fate_is_unknown_is_done_again_without_harm(
    source: Source, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = transactions._attempt
    unknown = PyMongoError("the answer was lost", error_labels=["UnknownTransactionCommitResult"])
    lost = iter([unknown])

    async def forgetful(*arguments: Any) -> Any:
        result = await attempt(*arguments)
        for error in lost:
            raise error
        return result

    monkeypatch.setattr(transactions, "_attempt", forgetful)
    assert await put(source, change(1, {"_id": 1, "a": 1})) == {}
    assert await documents(database) == [{"_id": 1, "a": 1}]


async def test_the_largest_seq_is_that_of_the_guards_of_these_collections(source: Source) -> None:
    assert await source.reverse.largest_seq([NAME]) == 0
    await put(source, change(7, {"_id": 1}), change(2**40, None, 2), change(9, {"_id": 3}))
    assert await source.reverse.largest_seq([NAME, "others"]) == 2**40
    assert await source.reverse.largest_seq(["others"]) == 0
