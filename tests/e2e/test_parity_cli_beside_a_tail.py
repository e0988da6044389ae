"""`midflight parity run` and `gate` as processes beside a live tail that is late, and beside writers."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

from midflight.core.keys import key_bytes
from midflight.sync import sync_keys
from tests.e2e.parity_cli_kit import CLEAN, DIFFERENT, UNDECIDED, Office, copied, followed, written
from tests.fixtures.cli import Ended
from tests.fixtures.rig import Rig, until

DOCUMENTS = 2_400
QUIET = 2_300
"""From here on nobody writes."""
LATE = [5, 105, 1_005]
"""Changed before the tail is there."""
LAG_SECONDS = 0.2
HOT = 1
"""It is never seen equal, and never seen twice as it was."""


async def test_beside_a_late_tail_and_writers_a_run_says_what_is_so_and_the_gate_obeys(
    prepared: Rig, tmp_path: Path
) -> None:
    """Equal, once the tail has come; then one difference, planted; then a key that never rests. Each has its code."""
    office = Office(prepared, tmp_path)
    await copied(prepared, range(DOCUMENTS))
    with prepared.source() as source:
        source["orders"].update_many({"_id": {"$in": LATE}}, {"$set": {"version": 5}})
    running = await office.start("run", "--format", "json")
    suspects = "select count(*) from midflight.parity_mismatches where state = 'suspect'"
    await until(lambda: office.rig.one(suspects) == len(LATE), "suspects")
    async with followed(prepared, LAG_SECONDS) as tail:
        async with written(prepared, tail, range(QUIET), per_second=60):
            clean = await running.ended()
            assert (clean.code, clean.data["verdict"]) == (CLEAN, "pass"), clean.data
            assert clean.data["keys"]["cleared"] >= len(LATE)
            assert (await office("gate")).code == CLEAN

            office.tamper("update shop.orders set customer = 'nobody' where id = %s", [QUIET + 1])
            found = await office("run", "--format", "json")
            assert (found.code, settled(found)) == (DIFFERENT, {"rogue write": 1}), found.data
            assert (await office("gate")).code == DIFFERENT
        async with prepared.bridge() as bridge:
            await sync_keys(bridge, {"orders": [key_bytes(QUIET + 1)]}, "repair")
        tail.deaf.add(key_bytes(HOT))
        async with written(prepared, tail, [HOT], per_second=40, patience_seconds=inf):
            hot = await office("run", "--format", "json", "--level", "full")
            assert (hot.code, settled(hot)) == (UNDECIDED, {}), hot.data
        shut = await office("gate", "--levels", "full")
        assert (shut.code, "level full is undecided" in shut.out) == (UNDECIDED, True)


def settled(ended: Ended) -> dict[str, Any]:
    """How many keys are settled, by cause, as the report says."""
    groups = [(one["cause"], group) for one in ended.data["causes"] for group in one["groups"]]
    return {cause: group["states"]["settled"] for cause, group in groups if group["states"].get("settled")}
