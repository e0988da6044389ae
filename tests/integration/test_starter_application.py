"""What the application and the fences tell an operator, read from real stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from midflight.records import Beat, ReadMismatch
from tests.fixtures.cli import Cli, Ended, new_domain
from tests.fixtures.rig import Rig, make_plan

SECRET = "4711-personal"


class Desk:
    """The command line over stores that hold a domain; Temporal is not asked."""

    def __init__(self, rig: Rig, home: Path) -> None:
        self.rig, self._home = rig, home

    async def __call__(self, *arguments: str) -> Ended:
        cli = Cli(self.rig.environment, self._home)
        ended = await cli(*arguments, self.rig.plan.domain, "--target", "pg-main")
        assert ended.code == 0, ended.err
        return ended


@pytest.fixture
async def desk(rig: Rig, tmp_path: Path) -> Desk:
    """A domain in the ledger, with tables and their fence."""
    rig.plan = make_plan(rig.database, domain=new_domain())
    with rig.source() as source:
        source["orders"].insert_one({"_id": 1})
    async with rig.bridge() as bridge:
        schema = bridge.target.schema
        await schema.install_ledger()
        await bridge.target.ledger.register(rig.plan)
        await schema.create_tables(rig.plan)
        await bridge.target.fence.install(rig.plan)
    return Desk(rig, tmp_path)


async def test_instances_are_shown_with_the_revision_they_obey_and_who_is_late(desk: Desk) -> None:
    domain = desk.rig.plan.domain
    async with desk.rig.bridge() as bridge:
        revision = (await bridge.target.ledger.authority(domain)).revision
        registry = bridge.target.registry
        await registry.poll({domain: Beat(instance="web-1", seen_revision=revision, lease_seconds=60)})
        behind = Beat(
            instance="web-2", seen_revision=revision, lease_seconds=60, oldest_revision=revision - 1, oldest_seconds=9.0
        )
        await registry.poll({domain: behind})

    shown = (await desk("instances")).out.splitlines()
    data = {one["instance"]: one["obeys"] for one in (await desk("instances", "--json")).data}

    assert next(line for line in shown if "web-1" in line).split()[1] == "yes"
    late = next(line for line in shown if "web-2" in line)
    assert "late" in late
    assert "9.0 s" in late
    assert data == {"web-1": True, "web-2": False}


async def test_an_application_without_the_library_has_no_instances(desk: Desk) -> None:
    assert "No instance of the application's library holds a lease." in (await desk("instances")).out


async def test_mismatches_show_fields_and_cause_but_keys_and_values_only_when_asked_for(desk: Desk) -> None:
    sides: dict[str, object] = {"source": SECRET, "target": None}
    found = ReadMismatch(operation="balance", entity=SECRET, fields=("points",), cause="value", sides=sides)
    async with desk.rig.bridge() as bridge:
        await bridge.target.registry.publish(desk.rig.plan.domain, "web-1", [], [found])

    plain, data = (await desk("mismatches")).out, (await desk("mismatches", "--json")).data

    assert all(word in plain for word in ("balance", "points", "value", "web-1"))
    assert SECRET not in plain
    assert SECRET not in str(data)
    assert SECRET in (await desk("mismatches", "--values")).out


async def test_fence_status_says_who_refuses_what_in_both_stores(desk: Desk) -> None:
    before = (await desk("fence", "status", "--json")).data
    async with desk.rig.bridge() as bridge:
        await bridge.source.fence.raise_fence(["orders"])

    after = (await desk("fence", "status", "--json")).data
    shown = (await desk("fence", "status")).out

    assert before["source"][0]["refuses"] == []
    assert after["source"][0]["refuses"] != []
    assert all(view["refuses"] for view in after["target"])
    assert "orders" in shown


async def test_triggers_that_somebody_took_off_are_put_back_and_that_is_recorded(desk: Desk) -> None:
    async with desk.rig.bridge() as bridge:
        await bridge.target.fence.remove(desk.rig.plan)
        bare = await bridge.target.fence.status(desk.rig.plan)

    told = await desk("fence", "install", "--reason", "a table was made anew", "--as", "ann", "--json")

    assert not any(view.refuses for view in bare)
    assert all(view["refuses"] for view in told.data)
    async with desk.rig.bridge() as bridge:
        last = (await bridge.target.ledger.audit(desk.rig.plan.domain))[-1]
    assert (last["kind"], last["person"]) == ("fence_installed", "ann")
