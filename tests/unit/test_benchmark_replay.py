"""The replay server of the benchmarks talks MongoDB's protocol well enough for the real driver and our reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import bson
import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from benchmarks.documents import COLLECTION, purchases
from benchmarks.replay import DATABASE, Replay, ReplayServer, address, serve_in_thread
from midflight.core.plan_file import load_plan
from midflight.mongo.client import open_source
from midflight.records import KeyRange

DOCUMENTS = list(purchases(1_000, seed=7))
PLAN = Path(__file__).resolve().parents[2] / "benchmarks" / "plan.yaml"


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with ReplayServer(Replay(DOCUMENTS), port=0) as server:
        serve_in_thread(server)
        yield address(server.port)
        server.shutdown()


@pytest.fixture
def client(uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5_000) as client:
        yield client


def raw_blocks(client: MongoClient[dict[str, Any]], batch_size: int) -> list[bytes]:
    found = client[DATABASE][COLLECTION].find_raw_batches({}, sort=[("_id", 1)], batch_size=batch_size)
    return cast("list[bytes]", list(found))  # the driver's type hints take blocks for documents


def test_the_driver_reads_every_document_in_order(client: MongoClient[dict[str, Any]]) -> None:
    found = list(client[DATABASE][COLLECTION].find({}, sort=[("_id", 1)], batch_size=300))
    assert found == [bson.decode(document) for document in DOCUMENTS]


def test_raw_batches_are_the_very_bytes_in_batches_of_the_wanted_size(client: MongoClient[dict[str, Any]]) -> None:
    blocks = raw_blocks(client, batch_size=300)
    assert [len(bson.decode_all(block)) for block in blocks] == [300, 300, 300, 100]
    assert b"".join(blocks) == b"".join(DOCUMENTS)


def test_a_reply_stays_within_the_protocols_limit() -> None:
    large = [bson.encode({"_id": number, "text": "x" * 4_000_000}) for number in range(9)]
    with ReplayServer(Replay(large), port=0) as server:
        serve_in_thread(server)
        with MongoClient[dict[str, Any]](address(server.port)) as client:
            blocks = raw_blocks(client, batch_size=9)
        server.shutdown()
    assert [len(bson.decode_all(block)) for block in blocks] == [4, 4, 1]


def test_a_list_of_keys_finds_those_that_exist(client: MongoClient[dict[str, Any]]) -> None:
    wanted = [bson.decode(document)["_id"] for document in DOCUMENTS[5:400:3]]
    query = {"_id": {"$in": [ObjectId(), *wanted]}}
    collection = client[DATABASE][COLLECTION]
    assert list(collection.find(query, batch_size=50)) == [bson.decode(document) for document in DOCUMENTS[5:400:3]]
    assert list(collection.find(query, {"_id": 1})) == [{"_id": key} for key in wanted]


def test_keys_are_walked_without_their_documents(client: MongoClient[dict[str, Any]]) -> None:
    found = client[DATABASE][COLLECTION].find({}, {"_id": 1}, batch_size=300)
    assert list(found) == [{"_id": bson.decode(document)["_id"]} for document in DOCUMENTS]


def test_the_count_is_known(client: MongoClient[dict[str, Any]]) -> None:
    assert client[DATABASE][COLLECTION].estimated_document_count() == len(DOCUMENTS)


@pytest.mark.parametrize(
    "refused",
    [{"filter": {"_id": 1}}, {"min": {"_id": 1}}, {"limit": 3}],
    ids=["a filter", "a bound", "a limit"],
)
def test_what_it_cannot_do_is_refused_not_ignored(client: MongoClient[dict[str, Any]], refused: dict[str, Any]) -> None:
    with pytest.raises(OperationFailure, match="whole collection only"):
        client[DATABASE].command("find", COLLECTION, **refused)


def test_a_write_is_refused(client: MongoClient[dict[str, Any]]) -> None:
    with pytest.raises(OperationFailure, match="does not know insert"):
        client[DATABASE][COLLECTION].insert_one({})


async def test_our_own_reader_reads_it(uri: str) -> None:
    async with open_source(uri, DATABASE) as source:
        read = source.reader.read_range(COLLECTION, KeyRange(), above=None, batch_size=400)
        assert b"".join([block async for block in read]) == b"".join(DOCUMENTS)
        assert await source.reader.count(COLLECTION) == len(DOCUMENTS)


def test_the_same_seed_gives_the_same_documents_of_about_340_bytes() -> None:
    assert list(purchases(1_000, seed=7)) == DOCUMENTS
    assert list(purchases(10, seed=8)) != DOCUMENTS[:10]
    assert 320 < sum(map(len, DOCUMENTS)) / len(DOCUMENTS) < 370


def test_the_plan_of_the_benchmark_holds_together() -> None:
    plan = load_plan(PLAN.read_text(encoding="utf-8"))
    assert plan.collection(COLLECTION).children[0].table == "purchase_lines"
