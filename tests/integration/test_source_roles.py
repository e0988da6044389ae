"""The fence on a source with authentication: the application's users lose their right to write, and get it back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from midflight.errors import SourceRefused
from midflight.mongo.client import open_source
from midflight.mongo.refusals import refused_by_fence
from midflight.mongo.roles import MongoUsers
from midflight.mongo.wire import FENCES
from midflight.ports import SourceFence
from tests.integration.own_source_server import PASSWORD, OwnServer, create_users, own_server

DATABASE = "shop"
WRITE = {"role": "readWrite", "db": DATABASE}
READ = {"role": "read", "db": DATABASE}
ELSEWHERE = {"role": "readWrite", "db": "other"}
Database = AsyncDatabase[dict[str, Any]]
Roles = list[dict[str, str]]

USERS: dict[str, Roles] = {"app": [WRITE], "jobs": [WRITE, ELSEWHERE], "looker": [READ]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    home: Path = tmp_path_factory.mktemp("roles")
    with own_server(home) as without:
        create_users(without.uri(), DATABASE)
        with MongoClient[dict[str, Any]](without.uri()) as client:
            keeper = [WRITE, {"role": "dbAdmin", "db": DATABASE}, {"role": "userAdmin", "db": DATABASE}]
            client.admin.command("createUser", "keeper", pwd=PASSWORD, roles=keeper)
            client.admin.command("createUser", "root", pwd=PASSWORD, roles=["root"])
            client.admin.command("createUser", "boss", pwd=PASSWORD, roles=["readWriteAnyDatabase"])
            client.admin.command("createUser", "visitor", pwd=PASSWORD, roles=[WRITE])
            for name, roles in USERS.items():
                client[DATABASE].command("createUser", name, pwd=PASSWORD, roles=roles)
    with own_server(home, "--auth") as with_login:
        yield with_login


@pytest.fixture
async def database(server: OwnServer) -> AsyncIterator[Database]:
    """As root; collections and users as before at the end."""
    async with AsyncMongoClient[dict[str, Any]](server.uri("root")) as client:
        found = client[DATABASE]
        await found["a"].insert_many([{"_id": number} for number in range(5)])
        await found.create_collection("b")
        yield found
        for name in ("a", "b", FENCES):
            await found.drop_collection(name)
        for name, roles in USERS.items():
            await found.command("updateUser", name, roles=roles)


@pytest.fixture
async def fence(server: OwnServer, database: Database) -> AsyncIterator[SourceFence]:
    async with open_source(server.uri("keeper"), DATABASE) as source:
        yield source.fence


async def roles_of(database: Database, name: str) -> Roles:
    [user] = (await database.command("usersInfo", name))["users"]
    return sorted(user["roles"], key=lambda role: (role["db"], role["role"]))


async def delete_as(server: OwnServer, name: str) -> int:
    """On a connection of its own: the embedded server asks for rights when a client logs in."""
    uri = server.uri(name).replace("/?", f"/{DATABASE}?")
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        return (await client[DATABASE]["a"].delete_many({})).deleted_count


async def test_the_users_can_no_longer_delete_and_can_again_afterwards(server: OwnServer, fence: SourceFence) -> None:
    await fence.raise_fence(["a"], ["app"])
    with pytest.raises(OperationFailure) as refusal:
        await delete_as(server, "app")
    assert refused_by_fence(refusal.value)
    await fence.lower_fence(["a"], ["app"])
    assert await delete_as(server, "app") == 5


async def test_a_fenced_user_may_still_read_and_keeps_what_it_may_elsewhere(
    fence: SourceFence, database: Database
) -> None:
    await fence.raise_fence(["a"], ["app", "jobs"])
    assert await roles_of(database, "app") == [READ]
    assert await roles_of(database, "jobs") == [ELSEWHERE, READ]
    await fence.lower_fence(["a"], ["app", "jobs"])
    assert await roles_of(database, "app") == [WRITE]
    assert await roles_of(database, "jobs") == [ELSEWHERE, WRITE]
    assert await database[FENCES].count_documents({}) == 0


async def test_raising_and_lowering_may_be_repeated(fence: SourceFence, database: Database) -> None:
    for _ in range(2):
        await fence.raise_fence(["a"], list(USERS))
    for _ in range(2):
        await fence.lower_fence(["a"], list(USERS))
    assert {name: await roles_of(database, name) for name in USERS} == {
        "app": [WRITE],
        "jobs": [ELSEWHERE, WRITE],
        "looker": [READ],
    }


async def test_a_user_that_only_reads_is_left_as_it_is(fence: SourceFence, database: Database) -> None:
    await fence.raise_fence(["a"], ["looker"])
    assert await database[FENCES].count_documents({}) == 0


async def test_users_of_admin_that_nobody_may_change_or_that_reach_further_are_told(
    server: OwnServer, fence: SourceFence, database: Database
) -> None:
    async with open_source(server.uri("root"), DATABASE) as source:
        [view] = await source.fence.status(["b"], ["boss"])
        await source.fence.raise_fence(["b"], ["boss", "visitor", "root"])
        [view] = await source.fence.status(["b"], ["boss", "visitor", "root", "nobody"])
        assert view.passes == ("deletes", "clients that bypass validation")
        assert "`boss` has a role of `admin` that reaches beyond" in view.detail
        assert "`visitor` may only read" in view.detail
        assert "`root` is Midflight's own user" in view.detail
        assert "`nobody` is not known" in view.detail
        await source.fence.lower_fence(["b"], ["boss", "visitor", "root"])
    [boss] = (await database.client.admin.command("usersInfo", "boss"))["users"]
    assert boss["roles"] == [{"role": "readWriteAnyDatabase", "db": "admin"}]


async def test_with_every_named_user_fenced_deletes_are_refused(fence: SourceFence) -> None:
    await fence.raise_fence(["a"], ["app", "looker"])
    [view] = await fence.status(["a"], ["app", "looker"])
    assert view.refuses == ("inserts", "updates", "deletes", "clients that bypass validation")
    assert view.passes == ()
    assert "user `app` may only read" in view.detail


async def test_without_the_privilege_the_validator_alone_holds(server: OwnServer, database: Database) -> None:
    async with open_source(server.uri("mover"), DATABASE) as source:
        await source.fence.raise_fence(["a"], ["app"])
        assert await source.fence.fenced(["a"]) == {"a"}
        [view] = await source.fence.status(["a"], ["app"])
        assert view.passes == ("deletes", "clients that bypass validation")
        assert "viewUser" in view.detail
        await source.fence.lower_fence(["a"], ["app"])
        assert await source.fence.fenced(["a"]) == set()
    assert await roles_of(database, "app") == [WRITE]


async def test_a_user_that_another_fence_still_needs_stays_fenced(fence: SourceFence, database: Database) -> None:
    """Two domains of one database, with one user."""
    await fence.raise_fence(["a"], ["app"])
    await fence.raise_fence(["b"], ["app"])
    await fence.lower_fence(["a"], ["app"])
    assert await roles_of(database, "app") == [READ]
    await fence.lower_fence(["b"], ["app"])
    assert await roles_of(database, "app") == [WRITE]


async def test_what_somebody_granted_since_is_not_taken_back(fence: SourceFence, database: Database) -> None:
    await fence.raise_fence(["a"], ["app"])
    granted = [{"role": "dbOwner", "db": DATABASE}]
    await database.command("updateUser", "app", roles=granted)
    await fence.lower_fence(["a"], ["app"])
    assert await roles_of(database, "app") == granted


# --- dying between any two steps --------------------------------------------------------------------------------------


class Died(Exception):
    """Stands for the end of the process."""


def dies(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The named step is where the process ends."""

    async def die(*arguments: Any) -> None:
        raise Died

    monkeypatch.setattr(MongoUsers, name, die)


async def test_dying_before_the_roles_change_costs_nothing(
    fence: SourceFence, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dies(patch, "_grant")
        with pytest.raises(Died):
            await fence.raise_fence(["a"], ["app"])
    assert await database[FENCES].count_documents({}) == 1, "remembered first"
    assert await roles_of(database, "app") == [WRITE]
    await fence.raise_fence(["a"], ["app"])
    assert await roles_of(database, "app") == [READ]
    await fence.lower_fence(["a"], ["app"])
    assert await roles_of(database, "app") == [WRITE]


async def test_dying_after_the_roles_changed_costs_nothing(
    fence: SourceFence, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = MongoUsers._grant

    async def grant_and_die(*arguments: Any) -> None:
        await grant(*arguments)
        raise Died

    for change in (fence.raise_fence, fence.lower_fence):
        with monkeypatch.context() as patch:
            patch.setattr(MongoUsers, "_grant", grant_and_die)
            with pytest.raises(Died):
                await change(["a"], ["app"])
    assert await roles_of(database, "app") == [WRITE], "given back, but the memory is still there"
    await fence.raise_fence(["a"], ["app"])
    assert await roles_of(database, "app") == [READ]
    for _ in range(2):
        await fence.lower_fence(["a"], ["app"])
    assert await roles_of(database, "app") == [WRITE]
    assert await database[FENCES].count_documents({}) == 0


async def test_roles_that_cannot_be_given_back_are_an_error(
    server: OwnServer, fence: SourceFence, database: Database
) -> None:
    await fence.raise_fence(["a"], ["app"])
    async with open_source(server.uri("mover"), DATABASE) as source:
        with pytest.raises(SourceRefused, match="userAdmin"):
            await source.fence.lower_fence(["a"], ["app"])
    await fence.lower_fence(["a"], ["app"])
    assert await roles_of(database, "app") == [WRITE]


async def test_on_the_embedded_server_an_open_connection_keeps_its_rights(
    server: OwnServer, fence: SourceFence
) -> None:
    """Unlike MongoDB. The tripwire is what notices such a delete."""
    uri = server.uri("app").replace("/?", f"/{DATABASE}?")
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncMongoClient[dict[str, Any]](uri))
        await client[DATABASE]["a"].find_one()
        await fence.raise_fence(["a"], ["app"])
        assert (await client[DATABASE]["a"].delete_one({"_id": 1})).deleted_count == 1
