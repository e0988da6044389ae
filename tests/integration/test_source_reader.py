"""The source's reader: ranges over every type of key, keys read causally, and a server that only understands find."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

import embedded
from midflight.core.documents import read_documents
from midflight.core.keys import key_bytes
from midflight.mongo import ranges
from midflight.mongo.client import open_source, source_in
from midflight.mongo.wire import time_bytes
from midflight.ports import Source
from midflight.records import KeyRange
from tests.integration.plain_find_server import serving

# In BSON order. Of embedded documents only one: on the embedded server they lie in the index in the order of their
# bytes, not of their values (a mongod test is below).
MIXED: tuple[Any, ...] = (
    MinKey(),
    None,
    float("nan"),
    float("-inf"),
    -5,
    2.5,
    Decimal128("2.7500000000000000000000000000001"),
    3,
    Int64(2**40),
    "",
    "a",
    "zz",
    "é",
    {"tenant": "a", "n": 1},
    Binary(b"", 0),
    Binary(b"ab", 0),
    Binary(b"abc", 5),
    Binary(uuid.UUID(int=1).bytes, 4),
    Binary(uuid.UUID(int=2**127).bytes, 4),
    ObjectId("650000000000000000000000"),
    ObjectId("650000000000000000000001"),
    False,
    True,
    datetime(1960, 1, 1, tzinfo=UTC),
    datetime(2020, 1, 1, tzinfo=UTC),
    Timestamp(1, 1),
    MaxKey(),
)
WHOLE = KeyRange()


@pytest.fixture
async def client(servers: embedded.Servers) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    async with AsyncMongoClient[dict[str, Any]](servers.mongo_uri) as client:
        yield client


@pytest.fixture
async def source(servers: embedded.Servers, mongo_database: str) -> AsyncIterator[Source]:
    async with open_source(servers.mongo_uri, mongo_database) as source:
        yield source


@pytest.fixture
async def mixed(client: AsyncMongoClient[dict[str, Any]], mongo_database: str) -> list[bytes]:
    """Keys of the collection `mixed`, in BSON order."""
    shuffled = sorted(MIXED, key=repr)
    await client[mongo_database]["mixed"].insert_many([{"_id": key, "of": repr(key)} for key in shuffled])
    return [key_bytes(key) for key in MIXED]


async def keys_in(
    source: Source, collection: str, keys: KeyRange = WHOLE, *, above: bytes | None = None, batch_size: int = 4
) -> list[bytes]:
    found: list[bytes] = []
    async for block in source.reader.read_range(collection, keys, above=above, batch_size=batch_size):
        documents = read_documents(block)
        assert 0 < len(documents) <= batch_size
        found += [document.key for document in documents]
    return found


async def test_a_whole_range_delivers_keys_of_every_type_in_order(source: Source, mixed: list[bytes]) -> None:
    assert await keys_in(source, "mixed") == mixed


async def test_a_range_resumes_above_every_key_of_every_type(source: Source, mixed: list[bytes]) -> None:
    for place, key in enumerate(mixed):
        assert await keys_in(source, "mixed", above=key) == mixed[place + 1 :], MIXED[place]


async def test_a_range_resumes_above_a_key_that_was_deleted_meanwhile(
    source: Source, mixed: list[bytes], client: AsyncMongoClient[dict[str, Any]], mongo_database: str
) -> None:
    for place, key in enumerate(MIXED):
        await client[mongo_database]["mixed"].delete_one({"_id": {"$eq": key}})
        assert await keys_in(source, "mixed", above=mixed[place]) == mixed[place + 1 :], key


async def test_any_two_neighbouring_ranges_share_nothing_and_miss_nothing(source: Source, mixed: list[bytes]) -> None:
    for place, bound in enumerate(mixed):
        assert await keys_in(source, "mixed", KeyRange(None, bound)) == mixed[:place], MIXED[place]
        assert await keys_in(source, "mixed", KeyRange(bound, None)) == mixed[place:], MIXED[place]


async def test_a_bounded_range_resumes_within_its_bounds(source: Source, mixed: list[bytes]) -> None:
    inner = KeyRange(mixed[3], mixed[20])
    for place in range(3, 20):
        assert await keys_in(source, "mixed", inner, above=mixed[place]) == mixed[place + 1 : 20]


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
async def test_partitions_cover_all_keys_of_all_types_without_overlap(
    source: Source,
    mixed: list[bytes],
    client: AsyncMongoClient[dict[str, Any]],
    mongo_database: str,
    monkeypatch: pytest.MonkeyPatch,
    parts: int,
) -> None:
    monkeypatch.setattr(ranges, "DOCUMENTS_A_PART", 1)
    found = await source.reader.partitions("mixed", parts)
    assert len(found) <= parts
    assert found[0].lower is None
    assert found[-1].upper is None
    assert [each.upper for each in found[:-1]] == [each.lower for each in found[1:]]
    assert [key for each in found for key in await keys_in(source, "mixed", each)] == mixed


async def test_partitions_are_of_about_the_same_size(
    source: Source, client: AsyncMongoClient[dict[str, Any]], mongo_database: str
) -> None:
    await client[mongo_database]["many"].insert_many([{"_id": number} for number in range(1_000)])
    sizes = [
        len(await keys_in(source, "many", each, batch_size=500)) for each in await source.reader.partitions("many", 4)
    ]
    assert len(sizes) == 4
    assert sum(sizes) == 1_000
    assert all(100 < size < 500 for size in sizes)


async def test_few_documents_or_none_are_one_open_range(source: Source, mixed: list[bytes]) -> None:
    assert await source.reader.partitions("mixed", 8) == [WHOLE]
    assert await source.reader.partitions("no_such_collection", 8) == [WHOLE]
    assert await keys_in(source, "no_such_collection") == []


async def test_documents_arrive_byte_for_byte(
    source: Source, client: AsyncMongoClient[dict[str, Any]], mongo_database: str
) -> None:
    document = {"_id": 1, "zeros": Decimal128("1.00"), "long": Int64(1), "far": bson.DatetimeMS(2**40), "a": [None, {}]}
    await client[mongo_database]["exact"].insert_one(document)
    blocks = [block async for block in source.reader.read_range("exact", WHOLE, above=None, batch_size=10)]
    assert blocks == [bson.encode(document)]
    assert await source.reader.read_keys("exact", [key_bytes(1)]) == bson.encode(document)


async def test_keys_of_every_type_are_read_and_found_present(source: Source, mixed: list[bytes]) -> None:
    absent = [key_bytes(key) for key in ("absent", 4, {"n": 1, "tenant": "a"}, Regex("^a"))]
    found = read_documents(await source.reader.read_keys("mixed", [*mixed, *absent]))
    assert sorted(document.key for document in found) == sorted(mixed)
    assert await source.reader.present("mixed", [*mixed, *absent]) == set(mixed)


async def test_a_key_finds_its_document_whatever_numeric_type_it_was_stored_with(
    source: Source, client: AsyncMongoClient[dict[str, Any]], mongo_database: str
) -> None:
    stored = [3.0, Int64(4), Decimal128("5.0"), {"n": 6.0, "m": [Decimal128("7")]}]
    await client[mongo_database]["numbers"].insert_many([{"_id": key} for key in stored])
    keys = [key_bytes(key) for key in (3, 4, 5, {"n": 6, "m": [7]})]
    assert await source.reader.present("numbers", keys) == set(keys)


async def test_more_keys_than_one_query_takes_are_all_read(
    source: Source, client: AsyncMongoClient[dict[str, Any]], mongo_database: str
) -> None:
    await client[mongo_database]["many"].insert_many([{"_id": number} for number in range(0, 1_000, 2)])
    keys = [key_bytes(number) for number in range(1_000)]
    found = read_documents(await source.reader.read_keys("many", keys))
    assert sorted(document.key for document in found) == sorted(keys[::2])
    assert await source.reader.read_keys("many", []) == b""


async def test_a_read_after_an_operation_sees_it(
    source: Source, client: AsyncMongoClient[dict[str, Any]], mongo_database: str
) -> None:
    async with client.start_session() as session:
        for number in range(50):
            await client[mongo_database]["causal"].insert_one({"_id": number}, session=session)
            assert session.operation_time is not None
            after = time_bytes(session.operation_time)
            assert await source.reader.read_keys("causal", [key_bytes(number)], after=after)


async def test_every_read_asks_for_majority_and_comes_after_the_given_operation(
    servers: embedded.Servers, mongo_database: str
) -> None:
    """One server alone cannot show a stale read: so this looks at what is asked of it."""
    seen = _Finds()
    key = [key_bytes(1)]
    async with AsyncMongoClient[dict[str, Any]](servers.mongo_uri, event_listeners=[seen]) as client:
        source = source_in(client, mongo_database)
        await source.reader.read_keys("a", key)
        await source.reader.present("a", key)
        await keys_in(source, "a")
        await source.reader.read_keys("a", key, after=time_bytes(Timestamp(7, 9)))
    assert seen.read_concerns[:3] == [{"level": "majority"}] * 3
    assert seen.read_concerns[3:] == [{"level": "majority", "afterClusterTime": Timestamp(7, 9)}]


class _Finds(CommandListener):
    def __init__(self) -> None:
        self.read_concerns: list[Any] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.read_concerns.append(event.command.get("readConcern"))

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


async def test_count_and_size_come_from_metadata(
    source: Source, client: AsyncMongoClient[dict[str, Any]], mongo_database: str
) -> None:
    documents = [{"_id": number, "text": "x" * 100} for number in range(200)]
    await client[mongo_database]["sized"].insert_many(documents)
    assert await source.reader.count("sized") == 200
    assert await source.reader.size("sized") == sum(len(bson.encode(document)) for document in documents)


async def test_a_server_that_only_understands_plain_find_can_be_read_whole() -> None:
    documents = [bson.encode({"_id": number}) for number in range(1_000)]
    with serving(documents) as uri:
        async with open_source(uri, "replay") as source:
            keys = await keys_in(source, "any", batch_size=300)
    assert keys == [key_bytes(number) for number in range(1_000)]


@pytest.mark.real_mongod
@pytest.mark.xfail(reason="the embedded server keeps these in the order of their bytes in the index", strict=False)
async def test_a_range_resumes_above_embedded_documents_of_different_shapes(
    source: Source, client: AsyncMongoClient[dict[str, Any]], mongo_database: str
) -> None:
    order: list[dict[str, Any]] = [{"n": -9}, {"n": 9}, {"n": 300}, {"t": "", "n": 1}, {"t": "a"}, {"t": "zzz"}]
    await client[mongo_database]["shapes"].insert_many([{"_id": key} for key in reversed(order)])
    keys = sorted(await keys_in(source, "shapes"))
    for key in keys:
        rest = await keys_in(source, "shapes", above=key)
        assert sorted([*rest, *await keys_in(source, "shapes", KeyRange(None, key)), key]) == keys
        assert len(rest) == len(await keys_in(source, "shapes", KeyRange(key, None))) - 1
    bounded = [key_bytes(key) for key in order]
    assert await keys_in(source, "shapes", KeyRange(bounded[0], None)) == bounded
