"""The fence: writes refused by the store, and what was there before comes back and works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest
from bson import Int64
from pymongo import AsyncMongoClient, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, ExecutionTimeout, OperationFailure

import embedded
from midflight.errors import CollectionMissing, SourceUnavailable
from midflight.mongo import fence as fence_module
from midflight.mongo.client import open_source
from midflight.mongo.refusals import refused_by_fence
from midflight.ports import SourceFence

REFUSED = 121
Database = AsyncDatabase[dict[str, Any]]
Write = Callable[[Database], Awaitable[Any]]

WRITES: dict[str, Write] = {
    "insert": lambda database: database["a"].insert_one({"_id": 2, "points": 5}),
    "update": lambda database: database["a"].update_one({"_id": 1}, {"$set": {"points": 6}}),
    "replace": lambda database: database["a"].replace_one({"_id": 1}, {"points": 6}),
    "upsert": lambda database: database["a"].update_one({"_id": 3}, {"$set": {"points": 6}}, upsert=True),
    "find and modify": lambda database: database["a"].find_one_and_update({"_id": 1}, {"$set": {"points": 6}}),
    "bulk": lambda database: database["a"].bulk_write([UpdateOne({"_id": 1}, {"$set": {"points": 6}})]),
}
# With what extended JSON would mistake for values: an operator called $regex.
CUSTOMERS: dict[str, Any] = {
    "validator": {"$and": [{"points": {"$gte": Int64(0)}}, {"note": {"$not": {"$regex": "^x", "$options": "i"}}}]},
    "validationLevel": "moderate",
    "validationAction": "error",
}


@pytest.fixture
async def database(servers: embedded.Servers, mongo_database: str) -> AsyncIterator[Database]:
    async with AsyncMongoClient[dict[str, Any]](servers.mongo_uri) as client:
        await client[mongo_database]["a"].insert_one({"_id": 1, "points": 5})
        await client[mongo_database]["b"].insert_one({"_id": 1})
        yield client[mongo_database]


@pytest.fixture
async def fence(servers: embedded.Servers, mongo_database: str) -> AsyncIterator[SourceFence]:
    async with open_source(servers.mongo_uri, mongo_database) as source:
        yield source.fence


async def code_of(write: Awaitable[Any]) -> int | None:
    try:
        await write
    except BulkWriteError as error:
        return int(error.details["writeErrors"][0]["code"])
    except OperationFailure as error:
        return error.code
    return None


async def options(database: Database, name: str) -> dict[str, Any]:
    [found] = [each async for each in await database.list_collections(filter={"name": name})]
    return dict(found["options"])


@pytest.mark.parametrize("kind", WRITES)
async def test_the_fence_refuses_every_kind_of_write(database: Database, fence: SourceFence, kind: str) -> None:
    await fence.raise_fence(["a"])
    assert await code_of(WRITES[kind](database)) == REFUSED
    assert [each async for each in database["a"].find()] == [{"_id": 1, "points": 5}]


@pytest.mark.parametrize("kind", WRITES)
async def test_after_the_fence_every_kind_of_write_works_again(
    database: Database, fence: SourceFence, kind: str
) -> None:
    before = await fence.current(["a"])
    await fence.raise_fence(["a"])
    await fence.lower_fence(list(before))
    assert await code_of(WRITES[kind](database)) is None


async def test_only_the_named_collections_are_fenced(database: Database, fence: SourceFence) -> None:
    await fence.raise_fence(["a"])
    assert await fence.fenced(["a", "b", "missing"]) == {"a"}
    await database["b"].insert_one({"_id": 2})


async def test_deletes_pass_the_fence(database: Database, fence: SourceFence) -> None:
    """A validator cannot refuse them, on MongoDB neither: taking the application's role away does."""
    await fence.raise_fence(["a"])
    assert (await database["a"].delete_one({"_id": 1})).deleted_count == 1


async def test_the_customers_validator_is_kept_and_works_again_after_the_fence(
    database: Database, fence: SourceFence
) -> None:
    await database.command("collMod", "a", **CUSTOMERS)
    before = await fence.current(["a"])
    await fence.raise_fence(["a"])
    assert await options(database, "a") != CUSTOMERS
    await fence.lower_fence(list(before))
    assert await options(database, "a") == CUSTOMERS
    assert await code_of(database["a"].insert_one({"points": -1})) == REFUSED
    assert await code_of(database["a"].insert_one({"points": 1})) is None


async def test_raising_twice_keeps_what_was_there_before_the_first(database: Database, fence: SourceFence) -> None:
    await database.command("collMod", "a", **CUSTOMERS)
    before = await fence.current(["a", "b"])
    await fence.raise_fence(["a"])
    assert set(await fence.current(["a", "b"])) == {"b"}, "our own fence is not what was there before"
    await fence.raise_fence(["a", "b"])
    assert await fence.fenced(["a", "b"]) == {"a", "b"}
    await fence.lower_fence(list(before))
    assert await options(database, "a") == CUSTOMERS


async def test_lowering_twice_leaves_what_the_customer_changed_in_between(
    database: Database, fence: SourceFence
) -> None:
    before = await fence.current(["a"])
    await fence.raise_fence(["a"])
    await fence.lower_fence(list(before))
    await database.command("collMod", "a", **CUSTOMERS)
    await fence.lower_fence(list(before))
    assert await options(database, "a") == CUSTOMERS
    assert await fence.fenced(["a"]) == set()


async def test_a_collection_without_a_validator_has_none_that_refuses_anything_afterwards(
    database: Database, fence: SourceFence
) -> None:
    before = await fence.current(["b"])
    await fence.raise_fence(["b"])
    await fence.lower_fence(list(before))
    assert not (await options(database, "b")).get("validator")
    assert await fence.current(["b"]) == before


async def test_a_missing_collection_cannot_be_fenced_and_nothing_else_is(
    database: Database, fence: SourceFence
) -> None:
    with pytest.raises(CollectionMissing, match="`nope`"):
        await fence.raise_fence(["a", "nope"])
    assert await fence.fenced(["a"]) == set()


async def test_lowering_a_fence_on_a_collection_that_is_gone_does_nothing(
    database: Database, fence: SourceFence
) -> None:
    before = await fence.current(["a", "b"])
    await fence.raise_fence(["a", "b"])
    await database["a"].drop()
    await fence.lower_fence(list(before))
    assert await fence.fenced(["a", "b"]) == set()


# --- what it says of itself -------------------------------------------------------------------------------------------


async def test_the_fence_says_what_it_refuses_what_passes_and_why(database: Database, fence: SourceFence) -> None:
    await database.command("collMod", "a", **CUSTOMERS)
    await fence.raise_fence(["a"])
    fenced, free, missing = await fence.status(["a", "b", "missing"], ["app"])
    assert (fenced.place, fenced.refuses) == ("a", ("inserts", "updates"))
    assert fenced.passes == ("deletes", "clients that bypass validation")
    assert "remembers the collection's own" in fenced.detail
    assert "user `app` the source runs without authentication" in fenced.detail
    assert (free.refuses, free.passes[0], free.detail) == ((), "inserts", "No fence of ours. No validator.")
    assert (missing.refuses, missing.passes, missing.detail) == ((), (), "There is no such collection.")


@pytest.mark.parametrize("kind", WRITES)
async def test_a_refusal_by_the_fence_is_known_as_one(database: Database, fence: SourceFence, kind: str) -> None:
    await fence.raise_fence(["a"])
    with pytest.raises(OperationFailure) as refusal:
        await WRITES[kind](database)
    assert refused_by_fence(refusal.value)


async def test_a_refusal_inside_a_transaction_is_known_whatever_wraps_it(
    database: Database, fence: SourceFence
) -> None:
    await fence.raise_fence(["a"])

    async def save() -> None:
        async with database.client.start_session() as session, await session.start_transaction():
            try:
                await database["a"].insert_one({"_id": 9}, session=session)
            except OperationFailure as error:
                raise RuntimeError("the order was not saved") from error

    with pytest.raises(RuntimeError) as refusal:
        await save()
    assert refused_by_fence(refusal.value)


async def test_other_errors_are_not_taken_for_the_fence(database: Database) -> None:
    with pytest.raises(OperationFailure) as duplicate:
        await database["a"].insert_one({"_id": 1})
    assert not refused_by_fence(duplicate.value)
    assert not refused_by_fence(ValueError("code 121"))


# --- many at once, and cut short --------------------------------------------------------------------------------------


async def test_many_collections_are_fenced_and_opened_together(database: Database, fence: SourceFence) -> None:
    names = [f"c{number}" for number in range(8)]
    for name in names:
        await database.create_collection(name)
    await fence.raise_fence(names)
    assert await fence.fenced(names) == set(names)
    await fence.lower_fence(names)
    assert await fence.fenced(names) == set()


async def test_a_fence_that_is_cut_short_is_up_or_down_before_its_caller_goes_on(
    database: Database, fence: SourceFence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the command that is under way would raise the fence after it was lowered, for good."""
    reached, go_on = asyncio.Event(), asyncio.Event()
    validate = fence_module.MongoFence._validate

    async def slow(*arguments: Any) -> None:
        reached.set()
        await go_on.wait()
        await validate(*arguments)

    monkeypatch.setattr(fence_module.MongoFence, "_validate", slow)
    raising = asyncio.create_task(fence.raise_fence(["a"]))
    await reached.wait()
    raising.cancel()
    await asyncio.wait({raising}, timeout=0.05)
    assert not raising.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await raising
    assert await fence.fenced(["a"]) == {"a"}
    await fence.lower_fence(["a"])
    assert await fence.fenced(["a"]) == set()


async def test_one_collection_that_cannot_be_fenced_is_told_after_the_others_are_done(
    database: Database, fence: SourceFence, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = fence_module.MongoFence._validate

    async def failing(self: fence_module.MongoFence, name: str, validation: dict[str, Any]) -> None:
        if name == "a":
            raise SourceUnavailable("busy")
        await validate(self, name, validation)

    monkeypatch.setattr(fence_module.MongoFence, "_validate", failing)
    with pytest.raises(SourceUnavailable, match="busy"):
        await fence.raise_fence(["a", "b"])
    assert await fence.fenced(["a", "b"]) == {"b"}
    await fence.lower_fence(["a", "b"])
    assert await fence.fenced(["a", "b"]) == set()


# --- a fence that is late ---------------------------------------------------------------------------------------------


class Queueing:
    """As MongoDB does it, and the embedded server does not: a collMod waits for the transactions in flight.

    First come, first served; each gives up when its own time is over.
    """

    def __init__(self, database: Database, limit_seconds: float = 60.0) -> None:
        self._database = database
        self._limit = limit_seconds
        self.transaction = asyncio.Lock()
        self.waiting = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def __getitem__(self, name: str) -> Any:
        return self._database[name]

    async def command(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.waiting += 1
        try:
            await asyncio.wait_for(self.transaction.acquire(), self._limit)
        except TimeoutError:
            raise ExecutionTimeout("operation exceeded time limit", 50) from None
        finally:
            self.waiting -= 1
        try:
            return await self._database.command(name, *arguments, **options)
        finally:
            self.transaction.release()


async def queued(database: Queueing, commands: int, *tasks: asyncio.Task[None]) -> None:
    """Until so many wait, or one of the tasks did not care to."""
    async with asyncio.timeout(20):
        while database.waiting < commands and not any(task.done() for task in tasks):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("own", [{}, CUSTOMERS])
async def test_a_fence_that_waits_for_a_transaction_does_not_come_up_after_it_was_lowered(
    database: Database, own: dict[str, Any]
) -> None:
    """Red if only the fences that are up are lowered: whoever sent the late one may be dead, and it stays for ever."""
    await database.command("collMod", "a", **own)
    server = Queueing(database)
    async with server.transaction:
        raising = asyncio.create_task(_fence_on(server).raise_fence(["a", "b"]))
        await queued(server, 2, raising)
        lowering = asyncio.create_task(_fence_on(server).lower_fence(["a", "b"]))
        await queued(server, 4, lowering)
    await asyncio.gather(raising, lowering)
    assert await _fence_on(server).fenced(["a", "b"]) == set()
    assert {name: value for name, value in (await options(database, "a")).items() if name in own} == own


async def test_lowering_ends_when_the_transaction_outlives_the_late_fence(database: Database) -> None:
    """A command whose own time is over has seen the end of all that came before it."""
    server = Queueing(database, limit_seconds=0.2)
    async with server.transaction:
        raising = asyncio.create_task(_fence_on(server).raise_fence(["a"]))
        await queued(server, 1, raising)
        await _fence_on(server).lower_fence(["a"])
        with pytest.raises(SourceUnavailable):
            await raising
    assert await _fence_on(server).fenced(["a"]) == set()


async def test_nothing_waits_where_every_fence_is_up(database: Database, fence: SourceFence) -> None:
    """Lowering is part of a hold: one command a collection, no more."""
    await fence.raise_fence(["a", "b"])
    counting = CommandsOf(database)
    await _fence_on(counting).lower_fence(["a", "b"])
    assert sorted(counting.sent) == ["a", "b"]


class CommandsOf(Queueing):
    """Which collections were changed."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.sent: list[str] = []

    async def command(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.sent.append(arguments[0])
        return await super().command(name, *arguments, **options)


def _fence_on(server: Queueing) -> fence_module.MongoFence:
    return fence_module.MongoFence(cast("Database", server))
