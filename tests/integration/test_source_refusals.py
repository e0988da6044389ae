"""What the source can refuse, and what we say of it: the findings of `prepare`, and errors by kind."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient

import embedded
from embedded.ports import LOOPBACK, Ports
from midflight.errors import CollectionMissing, PositionLost, SourceError, SourceRefused, SourceUnavailable
from midflight.mongo.client import open_source
from midflight.mongo.inspect import _reach
from midflight.ports import Source
from midflight.records import Finding, KeyRange
from tests.integration.own_source_server import OwnServer, create_users, own_server

DATABASE = "shop"
COLLECTIONS = ("members", "orders")
WHOLE = KeyRange()
Client = AsyncMongoClient[dict[str, Any]]

CALLS: dict[str, Callable[[Source], Awaitable[Any]]] = {
    "count": lambda source: source.reader.count("members"),
    "size": lambda source: source.reader.size("members"),
    "partitions": lambda source: source.reader.partitions("members", 4),
    "range": lambda source: read_whole(source),
    "keys": lambda source: source.reader.read_keys("members", [b"\x0a\x00"]),
    "present": lambda source: source.reader.present("members", [b"\x0a\x00"]),
    "window": lambda source: source.reader.feed_window_seconds(),
    "pin": lambda source: source.feed.pin(COLLECTIONS),
    "mark": lambda source: source.feed.mark("d"),
    "forget": lambda source: source.feed.forget("d"),
    "current": lambda source: source.fence.current(COLLECTIONS),
    "raise": lambda source: source.fence.raise_fence(COLLECTIONS),
}


async def read_whole(source: Source) -> list[bytes]:
    return [block async for block in source.reader.read_range("members", WHOLE, above=None, batch_size=10)]


async def follow_once(source: Source, token: bytes) -> int:
    async with source.feed.follow("d", COLLECTIONS, token, at_most=10, wait_seconds=0.2) as changes:
        return (await anext(changes)).events


def seed(uri: str) -> None:
    with MongoClient[dict[str, Any]](uri) as client:
        for name in COLLECTIONS:
            client[DATABASE][name].insert_many([{"_id": number} for number in range(20)])


def bad(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.ok]


# --- a source that does not answer --------------------------------------------------------------------------------


@pytest.fixture
async def nobody() -> AsyncIterator[Source]:
    address = f"mongodb://{LOOPBACK}:{Ports().filled().mongo}/?directConnection=true&serverSelectionTimeoutMS=200"
    async with open_source(address, DATABASE) as source:
        yield source


@pytest.mark.parametrize("call", CALLS)
async def test_a_source_that_is_down_is_unavailable_whatever_is_asked(nobody: Source, call: str) -> None:
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:\d+") as caught:
        await CALLS[call](nobody)
    assert caught.value.retryable


async def test_prepare_finds_that_a_source_is_down_and_asks_nothing_more(nobody: Source) -> None:
    [finding] = await nobody.reader.inspect(COLLECTIONS)
    assert (finding.check, finding.ok) == ("source reachable", False)
    assert "Check that MongoDB runs" in finding.next_step


async def test_an_address_that_is_none_is_refused_without_repeating_it() -> None:
    with pytest.raises(SourceRefused, match="settings") as caught:
        async with open_source("http://user:secret@host", DATABASE):
            pass
    assert "secret" not in str(caught.value)


# --- findings on a good server ------------------------------------------------------------------------------------


@pytest.fixture
async def client(servers: embedded.Servers) -> AsyncIterator[Client]:
    async with AsyncMongoClient[dict[str, Any]](servers.mongo_uri) as client:
        yield client


async def test_prepare_finds_everything_good_in_order_and_writes_nothing(
    servers: embedded.Servers, mongo_database: str, client: Client
) -> None:
    for name in COLLECTIONS:
        await client[mongo_database][name].insert_one({"_id": 1})
    async with open_source(servers.mongo_uri, mongo_database) as source:
        findings = await source.reader.inspect(COLLECTIONS)
    assert bad(findings) == []
    checks = [finding.check for finding in findings]
    assert checks[:4] == ["source reachable", "source authenticated", "source is a replica set", "source version"]
    assert checks[4:6] == ["collection members exists", "collection orders exists"]
    assert "privilege collMod on orders" in checks
    assert checks[-1] == "change feed window"
    assert sorted(await client[mongo_database].list_collection_names()) == sorted(COLLECTIONS)


async def test_prepare_names_the_nearest_collection_where_one_is_missing(
    servers: embedded.Servers, mongo_database: str, client: Client
) -> None:
    await client[mongo_database]["members"].insert_one({"_id": 1})
    async with open_source(servers.mongo_uri, mongo_database) as source:
        [finding] = bad(await source.reader.inspect(["member"]))
    assert finding.check == "collection member exists"
    assert "Did you mean `members`?" in finding.next_step


async def test_prepare_does_not_take_a_view_for_a_collection(
    servers: embedded.Servers, mongo_database: str, client: Client
) -> None:
    await client[mongo_database]["members"].insert_one({"_id": 1})
    await client[mongo_database].command("create", "seen", viewOn="members", pipeline=[])
    async with open_source(servers.mongo_uri, mongo_database) as source:
        findings = await source.reader.inspect(["seen"])
    assert [finding for finding in bad(findings) if finding.detail == "it is a view"]


async def test_prepare_refuses_documents_that_expire_and_says_what_to_do(
    servers: embedded.Servers, mongo_database: str, client: Client
) -> None:
    """Red without: after the flip the server would go on deleting past the fence."""
    for name in COLLECTIONS:
        await client[mongo_database][name].create_index("seen")
    await client[mongo_database]["orders"].create_index("made", expireAfterSeconds=3600)
    async with open_source(servers.mongo_uri, mongo_database) as source:
        [finding] = bad(await source.reader.inspect(COLLECTIONS))
    assert finding.detail == "TTL index made_1"
    assert 'db.getCollection("orders").dropIndex("made_1");' in finding.next_step


async def test_the_size_of_a_missing_collection_cannot_be_asked_and_its_count_is_zero(
    servers: embedded.Servers, mongo_database: str
) -> None:
    async with open_source(servers.mongo_uri, mongo_database) as source:
        assert await source.reader.count("nope") == 0
        with pytest.raises(CollectionMissing, match="`nope`"):
            await source.reader.size("nope")


def test_the_window_of_an_oplog_that_is_not_full_is_what_it_will_hold_at_this_rate() -> None:
    assert _reach(3600, {"size": 100, "maxSize": 100}) == 3600
    assert _reach(3600, {"size": 50, "maxSize": 100}) == 7200
    assert _reach(3600, {"size": 120, "maxSize": 100}) == 3600
    assert _reach(3600, {"maxSize": 100}) == math.inf


# --- passwords and privileges -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """A server that asks for a password."""
    home = tmp_path_factory.mktemp("guarded")
    with own_server(home) as open_for_all:
        seed(open_for_all.uri())
        create_users(open_for_all.uri(), DATABASE)
    with own_server(home, "--auth") as server:
        yield server


async def test_a_wrong_password_is_refused_at_every_call_not_only_the_first(guarded: OwnServer) -> None:
    async with open_source(guarded.uri("mover", "wrong"), DATABASE) as source:
        for _ in range(3):
            with pytest.raises(SourceRefused, match="user name or password") as caught:
                await source.reader.count("members")
            assert not caught.value.retryable


async def test_prepare_finds_a_wrong_password_on_a_source_that_is_reachable(guarded: OwnServer) -> None:
    async with open_source(guarded.uri("mover", "wrong"), DATABASE) as source:
        findings = await source.reader.inspect(COLLECTIONS)
    assert [(finding.check, finding.ok) for finding in findings] == [
        ("source reachable", True),
        ("source authenticated", False),
    ]


async def test_prepare_finds_nothing_to_complain_of_with_the_roles_it_asks_for(guarded: OwnServer) -> None:
    async with open_source(guarded.uri("mover"), DATABASE) as source:
        findings = await source.reader.inspect(COLLECTIONS)
    assert bad(findings) == []
    assert findings[1].detail == "mover"


async def test_prepare_names_the_privileges_that_a_reader_lacks_and_the_roles_to_grant(guarded: OwnServer) -> None:
    async with open_source(guarded.uri("reader"), DATABASE) as source:
        missing = bad(await source.reader.inspect(COLLECTIONS))
    assert [finding.check for finding in missing] == [
        "privilege insert, update and remove on midflight_marks",
        "privilege collMod on members",
        "privilege collMod on orders",
    ]
    assert all("readWrite and dbAdmin" in finding.next_step for finding in missing)


async def test_a_reader_may_read_and_follow_but_not_mark_nor_fence(guarded: OwnServer) -> None:
    async with open_source(guarded.uri("reader"), DATABASE) as source:
        assert await read_whole(source)
        assert await follow_once(source, await source.feed.pin(COLLECTIONS)) == 0
        with pytest.raises(SourceRefused, match="insert, update, remove and dropCollection on midflight_marks"):
            await source.feed.mark("d")
        with pytest.raises(SourceRefused, match="collMod on members"):
            await source.fence.raise_fence(COLLECTIONS)


async def test_whoever_gives_no_name_is_told_what_is_not_permitted(guarded: OwnServer) -> None:
    async with open_source(guarded.uri(), DATABASE) as source:
        assert {finding.check for finding in bad(await source.reader.inspect(COLLECTIONS))} >= {"collections exist"}
        with pytest.raises(SourceRefused, match="find on members"):
            await read_whole(source)


# --- no replica set -----------------------------------------------------------------------------------------------


async def test_a_standalone_server_is_found_and_refused(tmp_path: Any) -> None:
    with own_server(tmp_path, "--standalone") as server:
        seed(server.uri())
        async with open_source(server.uri(), DATABASE) as source:
            findings = bad(await source.reader.inspect(COLLECTIONS))
            assert "source is a replica set" in [finding.check for finding in findings]
            assert "rs.initiate()" in findings[0].next_step
            with pytest.raises(SourceRefused, match="not a replica set"):
                await source.feed.pin(COLLECTIONS)


# --- faults in the middle -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """A server that fails on demand and remembers little; nobody else uses it."""
    with own_server(tmp_path_factory.mktemp("fragile"), "--enable-test-commands", "--oplog-max-entries=100") as server:
        seed(server.uri())
        yield server


@pytest.fixture
async def failing(fragile: OwnServer) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """Makes the named command fail, so many times."""
    async with AsyncMongoClient[dict[str, Any]](fragile.uri()) as client:

        async def fail(command: str, times: int | str, **how: Any) -> None:
            mode = {"times": times} if isinstance(times, int) else times
            data = {"failCommands": [command], "appName": "midflight", **how}
            await client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)

        yield fail
        await client.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.fixture
async def source(fragile: OwnServer) -> AsyncIterator[Source]:
    async with open_source(fragile.uri(), DATABASE) as source:
        yield source


@pytest.mark.parametrize(("command", "code"), [("aggregate", 286), ("aggregate", 280), ("getMore", 286)])
async def test_history_that_is_gone_is_a_lost_position(source: Source, failing: Any, command: str, code: int) -> None:
    token = await source.feed.pin(COLLECTIONS)
    await failing(command, "alwaysOn", errorCode=code)
    with pytest.raises(PositionLost, match="capture"):
        await follow_once(source, token)


async def test_a_position_older_than_the_oplog_is_lost(source: Source, fragile: OwnServer) -> None:
    token = await source.feed.pin(COLLECTIONS)
    with MongoClient[dict[str, Any]](fragile.uri()) as client:
        client[DATABASE]["noise"].insert_many([{} for _ in range(2_500)])
    with pytest.raises(PositionLost, match="capture"):
        await follow_once(source, token)


async def test_a_feed_whose_connection_is_cut_once_goes_on_by_itself(source: Source, failing: Any) -> None:
    token = await source.feed.pin(COLLECTIONS)
    await source.feed.mark("d")
    await failing("getMore", 1, closeConnection=True)
    assert await follow_once(source, token) == 1


async def test_a_feed_whose_connection_is_cut_for_good_is_unavailable(source: Source, failing: Any) -> None:
    token = await source.feed.pin(COLLECTIONS)
    await failing("aggregate", "alwaysOn", closeConnection=True)
    with pytest.raises(SourceUnavailable):
        await follow_once(source, token)


@pytest.mark.parametrize("call", ["range", "keys", "present", "partitions"])
async def test_a_read_whose_connection_is_cut_once_is_tried_again_by_the_driver(
    source: Source, failing: Any, call: str
) -> None:
    await failing("find", 1, closeConnection=True)
    await CALLS[call](source)


async def test_a_cursor_cut_in_the_middle_is_unavailable_and_the_range_goes_on_above(
    source: Source, failing: Any
) -> None:
    blocks = source.reader.read_range("members", WHOLE, above=None, batch_size=5)
    first = await anext(blocks)
    await failing("getMore", "alwaysOn", closeConnection=True)
    with pytest.raises(SourceUnavailable, match="reading `members`"):
        await anext(blocks)
    assert first


async def test_a_cursor_that_the_server_forgot_is_unavailable(source: Source, failing: Any) -> None:
    blocks = source.reader.read_range("members", WHOLE, above=None, batch_size=5)
    await anext(blocks)
    await failing("getMore", 1, errorCode=43)
    with pytest.raises(SourceUnavailable, match="43 CursorNotFound"):
        await anext(blocks)


async def test_a_mark_is_counted_once_though_its_acknowledgement_was_lost(source: Source, failing: Any) -> None:
    before = await source.feed.mark("d")
    await failing("findAndModify", 1, closeConnection=True)
    assert await source.feed.mark("d") == before + 1


async def test_a_source_that_steps_down_is_unavailable(source: Source, failing: Any) -> None:
    await failing("find", "alwaysOn", errorCode=10107)
    with pytest.raises(SourceUnavailable) as caught:
        await read_whole(source)
    assert isinstance(caught.value, SourceError)
    assert caught.value.retryable


async def test_a_fence_that_cannot_be_had_in_time_leaves_writes_open(source: Source, failing: Any) -> None:
    await failing("collMod", "alwaysOn", errorCode=50)
    with pytest.raises(SourceUnavailable):
        await source.fence.raise_fence(COLLECTIONS)
    assert await source.fence.fenced(COLLECTIONS) == set()
