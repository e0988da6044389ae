"""The archive: every document, byte for byte, in a file that was read back; then drop."""

from __future__ import annotations

import asyncio
import errno
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, json_util
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

import embedded
from midflight.core.documents import split
from midflight.errors import CollectionMissing, SourceError
from midflight.mongo import archive, archive_file
from midflight.mongo.archive_file import Draft
from midflight.mongo.client import open_source
from midflight.mongo.wire import raw
from midflight.ports import Source
from midflight.records import Archived

Database = AsyncDatabase[dict[str, Any]]
MANY = 120


@pytest.fixture
async def database(servers: embedded.Servers, mongo_database: str) -> AsyncIterator[Database]:
    async with AsyncMongoClient[dict[str, Any]](servers.mongo_uri) as client:
        found = client[mongo_database]
        await found["a"].insert_many([{"_id": number, "text": "ä" * (number % 50)} for number in range(MANY)])
        await found["a"].insert_one(
            {"_id": "z", "z": Int64(1), "a": Decimal128("1.10"), "t": datetime(2020, 1, 1, tzinfo=UTC)}
        )
        await found["a"].create_index("text", name="by_text")
        await found.create_collection("empty")
        yield found


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few documents are several blocks, and several chunks of the file."""
    monkeypatch.setattr(archive, "DOCUMENTS_A_BLOCK", 50)
    monkeypatch.setattr(archive_file, "CHUNK_BYTES", 1_000)


@pytest.fixture
async def source(servers: embedded.Servers, mongo_database: str, database: Database) -> AsyncIterator[Source]:
    async with open_source(servers.mongo_uri, mongo_database) as source:
        yield source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Not there yet."""
    return tmp_path / "archives" / "shop"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_every_document_is_in_the_file_byte_for_byte(source: Source, database: Database, folder: Path) -> None:
    archived = await source.archive.archive("a", str(folder))
    content = gzip.decompress((folder / "a.bson.gz").read_bytes())
    expected = b"".join([block async for block in raw(database["a"].find_raw_batches(sort=[("_id", 1)]))])
    assert content == expected
    assert (archived.documents, archived.size) == (MANY + 1, len(expected))
    assert len(list(split(content))) == archived.documents
    assert names(folder) == {"a.bson.gz", "a.metadata.json.gz"}
    assert await source.archive.verify(archived, str(folder))


async def test_the_same_documents_give_the_same_archive(source: Source, folder: Path) -> None:
    first = await source.archive.archive("a", str(folder))
    before = (folder / "a.bson.gz").read_bytes()
    assert await source.archive.archive("a", str(folder)) == first
    assert (folder / "a.bson.gz").read_bytes() == before


async def test_an_empty_collection_has_an_archive_too(source: Source, folder: Path) -> None:
    archived = await source.archive.archive("empty", str(folder))
    assert (archived.documents, archived.size) == (0, 0)
    assert await source.archive.verify(archived, str(folder))


async def test_options_and_indexes_are_kept_without_our_fence(source: Source, database: Database, folder: Path) -> None:
    await database.command("collMod", "a", validator={"text": {"$type": "string"}}, validationLevel="moderate")
    await source.fence.raise_fence(["a", "empty"])
    for name in ("a", "empty"):
        await source.archive.archive(name, str(folder))
    of_a, of_empty = (
        json_util.loads(gzip.decompress((folder / f"{name}.metadata.json.gz").read_bytes())) for name in ("a", "empty")
    )
    assert of_a["options"]["validator"] == {"text": {"$type": "string"}}
    assert of_a["options"]["validationLevel"] == "moderate"
    assert [index["name"] for index in of_a["indexes"]] == ["_id_", "by_text"]
    assert "validator" not in of_empty["options"]


async def test_the_archive_of_a_collection_that_is_gone_is_refused_and_an_older_one_kept(
    source: Source, folder: Path
) -> None:
    await source.archive.archive("a", str(folder))
    before = (folder / "a.bson.gz").read_bytes()
    await source.archive.drop(["a"])
    with pytest.raises(CollectionMissing, match="`a`"):
        await source.archive.archive("a", str(folder))
    assert (folder / "a.bson.gz").read_bytes() == before


async def test_a_strange_name_stays_inside_the_folder(source: Source, database: Database, folder: Path) -> None:
    await database["x/./y"].insert_one({"_id": 1})
    archived = await source.archive.archive("x/./y", str(folder))
    assert names(folder) == {"x%2F.%2Fy.bson.gz", "x%2F.%2Fy.metadata.json.gz"}
    assert await source.archive.verify(archived, str(folder))


# --- what does not hold -----------------------------------------------------------------------------------------------


@pytest.fixture
async def archived(source: Source, database: Database, folder: Path) -> Archived:
    return await source.archive.archive("a", str(folder))


async def test_a_source_that_changed_since_does_not_verify(
    source: Source, database: Database, folder: Path, archived: Archived
) -> None:
    await database["a"].update_one({"_id": 7}, {"$set": {"text": "ö" * 7}})  # as many bytes as before
    assert not await source.archive.verify(archived, str(folder))


async def test_a_source_that_is_gone_does_not_verify(source: Source, folder: Path, archived: Archived) -> None:
    for _ in range(2):
        await source.archive.drop(["a"])
    assert not await source.archive.verify(archived, str(folder))


@pytest.mark.parametrize("damage", ["missing", "cut off", "flipped", "other documents", "no archive"])
async def test_a_damaged_file_does_not_verify(source: Source, folder: Path, archived: Archived, damage: str) -> None:
    path = folder / "a.bson.gz"
    content = path.read_bytes()
    middle = len(content) // 2
    match damage:
        case "missing":
            path.unlink()
        case "cut off":
            path.write_bytes(content[:-20])
        case "flipped":
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
        case "other documents":
            path.write_bytes(gzip.compress(bson.encode({"_id": 1})))
        case _:
            path.write_bytes(gzip.compress(b"\xff\xff\xff\x7f no documents at all"))
    assert not await source.archive.verify(archived, str(folder))


async def test_a_full_disk_is_told_with_the_file_and_leaves_no_half_file(
    source: Source, folder: Path, archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "a.bson.gz").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Draft, "finish", full)
    with pytest.raises(SourceError, match=r"a\.bson\.gz.*No space left on device.*nothing was dropped"):
        await source.archive.archive("a", str(folder))
    assert names(folder) == {"a.bson.gz", "a.metadata.json.gz"}
    assert (folder / "a.bson.gz").read_bytes() == before


async def test_a_folder_that_cannot_be_made_is_told(source: Source, database: Database, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SourceError, match="taken"):
        await source.archive.archive("a", str(tmp_path / "taken"))
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / "a.bson.gz").mkdir()
    with pytest.raises(SourceError, match=r"a\.bson\.gz"):
        await source.archive.verify(Archived("a", 1, 1, ""), str(tmp_path / "unreadable"))


async def test_a_file_that_reads_back_differently_never_gets_its_name(
    source: Source, folder: Path, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    finish = Draft.finish

    def spoil(draft: Draft) -> None:
        finish(draft)
        content = draft.path.read_bytes()
        draft.path.write_bytes(content[: len(content) // 2])

    monkeypatch.setattr(Draft, "finish", spoil)
    with pytest.raises(SourceError, match="does not read back"):
        await source.archive.archive("a", str(folder))
    assert names(folder) == {"a.metadata.json.gz"}


async def test_a_cancelled_archive_leaves_no_half_file(
    source: Source, folder: Path, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    writing = asyncio.Event()
    loop = asyncio.get_running_loop()
    write = Draft.write

    def told(draft: Draft, block: bytes) -> None:
        loop.call_soon_threadsafe(writing.set)
        write(draft, block)

    monkeypatch.setattr(Draft, "write", told)
    task = asyncio.create_task(source.archive.archive("a", str(folder)))
    await writing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names(folder) == {"a.metadata.json.gz"}
