"""`midflight parity run` and `gate` as processes beside a live tail that is late, and beside writers."""

from __future__ import annotations

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
LAG_SECONDS = 0.4


async def test_beside_a_late_tail_and_writers_a_run_says_what_is_so_and_the_gate_obeys(
    prepared: Rig, tmp_path: Path
) -> None:
    """Equal; then one difference, planted; then keys that never rest: each with an exit code of its own."""
    office = Office(prepared, tmp_path)
    await copied(prepared, range(DOCUMENTS))
    async with followed(prepared, LAG_SECONDS) as tail:
        async with written(prepared, tail, range(QUIET), per_second=60) as till:
            await until(lambda: till.written > 20, "some writes")
            clean = await office("run", "--format", "json")
            assert (clean.code, clean.data["verdict"]) == (CLEAN, "pass"), clean.data
            assert (await office("gate")).code == CLEAN

            office.tamper("update shop.orders set customer = 'nobody' where id = %s", [QUIET + 1])
            found = await office("run", "--format", "json")
            assert (found.code, settled(found)) == (DIFFERENT, {"rogue write": 1}), found.data
            assert (await office("gate")).code == DIFFERENT
            late = sum(one.data["keys"]["cleared"] for one in (clean, found))
            assert late > 0, "the target was never late: this showed nothing"
        async with prepared.bridge() as bridge:
            await sync_keys(bridge, {"orders": [key_bytes(QUIET + 1)]}, "repair")
        async with written(prepared, tail, [1, 2], per_second=40):
            hot = await office("run", "--format", "json", "--level", "full")
        assert (hot.code, settled(hot)) == (UNDECIDED, {}), hot.data
        shut = await office("gate", "--levels", "full")
        assert (shut.code, "level full is undecided" in shut.out) == (UNDECIDED, True)


def settled(ended: Ended) -> dict[str, Any]:
    """How many keys are settled, by cause, as the report says."""
    groups = [(one["cause"], group) for one in ended.data["causes"] for group in one["groups"]]
    return {cause: group["states"]["settled"] for cause, group in groups if group["states"].get("settled")}
