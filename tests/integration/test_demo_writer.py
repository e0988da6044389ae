"""The demonstration's writer behaves as an application should: it waits in a hold, and notes what the fence refuses."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
from pymongo import MongoClient

import embedded
from demo.domains import scaled
from demo.journal import JOURNAL, Document, Story, packed, read
from demo.plans import demo_plans
from demo.seed import seed
from demo.writer import SOURCE, TARGET
from demo.writing import Pace, WriterProcess
from midflight.core.phase import Stage
from midflight.mongo.client import open_source
from midflight.postgres.connection import open_target

DOMAIN = "transactions"
SHARE = 0.01
STILL_SECONDS = 0.5
SOON = 90.0
"""The source is shared with whatever else is tested at the time."""


class Writing:
    """A running writer, its journal, and its source."""

    def __init__(self, servers: embedded.Servers, database: str, dsn: str, journals: Path) -> None:
        self.uri, self.database, self.dsn = servers.mongo_uri, database, dsn
        self._path = journals / JOURNAL.format(DOMAIN)

    def story(self) -> Story:
        return read(self._path) if self._path.exists() else Story()

    def until(self, condition: Callable[[Story], bool]) -> Story:
        deadline = time.monotonic() + SOON
        while not condition(story := self.story()):
            assert time.monotonic() < deadline, f"it did not happen: {story.kinds} {story.refused}"
            time.sleep(0.05)
        return story

    def still(self) -> Story:
        """The story once nothing has been added for a while."""
        before, since = len(self._path.read_text()), time.monotonic()
        while time.monotonic() - since < STILL_SECONDS:
            time.sleep(0.05)
            if (now := len(self._path.read_text())) != before:
                before, since = now, time.monotonic()
        return self.story()


@pytest.fixture
async def writing(
    servers: embedded.Servers, mongo_database: str, postgres_database: str, tmp_path: Path
) -> AsyncIterator[Writing]:
    seed(servers.mongo_uri, mongo_database, scaled(SHARE).values())
    async with open_target(postgres_database) as target:
        await target.schema.install_ledger()
        await target.ledger.register(demo_plans()[DOMAIN])
    addresses = {"MIDFLIGHT_STORE_MONGO_MAIN": servers.mongo_uri, "MIDFLIGHT_STORE_PG_MAIN": postgres_database}
    assert (SOURCE, TARGET) == ("mongo-main", "pg-main")
    environment = {**os.environ, **addresses}
    log = tmp_path / "writer.log"
    with WriterProcess(tmp_path, mongo_database, Pace(SHARE, 200), environment, log) as process:
        yield Writing(servers, mongo_database, postgres_database, tmp_path)
    assert process.doubts == [], log.read_text()


async def test_every_kind_of_write_is_acknowledged_and_the_source_holds_the_last_of_each(writing: Writing) -> None:
    kinds = {"insert", "update", "replace", "delete", "reinsert", "spoil"}
    writing.until(lambda story: story.kinds.keys() >= kinds)
    await _set_stage(writing, Stage.HOLD)
    story = writing.still()
    with MongoClient[Document](writing.uri, tz_aware=True) as client:
        documents = client[writing.database][DOMAIN].find()
        held = {packed({"_id": document["_id"]}): packed(document) for document in documents}
    assert story.last == {key: held.get(key) for key in story.last}
    assert not story.uncertain


async def test_no_delete_is_acknowledged_after_the_hold(writing: Writing) -> None:
    writing.until(lambda story: story.kinds.get("delete", 0) > 5)
    await _set_stage(writing, Stage.HOLD)
    deletes = writing.story().kinds["delete"]
    assert writing.still().kinds["delete"] <= deletes + 1, "only the answer of one before the hold may still be noted"


async def test_writing_goes_on_after_an_undone_cutover(writing: Writing) -> None:
    writing.until(lambda story: story.acknowledged > 10)
    await _set_stage(writing, Stage.HOLD)
    held = writing.still().acknowledged
    await _set_stage(writing, Stage.RAMP)
    writing.until(lambda story: story.acknowledged > held + 10)


async def test_nothing_is_spoiled_once_the_target_is_looked_at(writing: Writing) -> None:
    await _set_stage(writing, Stage.RAMP)
    before = writing.until(lambda story: story.acknowledged > 20).kinds.get("spoil", 0)
    later = writing.until(lambda story: story.acknowledged > 300)
    assert later.kinds.get("spoil", 0) <= before + 1


async def test_what_the_fence_refuses_is_noted_as_refused(writing: Writing) -> None:
    writing.until(lambda story: story.acknowledged > 10)
    async with open_source(writing.uri, writing.database) as source:
        await source.fence.raise_fence([DOMAIN])
        refused = writing.until(lambda story: story.refused.get("the fence", 0) > 10)
        await source.fence.lower_fence([DOMAIN])
    writing.until(lambda story: story.acknowledged > refused.acknowledged + 10)


async def _set_stage(writing: Writing, stage: Stage) -> None:
    with psycopg.connect(writing.dsn) as connection:
        connection.execute("update midflight.domains set stage = %s where domain = %s", (stage.value, DOMAIN))
