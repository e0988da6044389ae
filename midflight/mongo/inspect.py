"""What `prepare` wants to know of the source before it touches anything."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ExecutionTimeout, OperationFailure, PyMongoError

from midflight.errors import CollectionMissing, SourceError
from midflight.mongo.driver_errors import driver_errors, not_a_replica_set, told
from midflight.mongo.events import pipeline
from midflight.mongo.wire import MARKS
from midflight.records import Finding

OLDEST_VERSION = (4, 4)
NO_WAIT_MS = 500
_EXPIRES = "expireAfterSeconds"

Database = AsyncDatabase[dict[str, Any]]


async def inspect(database: Database, collections: Sequence[str]) -> list[Finding]:
    """Reachable, authenticated, replica set, version, collections, privileges, expiry, feed window. Writes nothing."""
    findings: list[Finding] = []
    for group in (_connection, _server, _collections, _privileges, _expiry, _window):
        findings += [finding async for finding in group(database, collections)]
        if not findings[0].ok or (len(findings) > 1 and not findings[1].ok):
            break  # nothing more can be asked
    return findings


def _bad(check: str, error: SourceError) -> Finding:
    return Finding(check, False, error.what, error.next_step)


async def feed_window_seconds(database: Database) -> float:
    """From the oplog's oldest entry to now; where the oplog has room left, how far it will reach when it is full."""
    oplog = database.client.get_database("local")
    try:
        stats = await oplog.command("collStats", "oplog.rs")
        oldest = await oplog["oplog.rs"].find_one({}, {"ts": 1}, sort=[("$natural", 1)])
        now = (await database.command("ping"))["operationTime"].time
    except (OperationFailure, KeyError):
        return math.inf  # no right to look, or a server without an oplog that can be looked at
    return _reach(now - oldest["ts"].time, stats) if oldest else math.inf


def _reach(seconds: float, stats: Mapping[str, Any]) -> float:
    used, capacity = stats.get("size", 0), stats.get("maxSize", 0)
    return seconds * max(1.0, capacity / used) if used else math.inf


# --- connection and server ----------------------------------------------------------------------------------------


async def _connection(database: Database, _collections: Sequence[str]) -> AsyncIterator[Finding]:
    try:
        await database.command("ping")
    except OperationFailure as refused:
        yield Finding("source reachable", True, _address(database))
        yield _bad("source authenticated", told(refused, "connecting"))
    except PyMongoError as error:
        yield _bad("source reachable", told(error, "connecting"))
    else:
        yield Finding("source reachable", True, _address(database))
        yield Finding("source authenticated", True, await _user(database))


def _address(database: Database) -> str:
    return ", ".join(f"{host}:{port}" for host, port in sorted(database.client.nodes))


async def _user(database: Database) -> str:
    try:
        users = (await database.command("connectionStatus"))["authInfo"]["authenticatedUsers"]
    except (PyMongoError, KeyError):
        users = []
    return ", ".join(user["user"] for user in users) or "without a user name"


async def _server(database: Database, _collections: Sequence[str]) -> AsyncIterator[Finding]:
    with driver_errors("asking the server what it is"):
        hello = await database.client.admin.command("hello")
        build = await database.client.admin.command("buildInfo")
    if hello.get("setName") or hello.get("msg") == "isdbgrid":
        yield Finding("source is a replica set", True, hello.get("setName", "sharded cluster"))
    else:
        yield _bad("source is a replica set", not_a_replica_set("to follow"))
    new_enough = tuple(build["versionArray"][:2]) >= OLDEST_VERSION
    next_step = "" if new_enough else f"Upgrade MongoDB to {'.'.join(map(str, OLDEST_VERSION))} or newer."
    yield Finding("source version", new_enough, build["version"], next_step)


# --- collections --------------------------------------------------------------------------------------------------


async def _collections(database: Database, collections: Sequence[str]) -> AsyncIterator[Finding]:
    try:
        with driver_errors("listing the collections", privilege="listCollections"):
            kinds = {each["name"]: each["type"] async for each in await database.list_collections()}
    except SourceError as error:
        yield _bad("collections exist", error)
        return
    for name in collections:
        yield _collection(name, kinds)


def _collection(name: str, kinds: Mapping[str, str]) -> Finding:
    check = f"collection {name} exists"
    if name not in kinds:
        near = get_close_matches(name, kinds, n=1)
        hint = f"Did you mean `{near[0]}`? " if near else ""
        return Finding(check, False, "no such collection", f"{hint}Correct the plan, or create the collection.")
    if kinds[name] != "collection":
        return Finding(check, False, f"it is a {kinds[name]}", "Name the collection that holds the documents.")
    return Finding(check, True)


# --- privileges ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Need:
    """What must be permitted, and something harmless that is permitted only then."""

    privilege: str
    attempt: Callable[[], Awaitable[Any]]


async def _privileges(database: Database, collections: Sequence[str]) -> AsyncIterator[Finding]:
    """By trying: what a server lists is not always what it enforces."""
    for need in _needs(database, collections):
        check = f"privilege {need.privilege}"
        try:
            with driver_errors("checking privileges", privilege=need.privilege):
                await need.attempt()
        except CollectionMissing:
            yield Finding(check, True)  # permission comes first; that the collection is missing has been said
        except SourceError as error:
            yield _bad(check, error)
        else:
            yield Finding(check, True)


def _needs(database: Database, collections: Sequence[str]) -> list[_Need]:
    async def find(name: str) -> None:
        await database[name].find_one({}, {"_id": 1})

    async def watch() -> None:
        await (await database.watch(pipeline(collections))).close()

    async def write_marks() -> None:
        await database[MARKS].delete_one({"_id": "no domain has this name: it only asks for permission"})

    return [
        *(_Need(f"find on {name}", partial(find, name)) for name in collections),
        _Need("changeStream on the database", watch),
        _Need(f"insert, update and remove on {MARKS}", write_marks),
        *(_Need(f"collMod on {name}", partial(_may_modify, database, name)) for name in collections),
    ]


async def _may_modify(database: Database, name: str) -> None:
    """`collMod` that changes nothing. Permission comes first: one that waits for a lock is a permitted one."""
    with suppress(ExecutionTimeout):
        await database.command("collMod", name, maxTimeMS=NO_WAIT_MS)


# --- documents that go by themselves ------------------------------------------------------------------------------


async def _expiry(database: Database, collections: Sequence[str]) -> AsyncIterator[Finding]:
    """No fence stops the server itself: after the flip it would delete, and we would restore, for ever."""
    for name in collections:
        check = f"documents of {name} stay until somebody deletes them"
        try:
            with driver_errors("listing indexes", privilege=f"listIndexes on {name}"):
                expiring = [each["name"] async for each in await database[name].list_indexes() if _EXPIRES in each]
        except SourceError as error:
            yield _bad(check, error)
        else:
            yield Finding(check, True) if not expiring else _expires(check, name, expiring)


def _expires(check: str, name: str, indexes: Sequence[str]) -> Finding:
    drop = " ".join(f'db.getCollection("{name}").dropIndex("{index}");' for index in indexes)
    next_step = f"Let a job of the application delete what is old, so that it can move too; then run: {drop}"
    return Finding(check, False, f"TTL index {', '.join(indexes)}", next_step)


# --- the feed's window --------------------------------------------------------------------------------------------


async def _window(database: Database, _collections: Sequence[str]) -> AsyncIterator[Finding]:
    seconds = await feed_window_seconds(database)
    known = math.isfinite(seconds)
    detail = f"about {seconds / 3600:.1f} hours of changes" if known else "unknown: the oplog is not visible to us"
    next_step = "" if known else "Grant the role read on `local` to have the feed's window watched."
    yield Finding("change feed window", True, detail, next_step)
