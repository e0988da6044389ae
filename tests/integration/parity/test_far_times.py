"""One row among others holds a time that PostgreSQL has and Python does not: it is named, and holds up nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Int64, ObjectId
from bson.codec_options import CodecOptions
from psycopg import sql

from midflight.core.keys import key_bytes
from midflight.core.plan import Child, CollectionMap, ColumnSpec, FieldMap, Invariant, KeyMap, TransformMap
from midflight.core.tables import tables
from midflight.parity.harness import Parity
from midflight.parity.kept import differences_to_json
from midflight.parity.policy import Policy
from midflight.parity.ports import RunStore
from midflight.parity.records import Kind, Mismatch, RunRecord, Verdict
from midflight.reverse import CarriedBack, write_back
from midflight.sync import Bridge, sync_keys
from tests.fixtures.applier import as_applier
from tests.fixtures.fix_rig import prepare
from tests.fixtures.rig import ORDERS, Rig, make_plan, order
from tests.integration.parity.parity_kit import opened

WHEN = datetime(2024, 2, 29, 12, 30, 0, 123_000, tzinfo=UTC)
DAY = datetime(2024, 2, 29, tzinfo=UTC)
KEYS = 60
BATCH = 20
REASON = "the time lies outside the years 1 to 9999"
(LINES,) = ORDERS.children
TIMED = ORDERS.model_copy(
    update={
        "fields": (*ORDERS.fields, FieldMap(field="day", column="day", type="date")),
        "children": (
            Child(**dict(LINES) | {"fields": (*LINES.fields, FieldMap(field="at", column="at", type="timestamptz"))}),
        ),
    }
)
PAID = TransformMap(
    fields=("paid",),
    columns=(ColumnSpec(column="paid", type="timestamptz"),),
    forward="epoch_millis",
    back="to_epoch_millis",
)
PLANS = {
    "objectid": TIMED.model_copy(update={"key": KeyMap(column="id", type="objectid")}),
    "any": TIMED,
    "with functions": TIMED.model_copy(update={"transforms": (PAID,)}),
}
BAD: dict[int, tuple[str, str, str]] = {
    3: ("orders", "placed", "infinity"),
    7: ("orders", "placed", "-infinity"),
    11: ("orders", "placed", "0044-03-15 12:00+00 BC"),
    # One alone in its page.
    30: ("orders", "placed", "10000-01-01 00:00+00"),
    41: ("orders", "day", "infinity"),
    42: ("orders", "day", "-infinity"),
    43: ("orders", "day", "0044-03-15 BC"),
    44: ("orders", "day", "10000-01-01"),
    45: ("order_lines", "at", "infinity"),
    # This document has no such field.
    46: ("orders", "placed", "infinity"),
}
"""By number of the document: in which column which time is."""
_AT = f"'{WHEN.isoformat()}'"
RIGHT = {"placed": _AT, "day": f"'{DAY.date()}'", "at": _AT, "paid": _AT}


def document(plan: CollectionMap, number: int) -> dict[str, Any]:
    body: dict[str, Any] = order(number) | {"day": DAY} | ({} if number == 46 else {"placed": WHEN})
    body["lines"] = [{"sku": "a", "quantity": 1, "at": WHEN}, {"sku": "b", "quantity": 2, "at": WHEN}]
    if plan.transforms:
        body["paid"] = Int64(WHEN.timestamp() * 1000)
    return body | {"_id": ObjectId(number.to_bytes(12, "big")) if plan.key.type == "objectid" else number}


class Followed:
    """The target has everything that it will ever have."""

    async def passed(self, within_seconds: float) -> bool:
        return True


@dataclass
class Shop:
    """A source and its copy, and somebody who writes times into the copy that no document has."""

    rig: Rig
    bridge: Bridge
    parity: Parity
    store: RunStore

    @property
    def collection(self) -> CollectionMap:
        return self.rig.plan.collections[0]

    def id_of(self, number: int) -> Any:
        return document(self.collection, number)["_id"]

    def key_of(self, number: int) -> bytes:
        return key_bytes(self.id_of(number))

    def row_key(self, number: int) -> str:
        return str(self.id_of(number))

    def updates(self, bad: dict[int, tuple[str, str, str]]) -> list[str]:
        """Statements that write these times."""
        return [self._update(number, table, column, f"'{time}'") for number, (table, column, time) in bad.items()]

    def corrections(self, bad: dict[int, tuple[str, str, str]]) -> list[str]:
        """Statements that write the right times again."""
        right = {number: "null" if number == 46 else RIGHT[column] for number, (_, column, _) in bad.items()}
        return [self._update(number, table, column, right[number]) for number, (table, column, _) in bad.items()]

    def _update(self, number: int, table: str, column: str, value: str) -> str:
        where = "order_id = '{}' and position = 1" if table == "order_lines" else "id = '{}'"
        return f"update shop.{table} set {column} = {value} where {where.format(self.row_key(number))}"

    def tamper(self, statements: list[str]) -> None:
        """Write to the target past the fence."""
        with as_applier(self.rig.postgres_dsn, self.rig.plan.domain) as connection:
            for statement in statements:
                assert connection.execute(statement.encode()).rowcount == 1

    def write(self, statements: list[str]) -> None:
        """Write to the target as the application does."""
        for statement in statements:
            self.rig.query(f"{statement} returning 1")

    def in_source(self) -> dict[Any, dict[str, Any]]:
        """All documents, by key."""
        with self.rig.source() as source:
            orders: Any = source["orders"].with_options(CodecOptions(tz_aware=True))
            return {body["_id"]: body for body in orders.find()}

    def expected(self, renamed: list[int]) -> dict[Any, dict[str, Any]]:
        """All documents as they were, with new names of these customers."""
        bodies = (
            document(self.collection, number) | ({"customer": "new"} if number in renamed else {})
            for number in range(KEYS)
        )
        return {body["_id"]: body for body in bodies}

    async def run(self, run: str, *, exact: bool = False) -> tuple[RunRecord, dict[bytes, Mismatch]]:
        """A gate's run; what it found, by key."""
        policy = Policy(batch_size=BATCH, parallel=2, exact=exact)
        record = await replace(self.parity, policy=policy).run(run, levels=("census", "sample", "full"))
        found = await self.store.mismatches(self.parity.domain, run, at_most=10_000)
        return record, {one.key: one for one in found}


@pytest.fixture(params=PLANS)
async def shop(rig: Rig, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    """Copied through the door: nothing differs."""
    plan = PLANS[request.param]
    rig.plan = make_plan(rig.database, collections=(plan,))
    await prepare(rig)
    with rig.source() as source:
        source["orders"].insert_many([document(plan, number) for number in range(KEYS)])
    async with rig.bridge() as bridge, opened(rig, Policy()) as (parity, store):
        shop = Shop(rig, bridge, replace(parity, barrier=Followed()), store)
        await sync_keys(bridge, {"orders": [shop.key_of(number) for number in range(KEYS)]}, "backfill")
        yield shop


def path_of(number: int) -> str:
    table, column, _ = BAD[number]
    return "lines.1.at" if table == "order_lines" else column


def kind_of(number: int) -> Kind:
    return Kind.EXTRA if number == 46 else Kind.UNREADABLE


async def test_a_run_names_exactly_the_rows_with_such_times_and_the_fields(shop: Shop) -> None:
    """Red when a page was fetched only once, and when such a text was a text."""
    shop.tamper(shop.updates(BAD))
    for exact in (False, True):
        record, found = await shop.run(f"exact {exact}", exact=exact)
        said = {key: [(field.path, field.kind) for field in one.fields] for key, one in found.items()}
        assert said == {shop.key_of(number): [(path_of(number), kind_of(number))] for number in BAD}
        assert record.entities[0].compared == KEYS
        assert {one.level: one.verdict for one in record.levels}["full"] is Verdict.FAIL
    shop.tamper(shop.corrections(BAD))
    assert (await shop.run("corrected", exact=True))[1] == {}


async def test_a_key_with_such_a_time_can_be_explained(shop: Shop) -> None:
    shop.tamper(shop.updates(BAD))
    for number in BAD:
        found = await shop.parity.explain("orders", shop.key_of(number))
        (difference,) = found.differences
        assert difference.path == path_of(number)
        assert difference.target == ("unreadable", REASON)
        assert REASON in differences_to_json(found.differences)
    shop.tamper(shop.corrections(BAD))
    assert (await shop.parity.explain("orders", shop.key_of(3))).mismatch is None


def refusals(rig: Rig) -> dict[str, str]:
    """By row key: why a key is not carried back."""
    return dict(rig.query("select row_key, refused from midflight.dirty where refused is not null"))


async def test_the_way_back_refuses_keys_with_such_times_and_carries_the_others(shop: Shop) -> None:
    bridge, domain = shop.bridge, shop.rig.plan.domain
    await bridge.target.fence.install(shop.rig.plan)
    await bridge.target.ledger.flip(domain, 1)
    others = [0, 29, 31, 59]
    written = [f"update shop.orders set customer = 'new' where id = '{shop.row_key(number)}'" for number in others]
    shop.write(written[:2] + shop.updates(BAD) + written[2:])

    assert await write_back(bridge, "orders", 100) == CarriedBack(written=len(others), refused=len(BAD))
    assert refusals(shop.rig) == {shop.row_key(number): REASON for number in BAD}
    assert await bridge.target.reverse.pending(domain) == (len(BAD), len(BAD))
    assert shop.in_source() == shop.expected(others)

    shop.write(shop.corrections(BAD))
    assert await write_back(bridge, "orders", 100) == CarriedBack(written=len(BAD))
    assert await bridge.target.reverse.pending(domain) == (0, 0)
    assert shop.in_source() == shop.expected(others)
    assert (await shop.run("after"))[1] == {}


@pytest.mark.parametrize("shop", ["with functions"], indirect=True)
async def test_a_transform_is_not_asked_what_such_a_time_means(shop: Shop) -> None:
    """Red when the way back of a function that fails left the field out of the document."""
    await shop.bridge.target.fence.install(shop.rig.plan)
    await shop.bridge.target.ledger.flip(shop.rig.plan.domain, 1)
    bad = {5: ("orders", "paid", "infinity")}
    shop.write(shop.updates(bad))
    assert await write_back(shop.bridge, "orders", 100) == CarriedBack(refused=1)
    _, found = await shop.run("one")
    assert [(key, one.fields[0].path) for key, one in found.items()] == [(shop.key_of(5), "paid")]
    shop.write(shop.corrections(bad))
    assert await write_back(shop.bridge, "orders", 100) == CarriedBack(written=1)
    assert (await shop.run("two"))[1] == {}


@pytest.mark.parametrize("shop", ["any"], indirect=True)
async def test_times_beside_such_a_time_stay_times_whatever_the_style_of_dates_is(shop: Shop) -> None:
    """Red without a style of our own."""
    shop.tamper(shop.updates(BAD))
    with as_applier(shop.rig.postgres_dsn, shop.rig.plan.domain) as connection:
        style = sql.SQL("alter database {} set datestyle = 'German'")
        connection.execute(style.format(sql.Identifier(connection.info.dbname)))
    async with shop.rig.bridge() as bridge:
        rows = await bridge.target.rows.rows_of("shop", shop.collection, [shop.row_key(number) for number in BAD])
        names = [column.name for column in tables(shop.collection)[0].columns]
        found = {number: dict(zip(names, rows[shop.row_key(number)][0][0], strict=True)) for number in BAD}
        assert [found[number]["placed"] for number in (3, 7)] == ["infinity", "-infinity"]
        assert [found[number]["placed"] for number in (41, 45)] == [WHEN, WHEN]
        assert [found[number]["day"] for number in (3, 41, 43)] == [DAY.date(), "infinity", "0044-03-15 BC"]
        assert [line[-1] for line in rows[shop.row_key(45)][1]] == [WHEN, "infinity"]
        assert await bridge.target.rows.last_change(shop.rig.plan.domain, "orders", shop.key_of(45)) is not None


@pytest.mark.parametrize("shop", ["any"], indirect=True)
async def test_an_invariant_over_such_a_time_is_broken_there_and_nowhere_else(shop: Shop) -> None:
    """Red when the driver read the times."""
    pairs = [("placed", ({"$match": {"placed": {"$exists": True}}},)), ("day", ())]
    invariants = [
        Invariant(
            name=column,
            collection="orders",
            source=(*match, {"$project": {"value": f"${column}"}}),
            target=f"select id, {column} from orders where {column} is not null",
        )
        for column, match in pairs
    ]
    parity = replace(shop.parity, invariants=invariants)
    assert (await parity.run("before", levels=("invariants",))).levels[0].verdict is Verdict.PASS
    shop.tamper(shop.updates(BAD))
    (level,) = (await parity.run("after", levels=("invariants",))).levels
    assert level.verdict is Verdict.FAIL
    for column, _ in pairs:
        expected = {shop.row_key(number) for number, (_, bad, _) in BAD.items() if bad == column}
        assert set(level.details[column]["labels"]) == expected
