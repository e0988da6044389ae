"""The change feed: every change at least once, over resume at any position; marks; what ends it."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from bson import Binary, Decimal128, ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

import embedded
from midflight.core.documents import read_documents
from midflight.core.keys import key_bytes, key_value
from midflight.errors import SourceError
from midflight.mongo.client import open_source
from midflight.mongo.wire import MARKS, moment_bytes
from midflight.ports import Source
from midflight.records import Changed, KeyRange

DEADLINE_SECONDS = 60.0
DOMAIN = "loyalty/members"
Database = AsyncDatabase[dict[str, Any]]


@pytest.fixture
async def database(servers: embedded.Servers, mongo_database: str) -> AsyncIterator[Database]:
    async with AsyncMongoClient[dict[str, Any]](servers.mongo_uri) as client:
        yield client[mongo_database]


@pytest.fixture
async def source(servers: embedded.Servers, mongo_database: str) -> AsyncIterator[Source]:
    async with open_source(servers.mongo_uri, mongo_database) as source:
        yield source


async def until_mark(
    source: Source, token: bytes, mark: int, *, collections: Sequence[str] = ("a", "b"), at_most: int = 1_000
) -> list[Changed]:
    """Everything from the position to the mark."""
    found: list[Changed] = []
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        source.feed.follow(DOMAIN, collections, token, at_most=at_most, wait_seconds=0.2) as changes,
    ):
        async for changed in changes:
            found.append(changed)
            if (changed.mark or 0) >= mark:
                return found
    raise AssertionError("the feed ended")


def keys_of(found: Sequence[Changed], collection: str) -> list[bytes]:
    return [key for changed in found for key in changed.keys.get(collection, [])]


async def test_the_feed_delivers_the_keys_of_inserts_updates_replaces_and_deletes(
    source: Source, database: Database
) -> None:
    token = await source.feed.pin(["a", "b"])
    await database["a"].insert_many([{"_id": key} for key in ("inserted", 2, 3.0, 4)])
    await database["b"].insert_one({"_id": 5})
    await database["unrelated"].insert_one({"_id": 6})
    await database["a"].update_one({"_id": 2}, {"$set": {"x": 1}})
    await database["a"].replace_one({"_id": 3}, {"x": 2})
    await database["a"].delete_one({"_id": 4})
    found = await until_mark(source, token, await source.feed.mark(DOMAIN))
    assert set(keys_of(found, "a")) == {key_bytes(key) for key in ("inserted", 2, 3, 4)}
    assert keys_of(found, "b") == [key_bytes(5)]
    assert set().union(*(changed.keys for changed in found)) == {"a", "b"}
    assert sum(changed.events for changed in found) == 9  # five inserts, three other changes, the mark


async def test_keys_of_every_kind_cross_the_feed(source: Source, database: Database) -> None:
    keys: list[Any] = [ObjectId(), "é", True, None, 2.5, Decimal128("1E+40"), Binary(b"\1", 4), {"a": {"b": 1}}]
    token = await source.feed.pin(["a"])
    await database["a"].insert_many([{"_id": key} for key in keys])
    found = await until_mark(source, token, await source.feed.mark(DOMAIN), collections=["a"])
    assert keys_of(found, "a") == [key_bytes(key) for key in keys]


async def test_a_key_that_changed_often_comes_once_in_one_delivery(source: Source, database: Database) -> None:
    token = await source.feed.pin(["a"])
    for number in range(10):
        await database["a"].update_one({"_id": number % 2}, {"$inc": {"n": 1}}, upsert=True)
    found = await until_mark(source, token, await source.feed.mark(DOMAIN), collections=["a"])
    for changed in found:
        assert len(set(changed.keys.get("a", []))) == len(changed.keys.get("a", []))
    assert keys_of(found, "a")[:2] == [key_bytes(0), key_bytes(1)]


async def test_one_delivery_holds_at_most_what_was_asked_for(source: Source, database: Database) -> None:
    token = await source.feed.pin(["a"])
    await database["a"].insert_many([{"_id": number} for number in range(100)])
    found = await until_mark(source, token, await source.feed.mark(DOMAIN), collections=["a"], at_most=7)
    assert max(changed.events for changed in found) <= 7
    assert keys_of(found, "a") == [key_bytes(number) for number in range(100)]


async def test_a_quiet_feed_yields_empty_changes_and_its_position_moves_on(source: Source, database: Database) -> None:
    token = await source.feed.pin(["a"])
    await database["unrelated"].insert_many([{"_id": number} for number in range(10)])
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        source.feed.follow(DOMAIN, ["a"], token, at_most=10, wait_seconds=0.1) as changes,
    ):
        quiet = await anext(changes)
    assert (quiet.keys, quiet.after, quiet.mark, quiet.events) == ({}, None, None, 0)
    assert quiet.token != token
    await database["a"].insert_one({"_id": "later"})
    found = await until_mark(source, quiet.token, await source.feed.mark(DOMAIN), collections=["a"])
    assert keys_of(found, "a") == [key_bytes("later")]


async def test_every_delivered_position_resumes_with_the_very_next_change(source: Source, database: Database) -> None:
    token = await source.feed.pin(["a"])
    await database["a"].insert_many([{"_id": number} for number in range(40)])
    mark = await source.feed.mark(DOMAIN)
    found = await until_mark(source, token, mark, collections=["a"], at_most=3)
    seen = 0
    for changed in found[:-1]:
        seen += len(changed.keys.get("a", []))
        rest = await until_mark(source, changed.token, mark, collections=["a"])
        assert keys_of(rest, "a") == [key_bytes(number) for number in range(seen, 40)]


async def test_nothing_is_missed_over_resumes_under_concurrent_writers(source: Source, database: Database) -> None:
    """The reader drops the feed at every few deliveries and goes on from the last position it was given."""
    token = await source.feed.pin(["a", "b"])
    writing = asyncio.gather(*(write(database, writer) for writer in range(4)))
    seen: dict[str, set[bytes]] = {"a": set(), "b": set()}
    mark: int | None = None
    async with asyncio.timeout(DEADLINE_SECONDS):
        for size in itertools.cycle((1, 5, 50)):
            if mark is None and writing.done():
                mark = await source.feed.mark(DOMAIN)
            token, reached = await some(source, token, seen, size)
            if mark is not None and reached >= mark:
                break
    expected = [key for keys in await writing for key in keys]
    assert seen["a"] == {key_bytes(key) for name, key in expected if name == "a"}
    assert seen["b"] == {key_bytes(key) for name, key in expected if name == "b"}


async def write(database: Database, writer: int) -> list[tuple[str, str]]:
    written = []
    for number in range(60):
        name, key = "ab"[number % 2], f"{writer}/{number}"
        await database[name].insert_one({"_id": key})
        if number % 3 == 0:
            await database[name].delete_one({"_id": key})
        written.append((name, key))
    return written


async def some(source: Source, token: bytes, seen: dict[str, set[bytes]], size: int) -> tuple[bytes, int]:
    """Three deliveries from the position: the next position, and the highest mark."""
    reached = 0
    async with source.feed.follow(DOMAIN, ["a", "b"], token, at_most=size, wait_seconds=0.05) as changes:
        for _ in range(3):
            changed = await anext(changes)
            for name, keys in changed.keys.items():
                seen[name].update(keys)
            token, reached = changed.token, max(reached, changed.mark or 0)
    return token, reached


async def test_a_position_pinned_before_a_read_leaves_no_gap(source: Source, database: Database) -> None:
    """Each write is in the read, or in the feed from the pin on, whenever the pin happens."""
    for attempt in range(5):
        writing = asyncio.create_task(write(database, attempt))
        while await database["a"].count_documents({"_id": {"$regex": f"^{attempt}/"}}, limit=3) < 3:
            await asyncio.sleep(0)
        token = await source.feed.pin(["a", "b"])
        known = {name: await whole(source, name) for name in ("a", "b")}
        written = await writing
        found = await until_mark(source, token, await source.feed.mark(DOMAIN))
        for name in ("a", "b"):
            arrived = known[name] | set(keys_of(found, name))
            alive = {key for key in await whole(source, name) if str(key_value(key)).startswith(f"{attempt}/")}
            assert alive <= arrived
            deleted = {key_bytes(key) for where, key in written if where == name} - alive
            assert deleted & known[name] <= set(keys_of(found, name)), "a delete after the read has its event"


async def whole(source: Source, collection: str, batch_size: int = 100) -> set[bytes]:
    blocks = [b async for b in source.reader.read_range(collection, KeyRange(), above=None, batch_size=batch_size)]
    return {document.key for block in blocks for document in read_documents(block)}


async def test_a_position_may_be_a_moment_where_the_server_gave_no_token(source: Source, database: Database) -> None:
    moment = (await database.command("ping"))["operationTime"]
    await database["a"].insert_one({"_id": 1})
    found = await until_mark(source, moment_bytes(moment), await source.feed.mark(DOMAIN))
    assert keys_of(found, "a") == [key_bytes(1)]


async def test_a_read_after_a_delivery_sees_what_was_delivered(source: Source, database: Database) -> None:
    token = await source.feed.pin(["a"])
    await database["a"].insert_many([{"_id": number} for number in range(50)])
    found = await until_mark(source, token, await source.feed.mark(DOMAIN), collections=["a"], at_most=5)
    for changed in found:
        keys = changed.keys.get("a", [])
        assert len(read_documents(await source.reader.read_keys("a", keys, after=changed.after))) == len(keys)


# --- marks --------------------------------------------------------------------------------------------------------


async def test_a_mark_comes_after_everything_that_was_acknowledged_before_it(
    source: Source, database: Database
) -> None:
    token = await source.feed.pin(["a"])
    marks: dict[int, int] = {}
    for number in range(30):
        await database["a"].insert_one({"_id": number})
        marks[await source.feed.mark(DOMAIN)] = number
    found = await until_mark(source, token, max(marks), collections=["a"], at_most=1)
    seen: set[bytes] = set()
    for changed in found:
        seen.update(changed.keys.get("a", []))
        if changed.mark is not None:
            assert seen == {key_bytes(number) for number in range(marks[changed.mark] + 1)}


async def test_a_mark_of_another_domain_says_nothing_to_ours(source: Source) -> None:
    token = await source.feed.pin(["a"])
    first = await source.feed.mark(DOMAIN)
    others = [await source.feed.mark("another") for _ in range(5)]
    assert max(others) > first + 1, "what ours must not be taken for"
    second = await source.feed.mark(DOMAIN)
    found = await until_mark(source, token, second, at_most=1)
    assert [changed.mark for changed in found if changed.mark is not None] == [first, second]
    assert sum(changed.events for changed in found) == 7


async def test_marks_grow_also_over_forgetting_them(source: Source, database: Database) -> None:
    marks = []
    for _ in range(3):
        marks += [await source.feed.mark(DOMAIN) for _ in range(20)]
        await source.feed.forget(DOMAIN)
    assert marks == sorted(set(marks))
    assert MARKS not in await database.list_collection_names()


async def test_concurrent_first_marks_are_all_different(source: Source) -> None:
    marks = await asyncio.gather(*(source.feed.mark(DOMAIN) for _ in range(8)))
    assert len(set(marks)) == 8


async def test_forgetting_leaves_the_marks_of_others_and_does_not_end_their_feeds(
    source: Source, database: Database
) -> None:
    token = await source.feed.pin(["a"])
    await source.feed.mark("another")
    await source.feed.mark(DOMAIN)
    await source.feed.forget(DOMAIN)
    assert [each["_id"] async for each in database[MARKS].find()] == ["another"]
    await source.feed.forget("another")
    await source.feed.forget("another")
    mark = await source.feed.mark(DOMAIN)
    assert (await until_mark(source, token, mark))[-1].mark == mark


# The driver leaves a socket to the garbage collector when it is cancelled while connecting; these tests collect it.
half_open_sockets = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


# --- what ends a feed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "said"),
    [("drop", "`a` was dropped"), ("rename", "`a` was renamed"), ("replace", "renamed"), ("database", "was dropped")],
)
async def test_a_followed_collection_that_goes_away_is_an_error_that_says_so(
    source: Source, database: Database, end: str, said: str
) -> None:
    await database["a"].insert_one({"_id": 1})
    await database["other"].insert_one({"_id": 1})
    token = await source.feed.pin(["a"])
    match end:
        case "drop":
            await database["a"].drop()
        case "rename":
            await database["a"].rename("elsewhere")
        case "replace":
            await database["other"].rename("a", dropTarget=True)
        case "database":
            await database.client.drop_database(database.name)
    with pytest.raises(SourceError, match=said if end != "replace" else "dropped|renamed") as caught:
        await until_mark(source, token, 1, collections=["a"])
    assert "capture" in caught.value.next_step


async def test_a_feed_left_in_the_middle_of_waiting_can_be_followed_again(source: Source, database: Database) -> None:
    token = await source.feed.pin(["a"])
    async with source.feed.follow(DOMAIN, ["a"], token, at_most=10, wait_seconds=30) as changes:
        waiting = asyncio.ensure_future(anext(changes))
        await database["a"].insert_one({"_id": 1})
        delivered = await waiting
        while not delivered.keys:  # the server may answer once that nothing has happened yet
            delivered = await anext(changes)
        token = delivered.token
    await database["a"].insert_one({"_id": 2})
    assert (await one(source, token)).keys == {"a": [key_bytes(2)]}


async def one(source: Source, token: bytes) -> Changed:
    async with source.feed.follow(DOMAIN, ["a"], token, at_most=10, wait_seconds=30) as changes:
        return await anext(changes)


@half_open_sockets
async def test_whoever_follows_can_be_cancelled_at_every_step(source: Source) -> None:
    """Before Python 3.12 the driver loses a cancellation that arrives together with an answer."""
    token = await source.feed.pin(["a"])
    for steps in range(40):
        waiting = asyncio.ensure_future(one(source, token))
        for _ in range(steps):
            await asyncio.sleep(0)
        assert waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(waiting), 5)
    gc.collect()


@half_open_sockets
async def test_whoever_reads_can_be_cancelled_at_every_step(source: Source, database: Database) -> None:
    await database["a"].insert_many([{"_id": number} for number in range(20)])
    for steps in itertools.count():
        reading = asyncio.ensure_future(whole(source, "a", batch_size=5))
        for _ in range(steps):
            await asyncio.sleep(0)
        if not reading.cancel():
            break
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert steps > 20
    gc.collect()
