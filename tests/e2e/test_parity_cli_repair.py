"""`midflight parity repair` as a process: beside writers on the very keys it repairs, and where it must not repair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from midflight.core.keys import key_bytes
from midflight.core.phase import Stage
from midflight.waiting import drained
from tests.e2e.parity_cli_kit import CLEAN, DIFFERENT, REFUSED, Office, Till, copied, followed, written
from tests.fixtures.rig import Rig, order
from tests.integration.parity.churn_kit import LateTail

DOCUMENTS = 300
SIGNED = ("--execute", "--as", "ann", "--reason", "ticket 12", "--json")
CHANGED, LINES_CHANGED, GONE, NOBODYS = [3, 7, 11], [15], [19], [DOCUMENTS + 3]
MISSED_UPDATE, MISSED_DELETE = 23, 50
WRITTEN = range(40)
"""Most of the damaged orders are among them."""


async def test_beside_writers_on_the_same_keys_all_damage_is_mended_and_no_acknowledged_write_is_lost(
    prepared: Rig, tmp_path: Path
) -> None:
    """First key by key, then a range as a whole."""
    office = Office(prepared, tmp_path)
    await copied(prepared, range(DOCUMENTS))
    async with followed(prepared, 0.1) as tail:
        planted = await damage(office, tail)
        found = await office("run", "--run", "found", "--level", "full", "--format", "json")
        assert (found.code, settled(office, "found")) == (DIFFERENT, planted), found.data
        tail.deaf.clear()
        async with written(prepared, tail, WRITTEN, per_second=100) as till:
            done = await office("repair", "found", *SIGNED, "--max-deletes", "2")
            assert (done.code, done.data["remaining"], done.data["undecided"]) == (CLEAN, 0, 0), done.data
            assert done.data["requeue"] == {"orders": len(planted)}
        assert settled(office, "found") == set()
        await nothing_lost(office, till)

        many = list(range(100, 130))
        office.tamper("update shop.orders set customer = 'nobody' where id = %s", many)
        await office("run", "--run", "many", "--level", "full", "--format", "json")
        async with written(prepared, tail, many, per_second=100) as till:
            again = await office("repair", "many", *SIGNED)
        assert (again.code, again.data["repaired"], again.data["remaining"]) == (CLEAN, len(many), 0), again.data
        assert [one["differing"] for one in again.data["copy_again"]] == [len(many)]
        await nothing_lost(office, till)
    whole = await office("run", "--frozen", "--level", "full", "--format", "json")
    assert (whole.code, whole.data["entities"][0]["compared"]) == (CLEAN, DOCUMENTS - 1), whole.data
    assert [kind for kind, _, _ in audit(office)] == ["repair_approved", "repair_begun", "repaired"] * 2
    assert {person for _, person, _ in audit(office)} == {"ann"}


async def damage(office: Office, tail: LateTail) -> set[bytes]:
    """One or more keys of every kind of damage."""
    office.tamper("update shop.orders set customer = 'nobody' where id = %s", CHANGED)
    office.tamper("update shop.order_lines set quantity = 77 where order_id = %s and position = 1", LINES_CHANGED)
    office.tamper("delete from shop.order_lines where order_id = %s", GONE)
    office.tamper("delete from shop.orders where id = %s", GONE)
    office.tamper("insert into shop.orders (id, customer) values (%s, 'nobody')", NOBODYS)
    missed = {key_bytes(MISSED_UPDATE), key_bytes(MISSED_DELETE)}
    tail.deaf |= missed
    with office.rig.source() as source:
        source["orders"].replace_one({"_id": MISSED_UPDATE}, order(MISSED_UPDATE, 1))
        source["orders"].delete_one({"_id": MISSED_DELETE})
    return missed | {key_bytes(number) for number in (*CHANGED, *LINES_CHANGED, *GONE, *NOBODYS)}


def settled(office: Office, run: str) -> set[bytes]:
    rows = office.rig.query(
        f"select key from midflight.parity_mismatches where run = '{run}' and state in ('settled', 'suspect', 'hot')"
    )
    return {key for (key,) in rows}


async def nothing_lost(office: Office, till: Till) -> None:
    """Once the tail has passed the last write, both stores have of every order what was acknowledged last."""
    async with office.rig.bridge() as bridge:
        await drained(bridge, 30)
    acknowledged = till.acknowledged
    with office.rig.source() as source:
        at_source = {one["_id"]: one["version"] for one in source["orders"].find({"_id": {"$in": list(acknowledged)}})}
    at_target = {int(key): version for key, version in office.rig.query("select id, version from shop.orders")}
    assert at_source == acknowledged
    assert {number: at_target.get(number) for number in acknowledged} == acknowledged


def audit(office: Office) -> list[tuple[Any, ...]]:
    """What the audit trail says of repairs."""
    return office.rig.query(
        "select kind, person, details from midflight.audit where kind like 'repair%' order by number"
    )


async def test_a_bug_of_the_mapping_too_many_deletes_and_another_authority_are_refused(
    prepared: Rig, tmp_path: Path
) -> None:
    office = Office(prepared, tmp_path)
    await copied(prepared, range(DOCUMENTS))
    office.tamper("update shop.orders set version = 1000 where id = %s", range(200))
    office.tamper("update shop.orders set customer = 'nobody' where id = %s", [201])
    office.tamper("insert into shop.orders (id, customer) values (%s, 'nobody')", range(900, 903))
    assert (await office("run", "--run", "found", "--level", "full", "--frozen")).code == DIFFERENT
    before = office.rig.query("select id, version from shop.orders where id <> '201' order by id")

    done = await office("repair", "found", *SIGNED)
    assert (done.code, done.data["repaired"]) == (DIFFERENT, 1)
    assert {one["keys"]: (one["reason"][:22], one["next_step"][:12]) for one in done.data["refused"]} == {
        200: ("the mapping is wrong (", "fix the plan"),
        3: ("it would delete 3 keys", "look at some"),
    }
    assert office.rig.query("select id, version from shop.orders where id <> '201' order by id") == before
    raised = await office("repair", "found", *SIGNED, "--max-deletes", "3")
    assert (raised.code, raised.data["repaired"], raised.data["deletes"]) == (DIFFERENT, 3, {"orders": 3})

    recorded = audit(office)
    await flipped(prepared)
    for arguments in (("found",), ("found", *SIGNED)):
        refused = await office("repair", *arguments)
        assert (refused.code, "The target is the authority" in refused.err) == (REFUSED, True)
    assert audit(office) == recorded


async def flipped(rig: Rig) -> None:
    async with rig.bridge() as bridge:
        ledger, domain = bridge.target.ledger, rig.plan.domain
        for stage in (Stage.RAMP, Stage.HOLD):
            row = await ledger.set_stage(domain, stage, 10_000, 0)
        await ledger.flip(domain, row.epoch)
