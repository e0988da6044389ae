"""The fence: a validator that no document passes, put before the application's writes.

It refuses inserts and updates (code 121). It cannot refuse deletes, nor a client that bypasses validation: taking away
the roles of the application's users does (`midflight.mongo.roles`). The fence carries in itself what it replaced, so
that nothing that happens to us between raising it and remembering it can lose the customer's own validator.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

import bson
from bson import json_util
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ExecutionTimeout

from midflight.errors import CollectionMissing
from midflight.mongo.driver_errors import driver_errors
from midflight.mongo.roles import MAY_ONLY_READ, MongoUsers
from midflight.mongo.wire import CODEC
from midflight.records import FenceView

FENCE = "midflight fence"
COMMAND_MS = 5_000
"""A validator waits for the writes and transactions in flight; if they take longer, nothing is changed."""

DEFAULTS = {"validator": {}, "validationLevel": "strict", "validationAction": "error"}


INSERTS, UPDATES, DELETES, BYPASSING = "inserts", "updates", "deletes", "clients that bypass validation"


class MongoFence:
    """The port `SourceFence`."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database
        self._users = MongoUsers(database, self.fenced)

    async def current(self, collections: Sequence[str]) -> dict[str, str]:
        """Validator, level and action by collection; without those that carry our fence."""
        validations = await self._validations(collections)
        return {name: _text(each) for name, each in validations.items() if _memory(each) is None}

    async def raise_fence(self, collections: Sequence[str], users: Sequence[str] = ()) -> None:
        """Writes that are under way end first. SourceUnavailable where that takes too long: lower the fence then.

        Users lose the right to write anywhere in the database, as far as Midflight's own user may do that to them.
        """
        before = await self.current(collections)
        validators = [self._validate(name, _fence(each)) for name, each in before.items()]
        await _all([*validators, self._users.restrict(users, collections)])

    async def lower_fence(self, collections: Sequence[str], users: Sequence[str] = ()) -> None:
        """Put back what each fence itself remembers; a collection without a fence of ours is left as it is.

        A fence that was still on its way when we were asked does not stay up either.
        """
        validations = await self._validations(collections, all_of_them=False)
        unfenced = [name for name, each in validations.items() if _memory(each) is None]
        turns = [self._wait_for_our_turn(name) for name in unfenced]
        await _all([*self._restored(validations), *turns, self._users.restore(users, collections)])
        if unfenced and (late := self._restored(await self._validations(unfenced, all_of_them=False))):
            await _all(late)

    def _restored(self, validations: Mapping[str, Mapping[str, Any]]) -> list[Coroutine[Any, Any, None]]:
        memories = {name: memory for name, each in validations.items() if (memory := _memory(each)) is not None}
        return [self._validate(name, _validation_in(memory)) for name, memory in memories.items()]

    async def _wait_for_our_turn(self, collection: str) -> None:
        """Return when no command that was sent before can raise a fence on this collection any more.

        One that waits for a transaction goes through when that ends, whatever became of who sent it. So we queue up
        behind it with a command that changes nothing. If our time is over before our turn, so is that of all before us.
        """
        doing = f"waiting for a late fence of `{collection}`"
        with driver_errors(doing, privilege=f"collMod on {collection}"), suppress(ExecutionTimeout):
            await self._database.command("collMod", collection, maxTimeMS=COMMAND_MS)

    async def fenced(self, collections: Sequence[str]) -> set[str]:
        """The collections that carry our fence."""
        validations = await self._validations(collections, all_of_them=False)
        return {name for name, validation in validations.items() if _memory(validation) is not None}

    async def status(self, collections: Sequence[str], users: Sequence[str] = ()) -> list[FenceView]:
        """By collection: what is refused, what passes, and why. Of deletes: those of the named users."""
        validations = await self._validations(collections, all_of_them=False)
        standing = await self._users.standing(users)
        return [_view(name, validations.get(name), standing) for name in collections]

    async def _validations(self, collections: Sequence[str], *, all_of_them: bool = True) -> dict[str, dict[str, Any]]:
        """Validator, level and action by collection, as they are now. CollectionMissing."""
        with driver_errors("reading the collections' validators", privilege="listCollections"):
            found = await self._database.list_collections(filter={"name": {"$in": list(collections)}})
            options = {each["name"]: each.get("options", {}) async for each in found}
        missing = [name for name in collections if name not in options]
        if missing and all_of_them:
            raise CollectionMissing(
                f"The source has no collection `{missing[0]}`, so it cannot be fenced.",
                next_step="Correct the plan, or create the collection.",
            )
        return {name: _validation(options[name]) for name in collections if name in options}

    async def _validate(self, collection: str, validation: Mapping[str, Any]) -> None:
        with driver_errors(f"changing the validator of `{collection}`", privilege=f"collMod on {collection}"):
            await self._database.command(
                "collMod", collection, **validation, maxTimeMS=COMMAND_MS, writeConcern={"w": "majority"}
            )


async def _all(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Do all of it at once, to the end, whatever fails; then the first failure.

    To the end even when cancelled: a command left behind might raise the fence after our caller has lowered it.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks)
    finally:
        await asyncio.wait(tasks)
        failures = [failure for task in tasks if (failure := task.exception())]
    if failures:
        raise failures[0]


def _view(place: str, validation: Mapping[str, Any] | None, standing: Mapping[str, str]) -> FenceView:
    if validation is None:
        return FenceView(place, detail="There is no such collection.")
    memory = _memory(validation)
    if memory is None:
        own = "The collection's own validator decides." if validation["validator"] else "No validator."
        return FenceView(place, passes=(INSERTS, UPDATES, DELETES, BYPASSING), detail=f"No fence of ours. {own}")
    kept = "remembers the collection's own" if _validation_in(memory)["validator"] else "replaced none"
    people = "; ".join(f"user `{name}` {how}" for name, how in standing.items()) or "the plan names no users"
    detail = f"Validator: ours, {kept}. Users: {people}."
    if standing and set(standing.values()) == {MAY_ONLY_READ}:
        return FenceView(place, (INSERTS, UPDATES, DELETES, BYPASSING), (), detail)
    return FenceView(place, (INSERTS, UPDATES), (DELETES, BYPASSING), detail)


def without_fence(options: Mapping[str, Any]) -> dict[str, Any]:
    """A collection's options as they are, or will be, without our fence."""
    memory = _memory(_validation(options))
    if memory is None:
        return dict(options)
    kept = {name: each for name, each in options.items() if name not in DEFAULTS}
    before = _validation_in(memory)
    return {**kept, **(before if before["validator"] else {})}


def _validation(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options.get(name, default) for name, default in DEFAULTS.items()}


def _text(validation: Mapping[str, Any]) -> str:
    """BSON for us, JSON for people: extended JSON alone would take a query's `$regex` or `$date` for a value."""
    exact = b64encode(bson.encode(validation)).decode()
    return json.dumps({"shown": json.loads(json_util.dumps(validation)), "bson": exact})


def _validation_in(text: str) -> dict[str, Any]:
    return bson.decode(b64decode(json.loads(text)["bson"]), CODEC)


def _fence(memory: str) -> dict[str, Any]:
    """Always false, and recognisable: our name never equals the text of what was there before."""
    impossible = {"$expr": {"$eq": [{"$literal": FENCE}, {"$literal": memory}]}}
    return {"validator": impossible, "validationLevel": "strict", "validationAction": "error"}


def _memory(validation: Mapping[str, Any]) -> str | None:
    """What our fence remembers, or None if this is not our fence."""
    match validation["validator"]:
        case {"$expr": {"$eq": [{"$literal": name}, {"$literal": str(memory)}]}} if name == FENCE:
            return memory
    return None
