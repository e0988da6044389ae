"""Real documents that nobody here wrote: they migrate, and every one rebuilds equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bson
import pytest

from midflight.core.plan import DarkReads, Limits, Plan, Ramp
from midflight.core.plan_file import load_plan
from tests.fixtures.forked import ROOT
from tests.fixtures.rig import Rig, until_status

DUMPS = ROOT.parent / "shared" / "data"


def dumped(name: str) -> list[dict[str, Any]]:
    """The documents of a dump; skips where the dumps are absent."""
    dump: Path = DUMPS / f"sample_analytics.{name}.bson"
    if not dump.exists():
        pytest.skip(f"no real dump: {dump.name} is not beside the project")
    return bson.decode_all(dump.read_bytes())


def plan_of(name: str, database: str) -> Plan:
    """The example plan, in the test's database and without soaks."""
    plan = load_plan((ROOT / "plans" / f"{name}.yaml").read_text())
    changes = {
        "source": plan.source.model_copy(update={"database": database}),
        "limits": Limits(feed_window_seconds=0, cutover_seconds=20),
        "dark_reads": DarkReads(soak_seconds=0),
        "ramp": Ramp(steps=(100,), soak_seconds=0),
        "soak_seconds": 0,
        "retention_seconds": 0,
        "approvals": (),
    }
    return plan.model_copy(update=changes)


@pytest.mark.parametrize("name", ["accounts", "customers"])
async def test_a_real_dump_migrates_and_every_document_rebuilds_equal(rig: Rig, name: str) -> None:
    documents = dumped(name)
    plan = plan_of(name, rig.database)
    with rig.source() as source:
        source[plan.collections[0].collection].insert_many(documents)
        rig.start_worker()
        handle = await rig.start(plan)
        await until_status(handle, lambda s: s.state.phase == "done" or bool(s.state.problem), "the end of the move")
        report = await handle.result()
    assert report.parity.compared == report.parity.equal == len(documents)
    assert rig.one("select count(*) from midflight.quarantine") == 0
    table = plan.collections[0].table
    assert rig.one(f"select count(*) from {plan.target.schema_}.{table}") == len(documents)
