"""On real servers: whatever may happen to two stores is done to them, and one run finds it, by field and by cause.

What is done is what people and programs do: a tail that missed a change, statements that somebody ran by hand, a bug in
the copier. Nothing is written into the ledger to make a cause look like itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64

from midflight.core import cells
from midflight.core.keys import key_bytes
from midflight.core.mapping import mapper_for
from midflight.core.plan import Child, CollectionMap, ColumnSpec, Constant, FieldMap, TransformMap
from midflight.parity.barrier import DrainBarrier
from midflight.parity.domain import NoTail, parity_of
from midflight.parity.policy import Policy
from midflight.parity.ports import Barrier
from midflight.parity.records import Cause, Kind, Mismatch, State, Verdict
from midflight.postgres.connection import open_runs
from midflight.sync import Bridge, sync_keys
from tests.fixtures.applier import as_applier
from tests.fixtures.rig import Rig
from tests.integration.parity.churn_kit import LateTail

ORDERS = CollectionMap(
    collection="orders",
    table="orders",
    fields=(
        FieldMap(field="customer", column="customer", type="text"),
        FieldMap(field="code", column="code", type="varchar(20)"),
        FieldMap(field="city", column="city", type="text"),
        FieldMap(field="total", column="total", type="numeric"),
        FieldMap(field="priority", column="priority", type="smallint"),
        FieldMap(field="paid", column="paid", type="boolean"),
        FieldMap(field="placed", column="placed", type="timestamptz"),
        FieldMap(field="shipped", column="shipped", type="timestamptz"),
    ),
    transforms=(
        TransformMap(
            fields=("customer",), columns=(ColumnSpec(column="customer_upper", type="text"),), forward="upper"
        ),
    ),
    constants=(Constant(column="origin", type="text", value="mongodb"),),
    children=(
        Child(
            array="lines",
            table="order_lines",
            parent_key="order_id",
            fields=(
                FieldMap(field="sku", column="sku", type="text"),
                FieldMap(field="quantity", column="quantity", type="bigint"),
            ),
        ),
    ),
)
MEMBERS = CollectionMap(
    collection="members",
    table="members",
    fields=(
        FieldMap(field="name", column="name", type="text"),
        FieldMap(field="points", column="points", type="integer"),
    ),
)
SHIPPED, PLACED = datetime(2024, 3, 1, 9, 0, 0, 500_000, tzinfo=UTC), datetime(2024, 3, 1, 8, 30, tzinfo=UTC)
UNTOUCHED = range(1_000, 1_060)
ALL_MEMBERS = range(20)


def order(number: int, **changes: Any) -> dict[str, Any]:
    """A document that none of the damage below concerns, but for what is changed."""
    return {
        "_id": number,
        "customer": f"customer {number}",
        "code": "ABCD",
        "city": "Bonn",
        "total": Decimal128("12.50"),
        "priority": 3,
        "paid": True,
        "shipped": SHIPPED,
        "lines": [{"sku": f"sku {line}", "quantity": Int64(line + 1)} for line in range(3)],
        "note": "unmapped",
    } | changes


def without(number: int, name: str) -> dict[str, Any]:
    return {field: value for field, value in order(number).items() if field != name}


STALE, UPDATED, CREATED, DELETED_AND_MADE_AGAIN, DELETED = range(1, 6)
CHANGED, COMPUTED, CONSTANT, LINE, LINE_LOST, LINE_MORE, REST, REMOVED, MOVED = range(10, 19)
CUT, ROUNDED, GARBLED, SHIFTED, FILLED, DATED, ODD = range(20, 27)
MOVED_TO, MADE_BY_HAND = 5_001, 5_002
DEAF = {STALE, UPDATED, CREATED, DELETED}

DOCUMENTS = [
    *(order(number) for number in (STALE, UPDATED, DELETED, CHANGED, COMPUTED, CONSTANT, LINE)),
    *(order(number) for number in (LINE_LOST, LINE_MORE, REST, REMOVED, MOVED, *UNTOUCHED)),
    order(CUT, code="ABCDEFGH"),
    order(ROUNDED, total=Decimal128("12.345")),
    order(GARBLED, city="Köln"),
    order(SHIFTED, placed=PLACED),
    without(FILLED, "paid"),
    without(DATED, "shipped"),
    order(ODD, priority=13),
]
BY_HAND = f"""
    update shop.orders set customer = 'nobody' where id = '{CHANGED}';
    update shop.orders set customer_upper = 'NOBODY' where id = '{COMPUTED}';
    update shop.orders set origin = 'import' where id = '{CONSTANT}';
    update shop.order_lines set sku = 'other' where order_id = '{LINE}' and position = 1;
    delete from shop.order_lines where order_id = '{LINE_LOST}' and position = 2;
    insert into shop.order_lines values ('{LINE_MORE}', 3, 'sku 3', 9);
    update shop.orders set extra = jsonb_set(extra, '{{note}}', '"other"') where id = '{REST}';
    delete from shop.order_lines where order_id = '{REMOVED}';
    delete from shop.orders where id = '{REMOVED}';
    update shop.order_lines set order_id = '{MOVED_TO}' where order_id = '{MOVED}';
    update shop.orders set id = '{MOVED_TO}' where id = '{MOVED}';
    insert into shop.orders (id, customer, origin) values ('{MADE_BY_HAND}', 'nobody', 'mongodb');
    alter table shop.orders alter column code type varchar(4) using left(code, 4);
    alter table shop.orders alter column total type numeric(12,2);
    update shop.orders set city = convert_from(convert_to(city, 'UTF8'), 'LATIN1');
    update shop.orders set placed = placed at time zone 'UTC' at time zone 'Asia/Kolkata';
    update shop.orders set paid = false where paid is null;
    update shop.orders set shipped = now() where shipped is null
"""
"""Somebody's write, row by row; then maintenance of the whole table: it hits whoever has what it spoils."""

Fields = dict[str, tuple[Kind, Cause]]
Finding = tuple[State, Cause, Kind, Fields]
NO_PATTERN = Cause.UNKNOWN


def settled(cause: Cause, path: str, kind: Kind = Kind.VALUE, *, pattern: Cause = NO_PATTERN) -> Finding:
    """One field of a key differs; of the key it is only said how where it is not missing or extra."""
    return State.SETTLED, cause, kind if kind is not Kind.EXTRA else Kind.VALUE, {path: (kind, pattern)}


def whole_key(cause: Cause, kind: Kind) -> Finding:
    return State.SETTLED, cause, kind, {}


def line(number: int, kind: Kind) -> Fields:
    return {f"lines.{number}.{name}": (kind, NO_PATTERN) for name in ("sku", "quantity")}


EXPECTED: dict[int, Finding] = {
    UPDATED: settled(Cause.LOST_UPDATE, "city"),
    CREATED: whole_key(Cause.LOST_UPDATE, Kind.MISSING),
    DELETED: whole_key(Cause.LOST_DELETE, Kind.EXTRA),
    CHANGED: settled(Cause.ROGUE_WRITE, "customer"),
    COMPUTED: settled(Cause.ROGUE_WRITE, "=customer_upper"),
    CONSTANT: settled(Cause.ROGUE_WRITE, "=origin"),
    LINE: settled(Cause.ROGUE_WRITE, "lines.1.sku"),
    LINE_LOST: (State.SETTLED, Cause.ROGUE_WRITE, Kind.VALUE, line(2, Kind.MISSING)),
    LINE_MORE: (State.SETTLED, Cause.ROGUE_WRITE, Kind.VALUE, line(3, Kind.EXTRA)),
    REST: settled(Cause.ROGUE_WRITE, "note"),
    REMOVED: whole_key(Cause.ROGUE_WRITE, Kind.MISSING),
    MOVED: whole_key(Cause.ROGUE_WRITE, Kind.MISSING),
    MOVED_TO: whole_key(Cause.ROGUE_WRITE, Kind.EXTRA),
    MADE_BY_HAND: whole_key(Cause.ROGUE_WRITE, Kind.EXTRA),
    CUT: settled(Cause.TRUNCATION, "code", pattern=Cause.TRUNCATION),
    ROUNDED: settled(Cause.PRECISION, "total", pattern=Cause.PRECISION),
    GARBLED: settled(Cause.ENCODING, "city", pattern=Cause.ENCODING),
    SHIFTED: settled(Cause.TIME_ZONE_SHIFT, "placed", pattern=Cause.TIME_ZONE_SHIFT),
    FILLED: settled(Cause.DEFAULT_FILLED, "paid", Kind.EXTRA, pattern=Cause.DEFAULT_FILLED),
    DATED: settled(Cause.DEFAULT_FILLED, "shipped", Kind.EXTRA, pattern=Cause.DEFAULT_FILLED),
    # The copier itself made this row so, of this one document: nobody can tell whose mistake it is.
    ODD: settled(Cause.UNKNOWN, "priority"),
    STALE: (State.HOT, Cause.STALE, Kind.VALUE, {"version": (Kind.MISSING, NO_PATTERN)}),
}
OF_A_MEMBER = settled(Cause.MAPPING_BUG, "points")


@dataclass
class Restless:
    """The tail's barrier; and each time it has passed, the application writes what the tail never brings."""

    barrier: Barrier
    write: Callable[[int], None]
    times: int = 0

    async def passed(self, within_seconds: float) -> bool:
        passed = await self.barrier.passed(within_seconds)
        self.times += 1
        await asyncio.to_thread(self.write, self.times)
        return passed


@pytest.fixture
def shop(rig: Rig) -> Rig:
    plan = rig.plan.model_copy(update={"collections": (ORDERS, MEMBERS)})
    return replace(rig, plan=plan)


@pytest.fixture
def copier_with_bugs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Members get a point too many, and a priority of 13 becomes 12. Both ways, so that the copier sees nothing."""
    plant(monkeypatch, "integer", lambda cell: cell + 1)
    plant(monkeypatch, "smallint", lambda cell: 12 if cell == 13 else cell)
    forget_codecs()
    yield
    monkeypatch.undo()
    forget_codecs()


def plant(patch: pytest.MonkeyPatch, name: str, bug: Callable[[int], int]) -> None:
    right = cells._CODECS[name]

    def wrong(parsed: Any) -> cells.Codec:
        codec = right(parsed)

        def fast(value: Any) -> Any:
            cell = codec.fast(value)
            return None if cell is None or bug(cell) != cell else cell

        return replace(codec, fast=fast, cell=lambda value: bug(codec.cell(value)))

    patch.setitem(cells._CODECS, name, wrong)


def forget_codecs() -> None:
    cells.codec_of.cache_clear()
    mapper_for.cache_clear()


@asynccontextmanager
async def following(shop: Rig, bridge: Bridge, deaf: set[int]) -> AsyncIterator[None]:
    """A tail that brings everything but what happens to these orders."""
    async with shop.bridge() as applying:
        tail = LateTail(bridge, applying, lag_seconds=0, deaf={key_bytes(number) for number in deaf})
        task = asyncio.create_task(tail.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def copied(shop: Rig, bridge: Bridge) -> None:
    """Both collections are copied through the door, and the feed is followed from then on."""
    with shop.source() as source:
        source["orders"].insert_many(DOCUMENTS)
        source["members"].insert_many({"_id": n, "name": f"member {n}", "points": n} for n in ALL_MEMBERS)
    target = bridge.target
    await target.schema.install_ledger()
    await target.ledger.register(shop.plan)
    await target.schema.create_tables(shop.plan)
    await target.ledger.pin(shop.plan.domain, await bridge.source.feed.pin(["orders"]))
    keys = {
        "orders": [key_bytes(document["_id"]) for document in DOCUMENTS],
        "members": [key_bytes(number) for number in ALL_MEMBERS],
    }
    applied = await sync_keys(bridge, keys, "backfill")
    assert applied.quarantined == 0


def live_on(shop: Rig) -> None:
    """The application goes on writing; the tail is deaf to some of it."""
    with shop.source() as source:
        orders = source["orders"]
        orders.update_one({"_id": STALE}, {"$set": {"version": 0}})
        orders.update_one({"_id": UPDATED}, {"$set": {"city": "Mainz"}})
        orders.insert_one(order(CREATED))
        orders.delete_one({"_id": DELETED})
        # These it hears of.
        orders.update_one({"_id": UNTOUCHED[0]}, {"$set": {"city": "Mainz"}})
        orders.delete_one({"_id": UNTOUCHED[1]})
        orders.insert_one(order(DELETED_AND_MADE_AGAIN))


def as_found(one: Mismatch) -> Finding:
    fields = {field.path: (field.kind, field.cause) for field in one.fields}
    return one.state, one.cause, one.kind, fields


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("copier_with_bugs")
async def test_one_run_finds_what_was_done_to_the_stores_by_field_and_cause_and_nothing_else(shop: Rig) -> None:
    def write(version: int) -> None:
        with shop.source() as source:
            source["orders"].update_one({"_id": STALE}, {"$set": {"version": version}})

    expected = {("orders", key_bytes(number)): finding for number, finding in EXPECTED.items()}
    expected |= {("members", key_bytes(number)): OF_A_MEMBER for number in ALL_MEMBERS}
    async with shop.bridge() as bridge, open_runs(shop.postgres_dsn) as store:
        await copied(shop, bridge)
        async with following(shop, bridge, DEAF):
            live_on(shop)
            assert await DrainBarrier(bridge).passed(60)
            with as_applier(shop.postgres_dsn, shop.plan.domain) as connection:
                connection.execute(BY_HAND.encode())
            for name, policy in {"run": Policy(batch_size=20), "exact": Policy(batch_size=20, exact=True)}.items():
                parity = parity_of(bridge, store, policy=policy, barrier=Restless(DrainBarrier(bridge), write))
                record = await parity.run(name, levels=("census", "full"))
                found = await store.mismatches(shop.plan.domain, name)
                assert {(one.entity, one.key): as_found(one) for one in found} == expected, name
                assert record.finished_at is not None
                assert record.verdict is Verdict.FAIL
    causes = {finding[1] for finding in expected.values()}
    assert causes == set(Cause), "every cause there is was seeded"


async def test_in_stores_without_guards_only_the_values_speak(shop: Rig) -> None:
    """Nobody knows what was applied: what the values do not explain is unknown, not somebody's rogue write."""
    seeded = (CHANGED, CUT, ROUNDED, GARBLED, SHIFTED, FILLED, DATED, LINE, MADE_BY_HAND, REMOVED)
    async with shop.bridge() as bridge, open_runs(shop.postgres_dsn) as store:
        await copied(shop, bridge)
        with as_applier(shop.postgres_dsn, shop.plan.domain) as connection:
            connection.execute(BY_HAND.encode())
            connection.execute("delete from midflight.guards")
        parity = parity_of(bridge, store, barrier=NoTail(0.0))
        await parity.run("run", levels=("full",))
        found = {one.key: one.cause for one in await store.mismatches(shop.plan.domain, "run")}
    assert {number: found[key_bytes(number)] for number in seeded} == {
        CHANGED: Cause.UNKNOWN,
        CUT: Cause.TRUNCATION,
        ROUNDED: Cause.PRECISION,
        GARBLED: Cause.ENCODING,
        SHIFTED: Cause.TIME_ZONE_SHIFT,
        FILLED: Cause.DEFAULT_FILLED,
        DATED: Cause.DEFAULT_FILLED,
        LINE: Cause.UNKNOWN,
        MADE_BY_HAND: Cause.UNKNOWN,
        REMOVED: Cause.LOST_UPDATE,
    }
    assert Cause.ROGUE_WRITE not in found.values()
