"""The application's library on real stores: every stage's ways, acknowledgements, parking, read-your-writes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import embedded
from midflight.core.phase import Stage
from midflight.core.routing import Side
from tests.integration.gateway_kit import App, World, open_app, open_world

ALL = 10_000


@pytest.fixture
async def world(servers: embedded.Servers, mongo_database: str, postgres_database: str) -> AsyncIterator[World]:
    async with open_world(servers.mongo_uri, mongo_database, postgres_database) as opened:
        yield opened


@pytest.fixture
async def app(world: World) -> AsyncIterator[App]:
    async with open_app(world) as opened:
        yield opened


@pytest.mark.parametrize(
    ("stage", "reads_bp", "read", "write", "shadowed"),
    [
        (Stage.OFF, 0, Side.SOURCE, "source", False),
        (Stage.SHADOW, 0, Side.SOURCE, "source", True),
        (Stage.DARK_READ, 0, Side.SOURCE, "source", True),
        (Stage.RAMP, 0, Side.SOURCE, "source", True),
        (Stage.RAMP, ALL, Side.TARGET, "source", True),
    ],
)
async def test_before_the_flip_the_source_is_written_and_the_target_follows(
    world: World, app: App, stage: Stage, reads_bp: int, read: Side, write: str, shadowed: bool
) -> None:
    await world.stage(stage, reads_bp)
    assert await app.put("ada", 7) == write
    assert await app.points("ada") == 7
    assert app.sides("points") == [read]
    assert await world.target_points("ada") == (7 if shadowed else None)
