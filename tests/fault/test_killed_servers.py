"""kill -9 of a server of the stack: it comes back at the same address, and has everything that it had acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect
from temporalio.client import Client

from demo.faults import Server, kill_server
from embedded import Servers, Stack, StackOptions
from embedded.supervisor import read_state
from midflight.settings import Settings

pytestmark = pytest.mark.slow
AT_ONCE = 0.1


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers of our own, whose data survives them."""
    with closing(Stack(tmp_path_factory.mktemp("killed"), StackOptions(), Settings.from_environment({}))) as stack:
        yield stack


def write_row(servers: Servers) -> Callable[[], bool]:
    with psycopg.connect(servers.postgres_dsn) as connection:
        connection.execute("create table kept as select 1 as one")

    def is_there() -> bool:
        with psycopg.connect(servers.postgres_dsn) as connection:
            return connection.execute("select one from kept").fetchone() == (1,)

    return is_there


def write_document(servers: Servers) -> Callable[[], bool]:
    client = MongoClient[dict[str, Any]](servers.mongo_uri)
    client["kept"]["things"].insert_one({"_id": 1})

    def is_there() -> bool:
        with client:
            try:
                return client["kept"]["things"].count_documents({}) == 1
            except AutoReconnect:  # the pool still held a connection to the one that was killed
                return client["kept"]["things"].count_documents({}) == 1

    return is_there


@pytest.mark.parametrize(("name", "write"), [("postgres", write_row), ("mongo", write_document)])
async def test_a_store_that_was_killed_has_what_it_acknowledged(
    stack: Stack, name: Server, write: Callable[[Servers], Callable[[], bool]]
) -> None:
    is_there = write(stack.servers)
    before = stack.supervisor.child(name).pid
    await kill_server(stack, name, AT_ONCE)
    assert stack.supervisor.child(name).pid != before
    assert "ports" in read_state(stack.supervisor.state_dir), "who looks for the servers still finds them"
    assert is_there()


async def test_temporal_comes_back_at_its_address(stack: Stack) -> None:
    await kill_server(stack, "temporal", AT_ONCE)
    client = await Client.connect(stack.servers.temporal_address)
    assert [found async for found in client.list_workflows("WorkflowId = 'nobody'")] == []
    assert stack.supervisor.dead() == []
