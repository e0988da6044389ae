"""Runs over both sides beside each other, span by span: each key is met once, wherever it stands and whatever it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Int64, MaxKey, MinKey, ObjectId, Timestamp

from midflight.core.keys import key_bytes
from midflight.core.mapping import mapper_for
from midflight.core.plan import Ignored, KeyMap, ParityRules
from midflight.parity import image_walk
from midflight.parity.harness import Parity
from midflight.parity.policy import Policy
from midflight.parity.ports import RunStore
from midflight.parity.records import Cause, EntityCounts, Kind, Mismatch, RunRecord, State, Verdict
from midflight.parity.source_side import SourceSide
from midflight.parity.stray import key_of_row
from midflight.records import KeyRange
from midflight.sync import Bridge, sync_keys
from tests.fixtures.applier import as_applier
from tests.fixtures.fix_rig import prepare
from tests.fixtures.rig import ORDERS, Rig, make_plan, order
from tests.integration.parity.parity_kit import opened
from tests.unit.parity.memory import Killed, Killer

BY_OBJECT_ID = ORDERS.model_copy(update={"key": KeyMap(column="id", type="objectid")})
RULES = ParityRules(ignore=(Ignored(collection="orders", field="placed", reason="ours"),))
KEYS = 150
BATCH = 20
POLICY = Policy(batch_size=BATCH, parallel=2, suspects_at_once=25)
CAPITALS = "ABCDEF" * 4
BELOW: tuple[Any, ...] = (MinKey(), 7, Int64(2**40), 2.5, "", "a", "zzz", {"x": 1}, b"x")
ABOVE: tuple[Any, ...] = (True, datetime(2024, 1, 31, tzinfo=UTC), Timestamp(1, 2), MaxKey())


def oid(number: int, beside: int = 0) -> ObjectId:
    """Numbers stand far apart, so that there is room for others beside each."""
    return ObjectId(((0xA0 << 88) + number * 1_000 + beside).to_bytes(12, "big"))


def key_of(number: int, beside: int = 0) -> bytes:
    return key_bytes(oid(number, beside))


def stray(text: str) -> bytes:
    """The key of a row whose key column holds what no document leads to."""
    return key_of_row(mapper_for(BY_OBJECT_ID), (text, None))


@dataclass
class Shop:
    """A source and its copy, by ObjectId; and whoever damages the copy."""

    rig: Rig
    bridge: Bridge
    parity: Parity
    store: RunStore

    async def write(self, *documents: dict[str, Any], applied: bool = True) -> None:
        """Documents of the source, new or replaced, and applied to the target."""
        with self.rig.source() as source:
            for document in documents:
                source["orders"].replace_one({"_id": document["_id"]}, document, upsert=True)
        if applied:
            await self.apply(*(document["_id"] for document in documents))

    async def delete(self, number: int, *, applied: bool = True) -> None:
        with self.rig.source() as source:
            source["orders"].delete_one({"_id": oid(number)})
        if applied:
            await self.apply(oid(number))

    async def apply(self, *keys: Any) -> None:
        await sync_keys(self.bridge, {"orders": [key_bytes(key) for key in keys]}, "tail")

    def tamper(self, *statements: str) -> None:
        """Write to the target past the fence."""
        with as_applier(self.rig.postgres_dsn, self.rig.plan.domain) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def insert(self, *keys: object) -> None:
        """Rows that no document has, by the text in their key column."""
        self.tamper(*(f"insert into shop.orders (id, customer) values ('{key}', 'rogue')" for key in keys))

    def lose(self, number: int) -> None:
        """The rows of a document are gone."""
        self.tamper(
            f"delete from shop.order_lines where order_id = '{oid(number)}'",
            f"delete from shop.orders where id = '{oid(number)}'",
        )

    def cut(self, *borders: Any) -> None:
        """The ranges of runs that begin from now on."""
        source = CutSource(self.bridge.source, self.rig.plan)
        source.borders = borders
        self.parity = replace(self.parity, source=source)

    async def run(self, run: str, mode: Any = "gate") -> RunRecord:
        return await self.parity.run(run, mode=mode, levels=("full",))

    async def settled(self, run: str) -> dict[bytes, Mismatch]:
        found = await self.store.mismatches(self.parity.domain, run, at_most=10_000)
        assert {one.state for one in found} <= {State.SETTLED}
        return {one.key: one for one in found}

    async def kinds(self, run: str) -> dict[bytes, Kind]:
        return {key: one.kind for key, one in (await self.settled(run)).items()}


def document(number: int, **changes: Any) -> dict[str, Any]:
    return order(number) | {"_id": oid(number)} | changes


class CutSource(SourceSide):
    """Its ranges are always the same."""

    borders: Sequence[Any] = ()

    async def ranges(self, entity: str, parts: int) -> list[KeyRange]:
        keys = [key_bytes(border) for border in self.borders]
        return [KeyRange(lower, upper) for lower, upper in zip([None, *keys], [*keys, None], strict=True)]


class Followed:
    """The target has everything that it will ever have."""

    async def passed(self, within_seconds: float) -> bool:
        return True


@pytest.fixture
async def shop(rig: Rig) -> AsyncIterator[Shop]:
    """Copied through the door: nothing differs."""
    rig.plan = make_plan(rig.database, collections=(BY_OBJECT_ID,), parity=RULES)
    await prepare(rig)
    with rig.source() as source:
        source["orders"].insert_many([document(number) for number in range(KEYS)])
    async with rig.bridge() as bridge, opened(rig, POLICY) as (parity, store):
        shop = Shop(rig, bridge, replace(parity, barrier=Followed()), store)
        await shop.apply(*map(oid, range(KEYS)))
        yield shop


in_parts = pytest.mark.parametrize("few", [image_walk.FEW, 4])


def counts_of(record: RunRecord) -> EntityCounts:
    (counts,) = record.entities
    return counts


# --- gate runs ----------------------------------------------------------------------------------------------------

STRAYS = ("", "zzz", CAPITALS, str(oid(3)).upper(), f" {oid(4)}", "0", "~", "\U0010ffff", "\U0010ffffx")
MANY = image_walk.PAGE * BATCH + 7
"""Rows in one span that need more than a page."""


DEEP = {65: 700, 66: 3_000}
"""By document: so many arrays inside each other, which no document can hold."""
NONSENSE = '{"$exact": {"_id": {"$nonsense": 1}}}'


def deep(levels: int) -> str:
    return f'{{"x": {"[" * levels}{"]" * levels}}}'


async def damaged(shop: Shop) -> dict[bytes, Kind]:
    """One of everything, many of some; what is to be found of it."""
    shop.cut("m", oid(60), oid(110, 500), datetime(2024, 1, 1, tzinfo=UTC))
    others = [document(number) | {"_id": key} for number, key in enumerate((*BELOW, *ABOVE))]
    await shop.write(*others)
    # Beside many others in one span: a document that differs, one that is equal by a rule, one that is missing.
    await shop.write(document(24, placed=datetime(2024, 1, 31, tzinfo=UTC)))
    shop.tamper(
        f"update shop.orders set placed = null where id = '{oid(24)}'",
        f"update shop.orders set version = 9 where id = '{oid(25)}'",
        f"update shop.orders set customer = 'x' where id = '{oid(39)}'",
        f"update shop.orders set extra = '{NONSENSE}', total = 'NaN' where id = '{oid(67)}'",
        *(f"update shop.orders set extra = '{deep(levels)}' where id = '{oid(at)}'" for at, levels in DEEP.items()),
        f"insert into shop.order_lines values ('{oid(50)}', 2, 'more', 1)",
        f"delete from shop.order_lines where order_id = '{oid(53)}'",
        *(
            f"update shop.order_lines set position = {after} where order_id = '{oid(59)}' and position = {before}"
            for before, after in ((0, 9), (2, 0), (9, 2))
        ),
    )
    beside = [(30, number) for number in range(1, MANY)] + [(KEYS, number) for number in range(MANY)]
    beside += [(-1, 0), (0, 1), (59, 1), (60, 1), (110, 1), (110, 500), (BATCH - 1, 1), (KEYS - 1, 1)]
    shop.insert(*(oid(number, more) for number, more in beside), *STRAYS)
    gone = [26, 80, KEYS - 1]
    for number in gone:
        shop.lose(number)
    return {
        **{key_of(number, more): Kind.EXTRA for number, more in beside},
        **{stray(text): Kind.EXTRA for text in STRAYS},
        **{key_of(number): Kind.MISSING for number in gone},
        **dict.fromkeys([key_of(25), key_of(39), key_of(50), key_of(53), key_of(67)], Kind.VALUE),
        key_of(59): Kind.ORDER,
        **{key_of(number): Kind.UNREADABLE for number in DEEP},
    }


def without_token(record: RunRecord) -> Any:
    return [(one.level, one.verdict, {k: v for k, v in one.details.items() if k != "token"}) for one in record.levels]


async def test_whatever_was_done_is_found_exactly_and_a_watch_run_finds_it_again(shop: Shop) -> None:
    expected = await damaged(shop)
    record = await shop.run("gate")
    assert await shop.kinds("gate") == expected
    others, extra = len(BELOW) + len(ABOVE), sum(kind is Kind.EXTRA for kind in expected.values())
    counts = counts_of(record)
    assert (counts.source, counts.quarantined, counts.by_rule) == (KEYS + others, others, {"ignore placed": 1})
    assert (counts.target, counts.compared) == (KEYS - 3 + extra, KEYS)
    assert counts.equal == KEYS - (len(expected) - extra)
    watched = counts_of(await shop.run("watch", "watch"))
    assert await shop.kinds("watch") == expected
    assert (watched.source, watched.target, watched.quarantined) == (counts.source, counts.target, counts.quarantined)
    assert 0 < watched.skipped < KEYS - len(expected) + extra


async def test_a_run_killed_after_a_commit_and_begun_again_comes_to_the_same(shop: Shop) -> None:
    """Red when a page of other keys was committed with documents of the source in it: a rule was counted twice."""
    await damaged(shop)
    shop.parity = replace(shop.parity, policy=replace(POLICY, parallel=1, suspects_at_once=1_000))
    whole = await shop.run("whole")
    expected = without_token(whole), whole.entities, await comparable(shop, "whole")
    counting: Any = Killer(shop.store, 10_000, committed=False)
    await replace(shop.parity, store=counting).run("counted", levels=("full",))
    assert counting.commits > 20
    for number in range(1, counting.commits + 1, 2):
        run = f"killed-{number}"
        killer: Any = Killer(shop.store, number, committed=True)
        with pytest.raises(Killed):
            await replace(shop.parity, store=killer).run(run, levels=("full",))
        again = await shop.run(run)
        assert (without_token(again), again.entities, await comparable(shop, run)) == expected, number


async def comparable(shop: Shop, run: str) -> list[Any]:
    return [(key, one.kind, one.fields, one.cause) for key, one in sorted((await shop.settled(run)).items())]


async def test_ranges_whose_borders_are_keys_of_other_types_lose_no_row(shop: Shop) -> None:
    shop.cut("text 100", "text 50", datetime(1970, 1, 1, 0, 1, tzinfo=UTC), datetime(1970, 1, 1, 0, 2, tzinfo=UTC))
    others = [document(number) | {"_id": f"text {number}"} for number in range(KEYS)]
    others += [document(number) | {"_id": datetime.fromtimestamp(number, UTC)} for number in range(KEYS)]
    await shop.write(*others)
    shop.insert(*STRAYS, oid(-1), oid(KEYS, 1))
    record = await shop.run("gate")
    expected = [*map(stray, STRAYS), key_of(-1), key_of(KEYS, 1)]
    assert await shop.kinds("gate") == dict.fromkeys(expected, Kind.EXTRA)
    counts = counts_of(record)
    assert (counts.source, counts.quarantined, counts.equal) == (3 * KEYS, 2 * KEYS, KEYS)


async def test_where_the_source_is_empty_every_row_is_met(shop: Shop) -> None:
    with shop.rig.source() as source:
        source["orders"].delete_many({})
    shop.insert(*STRAYS)
    await shop.run("gate")
    expected = [*map(key_of, range(KEYS)), *map(stray, STRAYS)]
    assert await shop.kinds("gate") == dict.fromkeys(expected, Kind.EXTRA)


# --- watch runs -------------------------------------------------------------------------------------------------------


async def test_what_has_not_changed_is_not_compared_again(shop: Shop) -> None:
    assert (await shop.run("gate")).verdict is Verdict.PASS
    record = await shop.run("watch", "watch")
    counts = counts_of(record)
    assert (record.verdict, counts.source, counts.target) == (Verdict.PASS, KEYS, KEYS)
    assert (counts.skipped, counts.compared) == (KEYS, 0)


async def test_a_row_that_was_given_another_key_is_met_by_a_watch_run(shop: Shop) -> None:
    """Red when rows were only counted: there are as many as before, and every guard says what it said."""
    assert (await shop.run("gate")).verdict is Verdict.PASS
    shop.tamper(
        f"delete from shop.order_lines where order_id = '{oid(45)}'",
        f"update shop.orders set id = '{oid(45, 1)}' where id = '{oid(45)}'",
    )
    two = f"{oid(85)} {oid(86)}"
    shop.lose(85)
    shop.lose(86)
    shop.insert(two)
    counts = counts_of(await shop.run("watch", "watch"))
    gone = dict.fromkeys(map(key_of, (45, 85, 86)), Kind.MISSING)
    assert await shop.kinds("watch") == gone | {key_of(45, 1): Kind.EXTRA, stray(two): Kind.EXTRA}
    assert counts.skipped == KEYS - 2 * BATCH


@in_parts
async def test_only_spans_in_which_something_happened_are_compared(
    shop: Shop, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a block of its own."""
    assert (await shop.run("gate")).verdict is Verdict.PASS
    monkeypatch.setattr(image_walk, "FEW", few)
    await shop.write(document(5, version=1))
    await shop.write(document(25, version=1), applied=False)
    await shop.write(document(45, customer=5))
    await shop.delete(65)
    shop.insert(oid(65))
    shop.lose(85)
    await shop.delete(105, applied=False)
    record = await shop.run("watch", "watch")
    found = await shop.settled("watch")
    assert {key: (one.kind, one.cause) for key, one in found.items()} == {
        key_of(25): (Kind.VALUE, Cause.LOST_UPDATE),
        key_of(65): (Kind.EXTRA, Cause.ROGUE_WRITE),
        key_of(85): (Kind.MISSING, Cause.ROGUE_WRITE),
        key_of(105): (Kind.EXTRA, Cause.LOST_DELETE),
    }
    counts = counts_of(record)
    assert (counts.source, counts.quarantined) == (KEYS - 2, 1)
    # Of a block of 20, with 4 as few, parts of 3 are looked at.
    assert counts.skipped == (KEYS - 2 - 6 * BATCH if few > BATCH else KEYS - 2 - 6 * 3)


async def test_a_document_that_was_applied_again_is_compared_again(shop: Shop) -> None:
    """Rows that somebody wrote come under the guard's word only until the next apply."""
    assert (await shop.run("gate")).verdict is Verdict.PASS
    shop.tamper(f"update shop.orders set customer = 'x' where id in ('{oid(5)}', '{oid(45)}')")
    await shop.apply(oid(6))
    counts = counts_of(await shop.run("watch", "watch"))
    assert await shop.kinds("watch") == {key_of(5): Kind.VALUE}
    assert counts.skipped == KEYS - BATCH


async def test_rows_after_the_last_key_are_met_by_a_watch_run(shop: Shop) -> None:
    assert (await shop.run("gate")).verdict is Verdict.PASS
    shop.insert(oid(KEYS), "zzz", "")
    counts = counts_of(await shop.run("watch", "watch"))
    assert await shop.kinds("watch") == dict.fromkeys([key_of(KEYS), stray("zzz"), stray("")], Kind.EXTRA)
    assert counts.skipped == KEYS - BATCH, "the first block has a row before it"


async def test_what_the_base_run_saw_differing_is_looked_at_again(shop: Shop) -> None:
    """Its guard says nothing new: the row was changed by somebody else before the base run."""
    shop.tamper(f"update shop.orders set customer = 'x' where id = '{oid(5)}'")
    await shop.run("gate")
    for run in ("watch", "again"):
        counts = counts_of(await shop.run(run, "watch"))
        assert await shop.kinds(run) == {key_of(5): Kind.VALUE}
        assert counts.skipped == KEYS - BATCH


async def test_after_the_applications_own_writes_nothing_is_skipped(shop: Shop) -> None:
    assert (await shop.run("gate")).verdict is Verdict.PASS
    await shop.bridge.target.ledger.flip("orders", 1)
    shop.rig.query(f"update shop.orders set customer = 'new' where id = '{oid(5)}' returning 1")
    shop.rig.query(f"delete from shop.orders where id = '{oid(45)}' returning 1")
    record = await shop.run("watch", "watch")
    found = await shop.store.mismatches(shop.parity.domain, "watch")
    assert {one.key: one.kind for one in found} == {key_of(5): Kind.VALUE, key_of(45): Kind.MISSING}
    assert counts_of(record).skipped == 0
