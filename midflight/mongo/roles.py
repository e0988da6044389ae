"""The fence's second half: the application's users lose their right to write, which is what stops deletes.

A user's roles in this database give way to `read`. What was there before stands in `midflight_fences`, written before
the user is changed (a server may not keep anything else in the user itself), so that dying between any two steps loses
nothing. On MongoDB the change reaches connections that are open already (behind a mongos within 30 seconds); on the
embedded server it reaches only new ones, and an open one may go on deleting: there the tail is the tripwire.

Users are looked for in this database and in `admin`. One that cannot be fenced without harm elsewhere is left alone,
and `standing` says why: the validator alone then holds its inserts and updates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from midflight.mongo.driver_errors import driver_errors
from midflight.mongo.wire import FENCES

Role = dict[str, Any]

ADMIN = "admin"
KEPT_IN_ADMIN = frozenset({"read", "readWrite", "dbAdmin", "readAnyDatabase", "clusterMonitor"})
"""Roles of `admin` that let nobody write to another database."""

MAY_ONLY_READ = "may only read"
NO_LOGIN = "the source runs without authentication"
UNKNOWN = "is not known to the source, or not shown to Midflight's user (privilege viewUser)"
FAR_REACHING = "has a role of `admin` that reaches beyond this database"
OURS = "is Midflight's own user"
WRITES = "may write"

_UNAUTHORIZED = 13
_MAY_CHANGE = "viewUser, grantRole and revokeRole (userAdmin) on the database"


@dataclass(frozen=True, slots=True)
class User:
    """A user as the server has it."""

    name: str
    database: str
    roles: list[Role]

    @property
    def id(self) -> str:
        """The server's own way to write it; no database has a dot in its name."""
        return f"{self.database}.{self.name}"


class MongoUsers:
    """The application's users of one database; `fenced` tells which of some collections carry a fence now."""

    def __init__(
        self, database: AsyncDatabase[dict[str, Any]], fenced: Callable[[Sequence[str]], Awaitable[set[str]]]
    ) -> None:
        self._database = database
        self._memories = database[FENCES]
        self._fenced = fenced

    async def restrict(self, users: Sequence[str], collections: Sequence[str]) -> None:
        """Take the right to write from those who can be fenced, in the name of these collections.

        One handover of a user at a time. Repeating is safe.
        """
        if not users:
            return
        with driver_errors("taking the users' right to write", privilege=_MAY_CHANGE):
            found, ours = await asyncio.gather(self._find(users), self._ours())
            fit = [user for user in found if not self._unfit(user, ours)]
            await asyncio.gather(*(self._restrict(user, collections) for user in fit))

    async def restore(self, users: Sequence[str], collections: Sequence[str]) -> None:
        """Give back what was there, unless a fence of other collections still needs it. Repeating is safe."""
        if not users:
            return
        with driver_errors("giving the users their roles back", privilege=_MAY_CHANGE):
            memories = [memory async for memory in self._memories.find({"user": {"$in": list(users)}})]
            await asyncio.gather(*(self._restore(memory, collections) for memory in memories))

    async def standing(self, users: Sequence[str]) -> dict[str, str]:
        """By user: MAY_ONLY_READ, or why it may still write."""
        if not users:
            return {}
        with driver_errors("looking at the application's users", privilege=_MAY_CHANGE):
            found, ours = await asyncio.gather(self._find(users), self._ours())
        if not ours:
            return dict.fromkeys(users, NO_LOGIN)
        told: dict[str, str] = {}
        for user in found:  # of two users of one name, the one that may write is what matters
            if told.get(user.name, MAY_ONLY_READ) == MAY_ONLY_READ:
                told[user.name] = self._standing(user, ours)
        return {name: told.get(name, UNKNOWN) for name in users}

    def _standing(self, user: User, ours: set[str]) -> str:
        reduced = _reduced(user.roles, self._database.name)
        return self._unfit(user, ours) or (MAY_ONLY_READ if reduced == user.roles else WRITES)

    def _unfit(self, user: User, ours: set[str]) -> str:
        """Why this user must be left alone; empty if it need not."""
        if not ours:
            return NO_LOGIN
        if user.id in ours:
            return OURS
        return FAR_REACHING if _reduced(user.roles, self._database.name) is None else ""

    async def _ours(self) -> set[str]:
        """Who we are; nobody where nobody needs to log in."""
        status = await self._database.command("connectionStatus")
        return {f"{user['db']}.{user['user']}" for user in status["authInfo"]["authenticatedUsers"]}

    async def _find(self, names: Sequence[str]) -> list[User]:
        """Those that are known and shown to us."""
        of_each = await asyncio.gather(*(self._shown(each, names) for each in {self._database.name, ADMIN}))
        return [user for of_one in of_each for user in of_one]

    async def _shown(self, database: str, names: Sequence[str]) -> list[User]:
        try:
            return await self._in(database, names)
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            return []

    async def _in(self, database: str, names: Sequence[str]) -> list[User]:
        found = await self._database.client[database].command("usersInfo", list(names))
        return [User(each["user"], each["db"], _sorted(each["roles"])) for each in found["users"]]

    async def _restrict(self, user: User, collections: Sequence[str]) -> None:
        reduced = _reduced(user.roles, self._database.name)
        memory = await self._memories.find_one({"_id": user.id})
        if reduced is not None and reduced != user.roles:
            new = {"user": user.name, "database": user.database, "roles": user.roles, "collections": list(collections)}
            await self._memories.replace_one({"_id": user.id}, new, upsert=True)
            await self._take(user, reduced)
        elif memory is not None:
            more = {"$addToSet": {"collections": {"$each": list(collections)}}}
            await self._memories.update_one({"_id": user.id}, more)

    async def _take(self, user: User, reduced: list[Role]) -> None:
        try:
            await self._grant(user, reduced)
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            await self._memories.delete_one({"_id": user.id})

    async def _restore(self, memory: dict[str, Any], collections: Sequence[str]) -> None:
        others = [name for name in memory["collections"] if name not in set(collections)]
        if await self._fenced(others):
            await self._memories.update_one({"_id": memory["_id"]}, {"$set": {"collections": others}})
            return
        # Whoever changed the user since the fence was raised has the last word.
        for user in await self._in(memory["database"], [memory["user"]]):
            if user.roles == _reduced(memory["roles"], self._database.name):
                await self._grant(user, memory["roles"])
        await self._memories.delete_one({"_id": memory["_id"]})

    async def _grant(self, user: User, roles: list[Role]) -> None:
        await self._database.client[user.database].command(
            "updateUser", user.name, roles=roles, writeConcern={"w": "majority"}
        )


def _reduced(roles: Sequence[Role], database: str) -> list[Role] | None:
    """These roles without those that let their holder write to the database; None if that would reach beyond it."""
    read = {"role": "read", "db": database}
    kept = [role for role in roles if role["db"] != database or role == read]
    if any(role["db"] == ADMIN and role["role"] not in KEPT_IN_ADMIN for role in kept):
        return None
    return _sorted(kept if read in kept or len(kept) == len(roles) else [*kept, read])


def _sorted(roles: Iterable[Role]) -> list[Role]:
    """A server gives them in any order."""
    return sorted(roles, key=lambda role: (role["db"], role["role"]))
