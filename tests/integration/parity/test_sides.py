"""Both stores as sides of parity: what entries say, how keys are walked, when the barrier has passed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId

from midflight.core.documents import digest
from midflight.core.keys import key_bytes
from midflight.core.plan import Invariant, Plan
from midflight.errors import PlanError, TargetError
from midflight.parity.barrier import DrainBarrier
from midflight.parity.compare import compare
from midflight.parity.records import DELETED, QUARANTINED, Entry
from midflight.parity.rules import Rules
from midflight.parity.source_side import SourceSide
from midflight.parity.target_side import TargetSide
from midflight.records import DirtyKey, KeyRange
from midflight.sync import Bridge, sync_keys
from tests.fixtures.applier import as_applier
from tests.fixtures.rig import Rig, order

MIXED: tuple[Any, ...] = (7, 1.5, "a", "é", "B", "", Decimal128("2.50"), Int64(2**40), ObjectId(b"a" * 12), True)


@dataclass
class Both:
    """Both stores of the rig, open, seen as sides."""

    rig: Rig
    bridge: Bridge
    source: SourceSide
    target: TargetSide

    def write(self, *documents: dict[str, Any]) -> list[bytes]:
        """Documents of the source, new or replaced; their keys."""
        with self.rig.source() as source:
            for document in documents:
                source["orders"].replace_one({"_id": document["_id"]}, document, upsert=True)
        return [key_bytes(document["_id"]) for document in documents]

    async def copy(self, *documents: dict[str, Any]) -> list[bytes]:
        """The same, brought to the target through the door."""
        keys = self.write(*documents)
        await sync_keys(self.bridge, {"orders": keys}, "tail")
        return keys

    def tamper(self, statement: str) -> None:
        """Write to the target past the fence."""
        with as_applier(self.rig.postgres_dsn, self.rig.plan.domain) as connection:
            connection.execute(statement.encode())

    async def entry(self, key: bytes, *, deep: bool = False) -> Entry:
        return (await self.target.fetch("orders", [key], deep=deep))[key]

    async def differing(self, keys: Sequence[bytes]) -> dict[bytes, list[str]]:
        """By key that differs: the paths."""
        source, target = await self.source.fetch("orders", keys), await self.target.fetch("orders", keys)
        rules = Rules.of(self.rig.plan, "orders")
        found = {key: compare(source[key], target[key], rules).differences for key in keys}
        return {key: [one.path for one in fields] for key, fields in found.items() if fields}


@pytest.fixture
async def both(prepared: Rig) -> AsyncIterator[Both]:
    async with prepared.bridge() as bridge:
        yield Both(prepared, bridge, SourceSide(bridge.source, prepared.plan), TargetSide(bridge.target, prepared.plan))


async def blocks(found: AsyncIterator[list[Any]]) -> list[list[Any]]:
    return [block async for block in found]


def flat(found: Sequence[Sequence[Any]]) -> list[Any]:
    return [one for block in found for one in block]


# --- entries ----------------------------------------------------------------------------------------------------------


async def test_what_went_through_the_door_is_equal_on_both_sides_and_of_one_version(both: Both) -> None:
    documents = [order(n) for n in range(20)]
    keys = await both.copy(*documents)
    assert await both.differing(keys) == {}
    source, target = await both.source.fetch("orders", keys), await both.target.fetch("orders", keys, deep=True)
    for key, document in zip(keys, documents, strict=True):
        assert source[key].version == target[key].version == digest(document)
        assert source[key].token is None
        assert target[key].token is not None
        assert (source[key].faithful, target[key].faithful) == (None, True)


async def test_a_row_that_somebody_else_changed_is_not_what_was_applied(both: Both) -> None:
    """Red when `deep` compared nothing but the version of the guard."""
    key, other = await both.copy(order(1), order(2))
    both.tamper("update shop.order_lines set sku = 'x' where order_id = '1'")
    assert (await both.entry(key)).faithful is None
    assert (await both.entry(key, deep=True)).faithful is False
    assert (await both.entry(other, deep=True)).faithful is True
    assert await both.differing([key, other]) == {key: ["lines.0.sku"]}


@pytest.mark.parametrize("rest", ["[1]", '{"$order": 5}', '{"note": {"$nonsense": 1}}', '{"$exact": {"total": {}}}'])
async def test_a_rest_column_that_is_none_of_ours_is_unfaithful_and_stops_nothing(both: Both, rest: str) -> None:
    key, other = await both.copy(order(1), order(2))
    both.tamper(f"update shop.orders set extra = '{rest}' where id = '1'")
    found = await both.target.fetch("orders", [key, other], deep=True)
    assert found[key].faithful is False
    assert found[other].faithful is True


async def test_rows_that_somebody_took_away_are_told_from_those_that_never_came(both: Both) -> None:
    (key,) = await both.copy(order(1))
    (never,) = both.write(order(2))
    both.tamper("delete from shop.orders where id = '1'")
    entry = await both.entry(key)
    assert (entry.unreadable, entry.faithful, entry.version) == (DELETED, False, digest(order(1)))
    assert await both.target.fetch("orders", [never]) == {}


async def test_a_deleted_key_is_known_by_its_token_alone(both: Both) -> None:
    (key,) = await both.copy(order(1))
    before = await both.entry(key)
    with both.rig.source() as source:
        source["orders"].delete_one({"_id": 1})
    await sync_keys(both.bridge, {"orders": [key]}, "tail")
    entry = await both.entry(key)
    assert (entry.unreadable, entry.version, entry.faithful, dict(entry.fields)) == (DELETED, None, None, {})
    assert entry.token is not None
    assert before.token is not None
    assert entry.token > before.token
    assert await both.source.fetch("orders", [key]) == {}


async def test_rows_of_a_key_that_was_deleted_are_not_what_was_applied(both: Both) -> None:
    (key,) = await both.copy(order(1))
    with both.rig.source() as source:
        source["orders"].delete_one({"_id": 1})
    await sync_keys(both.bridge, {"orders": [key]}, "tail")
    both.tamper("insert into shop.orders (id, customer) values ('1', 'again')")
    entry = await both.entry(key)
    assert (entry.faithful, entry.unreadable, entry.fields["customer"]) == (False, "", "again")


async def test_a_row_without_a_guard_has_neither_version_nor_token(both: Both) -> None:
    both.tamper("insert into shop.orders (id, customer) values ('5', 'rogue')")
    entry = await both.entry(key_bytes(5), deep=True)
    assert (entry.version, entry.token, entry.faithful) == (None, None, None)
    assert entry.fields["customer"] == "rogue"


async def test_a_quarantined_key_is_told_apart_as_long_as_its_entry_is_there(both: Both) -> None:
    """Red when the guard row's word was enough: a key whose entry was removed would never be missed."""
    key, other = await both.copy(order(1) | {"customer": 5}, order(2))
    found = await both.target.fetch("orders", [key, other])
    assert (found[key].unreadable, found[other].unreadable) == (QUARANTINED, "")
    assert (await both.target.fetch_versions("orders", [key]))[key].unreadable == QUARANTINED
    both.tamper("delete from midflight.quarantine")
    entry = await both.entry(key)
    assert (entry.unreadable, entry.faithful) == (DELETED, False)


async def test_rows_that_cannot_be_a_document_are_unreadable_and_stop_nothing(both: Both) -> None:
    both.tamper("insert into shop.orders (id, extra) values ('8', '{\"note\": {\"$nonsense\": 1}}')")
    (other,) = await both.copy(order(2))
    found = await both.target.fetch("orders", [key_bytes(8), other])
    assert found[other].unreadable == ""
    assert set(found) == {key_bytes(8), other}


async def test_rows_and_guard_are_of_one_moment_while_the_tail_applies(both: Both) -> None:
    """Red with a transaction in place of the snapshot: a guard is newer than its rows."""
    documents = [order(n) for n in range(60)]
    keys = await both.copy(*documents)

    async def churn() -> None:
        async with both.rig.bridge() as bridge:
            for version in range(1, 20):
                both.write(*(order(n, version) for n in range(0, 60, 3)))
                await sync_keys(bridge, {"orders": keys}, "tail")

    writing = asyncio.ensure_future(churn())
    looks = 0
    while not writing.done():
        found = await both.target.fetch("orders", keys, deep=True)
        assert [entry.faithful for entry in found.values()] == [True] * 60
        looks += 1
    await writing
    assert looks > 10


async def test_versions_without_fields_say_the_same_as_whole_entries(both: Both) -> None:
    keys = await both.copy(*(order(n) for n in range(9)))
    for side in (both.source, both.target):
        whole, versions = await side.fetch("orders", keys), await side.fetch_versions("orders", keys)
        read = flat(await blocks(side.read_versions("orders", KeyRange(), above=None, at_most=4)))
        for found in (versions, {entry.key: entry for entry in read}):
            assert {key: (entry.version, entry.token) for key, entry in found.items()} == {
                key: (entry.version, entry.token) for key, entry in whole.items()
            }
            assert all(not entry.fields for entry in found.values())


# --- after the flip -----------------------------------------------------------------------------------------------


async def test_a_write_of_the_application_at_the_target_counts_by_its_mark(both: Both) -> None:
    """Red without the marks: rows that the application wrote would be called a rogue write."""
    key, other = await both.copy(order(1), order(2))
    before = await both.entry(key)
    await both.bridge.target.ledger.flip("orders", 1)
    application(both, "update shop.orders set customer = 'new' where id = '1'")
    entry = await both.entry(key, deep=True)
    assert entry.faithful is None
    assert entry.version not in (None, before.version)
    assert entry.token is not None
    assert before.token is not None
    assert entry.token > before.token
    assert (await both.entry(other, deep=True)).faithful is True
    assert await both.target.last_token() >= entry.token
    application(both, "delete from shop.orders where id = '1'")
    gone = await both.entry(key, deep=True)
    assert (gone.unreadable, gone.faithful) == (DELETED, None)
    assert gone.token is not None
    assert gone.token > entry.token


def application(both: Both, statement: str) -> None:
    both.rig.query(f"{statement} returning 1")


# --- walks --------------------------------------------------------------------------------------------------------


async def test_both_sides_walk_every_key_of_every_type_page_by_page(both: Both) -> None:
    keys = await both.copy(*({"_id": key, "customer": "c"} for key in MIXED))
    for side in (both.source, both.target):
        pages = await blocks(side.keys("orders", above=None, at_most=3))
        walked = flat(pages)
        assert sorted(walked) == sorted(keys)
        assert max(map(len, pages)) <= 3
        for place, key in enumerate(walked):
            assert flat(await blocks(side.keys("orders", above=key, at_most=4))) == walked[place + 1 :]
        assert [e.key for e in flat(await blocks(side.read("orders", KeyRange(), above=None, at_most=4)))] == walked
        assert await side.count("orders") == len(MIXED)


async def test_the_ranges_of_a_side_cover_every_key_once(both: Both) -> None:
    keys = await both.copy(*(order(n) for n in range(450)))
    for side in (both.source, both.target):
        ranges = await side.ranges("orders", 4)
        assert 1 < len(ranges) <= 4
        assert (ranges[0].lower, ranges[-1].upper) == (None, None)
        found = [flat(await blocks(side.read("orders", one, above=None, at_most=100))) for one in ranges]
        assert sorted(entry.key for entry in flat(found)) == sorted(keys)
        assert min(map(len, found)) > 20
    assert await both.target.ranges("orders", 1) == [KeyRange()]


@pytest.mark.parametrize("text", ["garbage", "5.0", "", '{"$oid":"zz"}', ' "a"', '{"$nonsense": 1}', "[", "null"])
async def test_a_row_that_no_document_leads_to_has_a_key_under_which_it_is_found(both: Both, text: str) -> None:
    """Red when the walk gave the key that such text decodes to: the row of another key, or none, would be compared."""
    (key,) = await both.copy({"_id": 5, "customer": "c"})
    both.tamper(f"insert into shop.orders (id, customer) values ('{text}', 'rogue')")
    walked = flat(await blocks(both.target.keys("orders", above=None, at_most=10)))
    (stray,) = [one for one in walked if one != key]
    assert len(walked) == 2
    assert (await both.entry(stray)).fields["customer"] == "rogue"
    assert await both.source.present("orders", [stray, key]) == {key}
    assert set(await both.source.fetch("orders", [stray, key])) == {key}
    assert await both.source.fetch_versions("orders", [stray]) == {}
    after = [flat(await blocks(both.target.keys("orders", above=one, at_most=1))) for one in walked]
    assert after == [walked[1:], []]


async def test_an_exact_id_does_not_lead_the_walk_astray(both: Both) -> None:
    """A key that the application changed has the note of another one beside it."""
    await both.copy({"_id": 2.0, "customer": "c"}, {"_id": 3.0, "customer": "c"})
    both.tamper("update shop.orders set id = '4' where id = '2'")
    walked = flat(await blocks(both.target.keys("orders", above=None, at_most=10)))
    assert walked == [key_bytes(3), key_bytes(4)]


async def test_a_sample_is_the_same_for_the_same_seed_and_drawn_from_all_keys(both: Both) -> None:
    keys = await both.copy(*(order(n) for n in range(200)))
    for side in (both.source, both.target):
        one, again, other = [await side.sample("orders", 50, seed) for seed in (1, 1, 2)]
        assert one == again
        assert set(one) != set(other)
        assert len(set(one)) == len(set(other)) == 50
        assert {*one, *other} < set(keys)
        assert sorted(await side.sample("orders", 500, 3)) == sorted(keys)
        drawn = [key for seed in range(40) for key in await side.sample("orders", 20, seed)]
        assert len(set(drawn)) > 190


# --- what the servers count ------------------------------------------------------------------------------------------

SHAPES: tuple[dict[str, Any], ...] = (
    {"_id": 1, "customer": "a", "total": 1.5, "version": 3, "lines": [{"sku": "x", "quantity": 1}, {"sku": None}]},
    {"_id": "two", "customer": None, "total": Decimal128("1.5"), "version": Int64(4), "lines": []},
    {"_id": ObjectId(b"b" * 12), "total": 3, "note": None, "lines": None, "$odd": [1]},
    {"_id": Int64(2**50), "customer": "", "note": {"deep": 1}, "lines": [{}, None, {"sku": "y", "colour": "red"}]},
    {"_id": 2.0, "note": Int64(7), "placed": None},
)


async def test_the_census_of_both_sides_is_the_same_for_documents_of_every_shape(both: Both) -> None:
    """Red without the exact values of the rest column: a 3 in a decimal column would count as a decimal."""
    await both.copy(*SHAPES)
    source, target = await both.source.census("orders"), await both.target.census("orders")
    assert target == source
    assert (source["customer"].null, source["customer"].types) == (1, {"string": 2})
    assert source["total"].types == {"double": 1, "decimal": 1, "int": 1}
    assert source["_id"].types == {"int": 1, "string": 1, "objectId": 1, "long": 1, "double": 1}
    assert (source["note"].null, source["note"].types) == (1, {"object": 1, "long": 1})
    assert source["$odd"].types == {"array": 1}
    assert (source["lines.*"].null, source["lines.*"].types) == (1, {"object": 4})
    assert (source["lines.*.sku"].null, source["lines.*.sku"].types) == (1, {"string": 2})
    assert source["lines.*.colour"].types == {"string": 1}
    assert source["placed"].present == 1


async def test_the_census_leaves_out_what_the_target_cannot_hold(both: Both) -> None:
    """Red without: a waived entry of the quarantine would make every census differ for good."""
    keys = await both.copy(*SHAPES, order(9) | {"customer": 5})
    assert await both.target.quarantined("orders") == keys[-1:]
    target = await both.target.census("orders")
    assert await both.source.census("orders") != target
    assert await both.source.census("orders", without=keys[-1:]) == target


async def test_the_census_shows_what_only_one_side_has(both: Both) -> None:
    await both.copy(*SHAPES)
    both.tamper("update shop.orders set customer = null")
    both.tamper("update shop.order_lines set quantity = 4")
    source, target = await both.source.census("orders"), await both.target.census("orders")
    assert {path for path in source if source[path] != target[path]} == {"customer", "lines.*.quantity"}
    assert target["customer"].types == {}
    assert target["lines.*.quantity"].types == {"int": 5}


def invariant(pipeline: Sequence[Mapping[str, Any]] | None, target: str) -> Invariant:
    stages = None if pipeline is None else tuple(dict(stage) for stage in pipeline)
    return Invariant(name="sums", collection=None if stages is None else "orders", source=stages, target=target)


TOTALS = ({"$group": {"_id": "$customer", "value": {"$sum": "$total"}}},)


async def test_the_points_of_an_invariant_are_comparable(both: Both) -> None:
    await both.copy(*(order(n) for n in range(300)))
    sums = invariant(TOTALS, "select customer, sum(total) from orders group by customer")
    source, target = await both.source.points(sums), await both.target.points(sums)
    assert sorted(source) == sorted(target)
    assert len(source) == 97
    assert await both.source.points(invariant(None, "select 1, 2")) == []


async def test_an_invariant_only_reads(both: Both) -> None:
    """Red without the look at the stages, and with a transaction in place of the snapshot."""
    (key,) = await both.copy(order(1))
    with pytest.raises(PlanError, match=r"\$out"):
        await both.source.points(invariant([*TOTALS, {"$out": "orders"}], "select 1, 2"))
    both.tamper("create table shop.unfenced as select 1 as a, 2 as b")
    for statement in ("delete from unfenced returning a, b", "update unfenced set a = 3 returning a, b"):
        with pytest.raises(TargetError, match="read"):
            await both.target.points(invariant(None, statement))
    assert both.rig.query("select a, b from shop.unfenced") == [(1, 2)]
    with pytest.raises(PlanError, match="two columns"):
        await both.target.points(invariant(None, "select 1"))
    assert await both.differing([key]) == {}


async def test_the_structure_names_what_is_not_as_the_plan_says(both: Both) -> None:
    def bad(findings: Sequence[Any]) -> set[str]:
        return {one.check for one in findings if not one.ok}

    key = "foreign key order_lines_order_id_fkey"
    assert bad(await both.target.structure()) == {key}
    await both.bridge.target.schema.create_foreign_keys(both.rig.plan)
    assert bad(await both.target.structure()) == {key}
    await both.bridge.target.schema.validate_foreign_key(both.rig.plan, "order_lines_order_id_fkey")
    assert bad(await both.target.structure()) == set()
    both.tamper("alter table shop.orders alter column version type integer")
    both.tamper("drop table shop.order_lines")
    found = {one.check: one for one in await both.target.structure()}
    assert "column version is integer, the plan says bigint" in found["table shop.orders"].detail
    assert found["table shop.order_lines"].detail == "missing"
    assert "collection orders exists" in {one.check for one in await both.source.structure()}
    with both.rig.source() as source:
        source["orders"].drop()
    assert bad(await both.source.structure()) == {"collection orders exists"}


# --- the barrier --------------------------------------------------------------------------------------------------


async def test_the_barrier_has_passed_when_the_tail_has_passed_the_mark_and_not_before(both: Both) -> None:
    barrier, ledger = DrainBarrier(both.bridge), both.bridge.target.ledger
    await ledger.pin("orders", b"start")
    assert not await barrier.passed(0.1)
    waiting = asyncio.ensure_future(barrier.passed(30))
    mark = await both.bridge.source.feed.mark("orders") + 10
    assert not waiting.done()
    both.tamper(f"update midflight.positions set mark = {mark}")
    assert await waiting


async def test_under_the_target_the_barrier_waits_for_the_marks_that_were_there_when_it_was_called(both: Both) -> None:
    """Red when it waited until nothing was pending: under steady writes that never comes."""
    await both.copy(order(1), order(2))
    await both.bridge.target.ledger.flip("orders", 1)
    reverse, plan = Noticed(both.bridge.target.reverse), both.rig.plan
    barrier = DrainBarrier(replace(both.bridge, target=replace(both.bridge.target, reverse=reverse)))
    assert await barrier.passed(1)
    application(both, "update shop.orders set customer = 'new' where id = '1'")
    assert not await barrier.passed(0.1)
    reverse.looked.clear()
    waiting = asyncio.ensure_future(barrier.passed(30))
    await asyncio.wait_for(reverse.looked.wait(), 30)
    (first,) = await reverse.dirty(plan, "orders", 5)
    application(both, "update shop.orders set customer = 'newer' where id = '2'")
    await reverse.written_back("orders", "orders", [(first.row_key, first.seq)])
    assert await waiting


class Noticed:
    """Says when it was asked for marks."""

    def __init__(self, reverse: Any) -> None:
        self.looked = asyncio.Event()
        self._reverse = reverse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reverse, name)

    async def dirty(self, plan: Plan, collection: str, at_most: int) -> list[DirtyKey]:
        found: list[DirtyKey] = await self._reverse.dirty(plan, collection, at_most)
        self.looked.set()
        return found
