"""The Python of docs/gateway.md, run: a FastAPI application, a Django project, their tests, on real servers."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from midflight.core.keys import key_bytes
from midflight.core.plan import CollectionMap, FieldMap, KeyMap, Plan, SourcePlace, TargetPlace
from midflight.mongo.client import open_source
from midflight.postgres.connection import open_target
from midflight.sync import Bridge, sync_keys
from tests.fixtures.rig import Rig
from tests.fixtures.stages import go

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n# (\w+/\w+\.py)\n(.*?)```", re.S)


def plan(database: str) -> Plan:
    """The domain that the page talks of."""
    return Plan(
        domain="members",
        source=SourcePlace(store="mongo-main", database=database),
        target=TargetPlace(store="pg-main", schema_="shop"),
        collections=(
            CollectionMap(
                collection="members",
                table="members",
                key=KeyMap(column="id", type="text"),
                fields=(FieldMap(field="points", column="points", type="bigint"),),
            ),
        ),
    )


@pytest.fixture
async def shop(rig: Rig, tmp_path: Path) -> Rig:
    """Both stores as they are in `verify`, and the page's files in a directory."""
    moved = plan(rig.database)
    async with open_target(rig.postgres_dsn) as target:
        await target.schema.install_ledger()
        await target.ledger.register(moved)
        await target.schema.create_tables(moved)
        await target.fence.install(moved)
    async with open_source(rig.mongo_uri, rig.database) as source:
        await source.feed.mark("members")
    for name, text in BLOCK.findall((ROOT / "docs/gateway.md").read_text()):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return rig


def run(shop: Rig, home: Path, *command: str, **environment: str) -> str:
    """A process of the page's application, to its end; what it printed."""
    ours = {
        "SHOP_MONGO": shop.mongo_uri,
        "SHOP_DATABASE": shop.database,
        "SHOP_POSTGRES": shop.postgres_dsn,
        "PYTHONPATH": f"{home}{os.pathsep}{ROOT}",
        **environment,
    }
    ran = subprocess.run(
        [sys.executable, *command], cwd=home, env={**os.environ, **ours}, capture_output=True, text=True, timeout=90
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


STAGES = ("off", "shadow", "ramp", "target")

ASK = """
import asyncio, httpx
from shop.app import app

async def main():
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://shop") as client:
            while (await client.get("/ready")).status_code != 200:
                await asyncio.sleep(0.02)
            earned = await client.post("/members/ann/earn", params={"points": 5})
            print((await client.get("/stage")).json(), earned.json(), (await client.get("/members/ann/balance")).json())

asyncio.run(main())
"""


async def test_the_fastapi_application_works_in_every_stage(shop: Rig, tmp_path: Path) -> None:
    said = []
    for stage in STAGES:
        await bring_ann(shop)  # as the tail would, where a shadow write was late
        go(shop.postgres_dsn, "members", stage, reads_bp=10_000, dark_reads_bp=10_000)
        said.append(await asyncio.to_thread(run, shop, tmp_path, "-c", ASK))
    assert said == [f"{stage} {points} {points}\n" for stage, points in zip(STAGES, (5, 10, 15, 20), strict=True)]


async def bring_ann(shop: Rig) -> None:
    async with open_source(shop.mongo_uri, shop.database) as source, open_target(shop.postgres_dsn) as target:
        await sync_keys(Bridge(source, target, plan(shop.database)), {"members": [key_bytes("ann")]}, "tail")


ASK_DJANGO = """
import django
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("check", fail_level="WARNING")
client = Client(headers={"host": "localhost"})
call_command("midflight_status")
print(client.get("/ready").json(), client.get("/members/ann/balance").json())
"""


def test_the_django_project_works(shop: Rig, tmp_path: Path) -> None:
    go(shop.postgres_dsn, "members", "ramp", reads_bp=10_000)
    text = run(shop, tmp_path, "-c", ASK_DJANGO, DJANGO_SETTINGS_MODULE="office.settings", DJANGO_ALLOWED_HOSTS="*")
    assert "no issues" in text
    assert "members: stage ramp; reads 100 % at the target" in text
    assert "{'ready': True, 'stages': {'members': 'ramp'}} {'balance': 0}" in text


def test_the_tests_on_the_page_pass(shop: Rig, tmp_path: Path) -> None:
    options = ("-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--rootdir", str(tmp_path))
    assert "2 passed" in run(shop, tmp_path, "-m", "pytest", *options, "shop")


def test_the_flags_on_the_page_are_shown(shop: Rig, tmp_path: Path) -> None:
    go(shop.postgres_dsn, "members", "shadow")
    script = (
        "import asyncio\nfrom shop import flags, members\n"
        "async def main():\n async with members.gateway:\n  await members.members.ready()\n  print(flags.stage())\n"
        "asyncio.run(main())"
    )
    assert run(shop, tmp_path, "-c", script).strip() == "shadow"


def test_every_python_block_of_the_page_is_run() -> None:
    text = (ROOT / "docs/gateway.md").read_text()
    assert len(BLOCK.findall(text)) == text.count("```python")
