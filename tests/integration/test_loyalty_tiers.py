"""The job that bypasses the library: it works while it may, and ends when the fence refuses it."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest
from pymongo import MongoClient

import embedded
from examples.loyalty.config import Config
from examples.loyalty.seed import Document, seed
from examples.loyalty.tiers import REFUSED, recalculate
from midflight.mongo.client import open_source

AT_ONCE = 500.0
SOON = 20.0


async def test_it_works_until_the_fence_refuses_it_then_says_so_and_ends(
    servers: embedded.Servers, mongo_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(servers.mongo_uri, "", database=mongo_database)
    seed(config.mongo, config.database, 5)
    with MongoClient[Document](config.mongo) as client, caplog.at_level(logging.WARNING):
        working = asyncio.create_task(asyncio.to_thread(recalculate, client, config, AT_ONCE, threading.Event()))
        async with asyncio.timeout(SOON):
            while not client[config.database]["members"].count_documents({"tier_checked": {"$exists": True}}):
                await asyncio.sleep(0.01)
        async with open_source(config.mongo, config.database) as source:
            await source.fence.raise_fence(["members"])
            assert await asyncio.wait_for(working, SOON) == REFUSED
    assert "the members have moved" in caplog.text


async def test_it_ends_when_it_is_asked_to(servers: embedded.Servers, mongo_database: str) -> None:
    stop = threading.Event()
    stop.set()
    with MongoClient[Document](servers.mongo_uri) as client:
        assert recalculate(client, Config(servers.mongo_uri, "", database=mongo_database), AT_ONCE, stop) == 0
