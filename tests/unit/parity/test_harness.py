"""Runs of parity over sides in memory: what they find, and that a killed one comes to the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from midflight.core.plan import Ignored, Invariant
from midflight.errors import Superseded, TargetUnavailable
from midflight.parity.harness import Parity
from midflight.parity.pace import Pace, Progress
from midflight.parity.policy import Policy
from midflight.parity.ranges import walk
from midflight.parity.records import QUARANTINED, Cause, Kind, Level, Mismatch, RunRecord, State, Verdict
from midflight.parity.rules import Rules
from midflight.parity.suspects import settle
from midflight.records import FieldCount, Finding
from tests.unit.parity.memory import (
    AlikeSide,
    GuardedSide,
    Killed,
    Killer,
    MemoryRuns,
    MemorySide,
    PicturedSide,
    Shop,
)

DOMAIN = "shop"
KEYS = 60
SMALL = Policy(batch_size=5, range_size=20, parallel=2, suspects_at_once=3, sample_rate=0.1)


@pytest.fixture(autouse=True, params=[GuardedSide, PicturedSide, AlikeSide], ids=["fields", "images", "alike"])
def sides(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the sides offer, a run comes to the same."""
    monkeypatch.setattr(Shop, "sides", request.param)


def key(number: int) -> bytes:
    return f"k{number:04}".encode()


def stocked(keys: int = KEYS) -> Shop:
    """Both sides hold the same orders."""
    shop = Shop()
    for number in range(keys):
        shop.put(key(number), total=number, state="paid")
    shop.follow()
    return shop


def parity(shop: Shop, store: Any, **more: Any) -> Parity:
    settings = {"domain": DOMAIN, "entities": ["orders"], "policy": SMALL, **more}
    return Parity(shop.source, shop.target, shop, store, settings.pop("rules", {}), **settings)


def outcome(record: RunRecord, level: str) -> Any:
    return next(one for one in record.levels if one.level == level)


def found(store: MemoryRuns, *states: State, run: str = "r1") -> dict[bytes, Mismatch]:
    everything = store.found[DOMAIN, run].values()
    return {one.key: one for one in everything if not states or one.state in states}


# --- what a run finds -----------------------------------------------------------------------------------------------


async def test_two_stores_that_say_the_same_pass() -> None:
    shop, store = stocked(), MemoryRuns()
    record = await parity(shop, store).run("r1", levels=("census", "sample", "full", "invariants"))
    assert record.verdict is Verdict.PASS
    counts = record.entities[0]
    assert (counts.source, counts.target, counts.compared, counts.equal) == (KEYS, KEYS, KEYS, KEYS)
    assert found(store) == {}
    assert await store.record(DOMAIN, "r1") == record


async def test_every_kind_of_damage_is_settled_with_its_cause() -> None:
    shop, store = stocked(), MemoryRuns()
    shop.vandalise(key(3), total=-1)
    shop.lose(key(7))
    shop.vandalise(b"k9999", total=1)
    shop.put(key(11), total=1100, state="paid")
    shop.feed.clear()  # the tail never hears of it
    shop.delete(key(13))
    shop.feed.clear()
    record = await parity(shop, store).run("r1")
    settled = found(store, State.SETTLED)
    assert {at: (one.kind, one.cause) for at, one in settled.items()} == {
        key(3): (Kind.VALUE, Cause.ROGUE_WRITE),
        key(7): (Kind.MISSING, Cause.LOST_UPDATE),
        b"k9999": (Kind.EXTRA, Cause.ROGUE_WRITE),
        key(11): (Kind.VALUE, Cause.LOST_UPDATE),
        key(13): (Kind.EXTRA, Cause.LOST_DELETE),
    }
    assert outcome(record, "full").verdict is Verdict.FAIL
    counts = record.entities[0]
    assert (counts.compared, counts.equal, counts.settled, counts.suspects) == (KEYS - 1, KEYS - 4, 5, 0)


async def test_a_target_that_is_only_late_is_cleared() -> None:
    shop, store = stocked(), MemoryRuns()
    for number in range(0, KEYS, 3):
        shop.put(key(number), total=-number, state="sent")
    shop.delete(key(1))
    shop.put(b"k5000", total=1, state="new")
    record = await parity(shop, store).run("r1", levels=("census", "full"))
    assert record.verdict is Verdict.PASS
    assert len(found(store, State.CLEARED)) == KEYS // 3 + 2
    assert record.entities[0].equal == record.entities[0].compared


async def test_a_key_that_always_changes_is_hot_and_the_run_undecided() -> None:
    shop, store, turn = stocked(), MemoryRuns(), iter(range(10_000))

    def churn() -> None:
        shop.put(key(5), total=next(turn), state="hot")
        shop.follow()
        shop.put(key(5), total=next(turn), state="hot")

    shop.meanwhile = churn
    churn()
    record = await parity(shop, store).run("r1", levels=("full",))
    assert set(found(store, State.HOT)) == {key(5)}
    assert record.verdict is Verdict.UNDECIDED
    assert record.entities[0].hot == 1


async def test_a_key_that_changes_back_and_forth_while_the_target_is_late_is_not_settled() -> None:
    """Source version, target version and token are the same at every look, and yet nothing is lost."""
    shop, store = stocked(), MemoryRuns()
    shop.put(key(5), total=1, state="a")
    shop.follow()
    shop.put(key(5), total=2, state="b")

    def toggle() -> None:
        shop.follow()
        shop.put(key(5), total=1, state="a")
        shop.follow()
        shop.put(key(5), total=2, state="b")

    shop.meanwhile = toggle
    await parity(shop, store).run("r1", levels=("full",))
    assert found(store, State.SETTLED) == {}


async def test_a_real_difference_is_settled_beside_churn() -> None:
    shop, store, turn = stocked(), MemoryRuns(), iter(range(10_000))
    shop.put(key(9), total=99, state="lost")
    shop.feed.clear()

    def churn() -> None:
        for number in (5, 6):
            shop.put(key(number), total=next(turn), state="hot")

    shop.meanwhile = churn
    churn()
    await parity(shop, store).run("r1", levels=("full",))
    assert set(found(store, State.SETTLED)) == {key(9)}


async def test_frozen_decides_everything_at_once() -> None:
    shop, store = stocked(), MemoryRuns()
    shop.put(key(4), total=-4, state="late")
    record = await parity(shop, store).run("r1", levels=("full",), frozen=True)
    assert set(found(store, State.SETTLED)) == {key(4)}
    assert record.verdict is Verdict.FAIL


async def test_a_target_that_does_not_follow_leaves_the_run_open_and_it_goes_on_later() -> None:
    shop, store = stocked(), MemoryRuns()
    shop.put(key(4), total=-4, state="late")
    shop.stuck = True
    record = await parity(shop, store).run("r1", levels=("full",))
    assert record.finished_at is None
    assert record.verdict is Verdict.INCOMPLETE
    assert set(found(store, State.SUSPECT)) == {key(4)}
    shop.stuck = False
    assert (await parity(shop, store).run("r1", levels=("full",))).verdict is Verdict.PASS


async def test_a_key_in_quarantine_is_counted_apart() -> None:
    shop, store = stocked(), MemoryRuns()
    held = shop.target.entries["orders"]
    held[key(8)] = replace(held[key(8)], fields={}, unreadable=QUARANTINED)
    record = await parity(shop, store).run("r1", levels=("full",))
    counts = record.entities[0]
    assert (counts.quarantined, counts.compared, counts.equal) == (1, KEYS - 1, KEYS - 1)
    assert record.verdict is Verdict.PASS


async def test_what_is_equal_only_by_a_rule_is_counted() -> None:
    shop, store = stocked(), MemoryRuns()
    shop.vandalise(key(3), state="PAID")
    rules = {"orders": Rules((Ignored(collection="orders", field="state", reason="shown nowhere"),))}
    record = await parity(shop, store, rules=rules).run("r1", levels=("full",))
    assert record.entities[0].by_rule == {"ignore state": 1}
    assert record.verdict is Verdict.PASS


async def test_one_field_wrong_everywhere_is_a_bug_of_the_mapping() -> None:
    shop, store = stocked(), MemoryRuns()
    for number in range(40):
        shop.vandalise(key(number), total="x")
        shop.target.applied["orders", key(number)] = shop.target.entries["orders"][key(number)].fields
    await parity(shop, store).run("r1", levels=("full",))
    causes = Counter(one.cause for one in found(store, State.SETTLED).values())
    assert causes == {Cause.MAPPING_BUG: 40}


# --- sides without guards -------------------------------------------------------------------------------------------


async def test_two_plain_dictionaries_can_be_compared() -> None:
    """A side has to implement `Side` alone: no versions, no tokens, no structure."""
    shop, store = stocked(), MemoryRuns()
    bare = [
        MemorySide({"orders": {at: replace(e, version=None, token=None) for at, e in side.entries["orders"].items()}})
        for side in (shop.source, shop.target)
    ]
    del bare[1].entries["orders"][key(2)]
    tool = Parity(bare[0], bare[1], shop, store, {}, domain=DOMAIN, entities=["orders"], policy=SMALL)
    record = await tool.run("r1")
    assert set(found(store, State.SETTLED)) == {key(2)}
    assert outcome(record, "structure").verdict is Verdict.INCOMPLETE


# --- killed and resumed ---------------------------------------------------------------------------------------------


def damaged() -> Shop:
    shop = stocked()
    shop.vandalise(key(3), total=-1)
    shop.lose(key(17))
    shop.vandalise(b"k9999", total=1)
    shop.put(key(31), total=3100, state="paid")
    shop.feed.clear()
    shop.put(key(44), total=4400, state="late")
    rules_apply_to = key(50)
    shop.vandalise(rules_apply_to, state="PAID")
    return shop


RULES = {"orders": Rules((Ignored(collection="orders", field="state", reason="shown nowhere"),))}
LEVELS: tuple[Level, ...] = ("census", "sample", "full", "invariants")


def plain(record: RunRecord) -> RunRecord:
    """But for the times."""
    return replace(record, started_at=None, finished_at=None)  # type: ignore[arg-type]


def kept(store: MemoryRuns) -> dict[bytes, Any]:
    states = {}
    for at, one in found(store).items():
        fields = tuple((field.path, field.source, field.target, field.cause) for field in one.fields)
        states[at] = (one.kind, one.cause, one.state, fields)
    return states


async def uninterrupted() -> tuple[RunRecord, MemoryRuns]:
    store = MemoryRuns()
    return await parity(damaged(), store, rules=RULES).run("r1", levels=LEVELS), store


async def commits() -> int:
    counting = Killer(MemoryRuns(), 1_000, committed=False)
    await parity(damaged(), counting, rules=RULES).run("r1", levels=LEVELS)
    return counting.commits


@pytest.mark.parametrize("committed", [False, True], ids=["before", "after"])
async def test_a_run_killed_at_any_commit_and_begun_again_comes_to_the_same(committed: bool) -> None:
    expected, whole = await uninterrupted()
    total = await commits()
    assert total > 20
    for number in range(1, total + 1):
        shop, store = damaged(), MemoryRuns()
        with pytest.raises(Killed):
            await parity(shop, Killer(store, number, committed=committed), rules=RULES).run("r1", levels=LEVELS)
        record = await parity(shop, store, rules=RULES).run("r1", levels=LEVELS)
        assert plain(record) == plain(expected), f"killed at commit {number}"
        assert kept(store) == kept(whole), f"killed at commit {number}"
        assert_each_step_follows_the_one_before(store)


async def test_a_run_killed_at_every_commit_again_and_again_ends() -> None:
    expected, whole = await uninterrupted()
    shop, store, record = damaged(), MemoryRuns(), None
    for _ in range(500):
        try:
            record = await parity(shop, Killer(store, 1, committed=True), rules=RULES).run("r1", levels=LEVELS)
            break
        except Killed:
            continue
    assert record is not None
    assert plain(record) == plain(expected)
    assert kept(store) == kept(whole)
    assert_each_step_follows_the_one_before(store)


def assert_each_step_follows_the_one_before(store: MemoryRuns) -> None:
    """Nothing was compared twice, and nothing skipped: each range went on from the very key it had committed."""
    at: dict[tuple[str, int], bytes | None] = {}
    for entity, number, before, after in store.steps:
        assert at.get((entity, number)) == before
        assert before is None or (after is not None and after >= before)
        at[entity, number] = after
    places = store.places[DOMAIN, "r1", "orders"]
    assert all(place.done for place in places.values())
    assert sum(place.compared for number, place in places.items() if number) == KEYS


async def test_a_finished_run_is_not_run_again() -> None:
    shop, store = stocked(), MemoryRuns()
    first = await parity(shop, store).run("r1")
    shop.vandalise(key(3), total=-1)
    assert await parity(shop, store).run("r1") == first


async def test_of_two_attempts_at_one_range_the_slower_one_gives_up() -> None:
    shop, store = stocked(), MemoryRuns()
    with pytest.raises(Killed):
        await parity(shop, Killer(store, 3, committed=True)).run("r1", levels=("full",))
    slow = parity(shop, store).at_work("r1", frozen=False, census=False, base=None)
    (stale,) = [place for place in await store.progress(DOMAIN, "r1", "orders") if place.number == 1]
    await walk(slow, "orders", stale)
    with pytest.raises(Superseded):
        await walk(slow, "orders", stale)


async def test_a_range_that_fails_ends_the_run_and_it_can_be_begun_again() -> None:
    class Broken(MemorySide):
        async def fetch(self, entity: str, keys: Any, *, deep: bool = False) -> Any:
            raise TargetUnavailable("The target is away.")

    shop, store = stocked(), MemoryRuns()
    tool = parity(shop, store)
    with pytest.raises(TargetUnavailable):
        await replace(tool, target=Broken(shop.target.entries)).run("r1", levels=("full",))
    assert (await tool.run("r1", levels=("full",))).verdict is Verdict.PASS


def looked_at_again() -> int:
    """How many keys a watch run compares for one that was written. Sides that sort alike skip spans, not keys."""
    return SMALL.batch_size if Shop.sides is AlikeSide else 1


# --- watch ----------------------------------------------------------------------------------------------------------


async def test_a_watch_run_skips_what_was_equal_and_was_not_written_since() -> None:
    shop, store = stocked(), MemoryRuns()
    await parity(shop, store).run("r1", levels=("full",))
    shop.put(key(5), total=500, state="paid")
    shop.follow()
    shop.source.looked_at.clear()
    record = await parity(shop, store).run("w1", mode="watch", levels=("full",))
    counts, again = record.entities[0], looked_at_again()
    assert (counts.source, counts.skipped, counts.compared, counts.equal) == (KEYS, KEYS - again, again, again)
    assert record.verdict is Verdict.PASS
    assert not shop.source.looked_at
    assert outcome(record, "full").details["base"] == "r1"


async def test_the_census_of_a_watch_run_counts_no_key_twice() -> None:
    """Where the target counts, it counts every key; else only those are counted that were compared."""
    shop, store = stocked(), MemoryRuns()
    await parity(shop, store).run("r1", levels=("full",))
    shop.put(key(5), total=500, state="paid")
    shop.follow()
    record = await parity(shop, store).run("w1", mode="watch", levels=("census", "full"))
    expected = 1 if Shop.sides is GuardedSide else KEYS
    assert {(one.source_present, one.target_present) for one in record.census} == {(expected, expected)}


async def test_a_watch_run_looks_again_at_what_was_not_equal_in_the_run_before() -> None:
    shop, store = stocked(), MemoryRuns()
    shop.vandalise(key(3), total=-1)
    await parity(shop, store).run("r1", levels=("full",))
    record = await parity(shop, store).run("w1", mode="watch", levels=("full",))
    assert set(found(store, State.SETTLED, run="w1")) == {key(3)}
    assert record.entities[0].compared == looked_at_again()


async def test_watch_runs_build_upon_one_another() -> None:
    shop, store = stocked(), MemoryRuns()
    for number in range(3):
        record = await parity(shop, store).run(f"w{number}", mode="watch", levels=("full",))
    assert record.entities[0].skipped == KEYS
    assert outcome(record, "full").details["base"] == "w1"


async def test_a_watch_run_finds_lost_updates_lost_deletes_and_new_rogue_keys() -> None:
    shop, store = stocked(), MemoryRuns()
    await parity(shop, store).run("r1", levels=("full",))
    shop.put(key(5), total=500, state="paid")
    shop.delete(key(6))
    shop.feed.clear()
    shop.vandalise(b"k9999", total=1)
    await parity(shop, store).run("w1", mode="watch", levels=("full",))
    assert set(found(store, State.SETTLED, run="w1")) == {key(5), key(6), b"k9999"}


async def test_with_other_rules_or_another_plan_nothing_is_skipped() -> None:
    shop, store = stocked(), MemoryRuns()
    await parity(shop, store, rules=RULES).run("r1", levels=("full",))
    for name, more in {"w1": {}, "w2": {"plan_fingerprint": "other", "rules": RULES}}.items():
        record = await parity(shop, store, **more).run(name, mode="watch", levels=("full",))
        assert record.entities[0].skipped == 0


async def killed_inside_a_range() -> tuple[Shop, MemoryRuns, bytes]:
    """A run that died with no range of the source done and one begun; the last key that it saw there.

    Two ranges are walked at once: which of them has a place at the fourth commit is not ours to say.
    """
    for _ in range(100):
        shop, store = stocked(), MemoryRuns()
        with pytest.raises(Killed):
            await parity(shop, Killer(store, 4, committed=True)).run("r1", levels=("full",))
        places = await store.progress(DOMAIN, "r1", "orders")
        begun = [one.cursor for one in places if one.number > 0 and one.cursor is not None]
        if begun and not any(one.done for one in places if one.number > 0):
            return shop, store, begun[0]
    raise AssertionError("no run died inside a range")


async def test_what_was_written_while_a_run_was_dead_is_not_skipped_later() -> None:
    """The run saw the key before that: its token must be older than the write, though it went on after it."""
    shop, store, seen = await killed_inside_a_range()
    shop.put(seen, total=-5, state="paid")
    shop.follow()
    await parity(shop, store).run("r1", levels=("full",))
    record = await parity(shop, store).run("w1", mode="watch", levels=("full",))
    assert record.entities[0].compared == looked_at_again()


async def test_a_gate_run_skips_nothing() -> None:
    shop, store = stocked(), MemoryRuns()
    await parity(shop, store).run("r1", levels=("full",))
    record = await parity(shop, store).run("r2", levels=("full",))
    assert (record.entities[0].skipped, record.entities[0].compared) == (0, KEYS)


# --- the other levels -----------------------------------------------------------------------------------------------


async def test_a_sample_says_how_sure_it_is() -> None:
    shop, store = stocked(), MemoryRuns()
    record = await parity(shop, store).run("r1", levels=("sample",))
    details = outcome(record, "sample").details
    assert record.verdict is Verdict.PASS
    assert details["n"] == 29
    assert details["k"] == 0
    assert 0 < details["bound"] < 0.1
    assert not details["whole"]


async def test_a_run_goes_on_with_the_levels_it_was_begun_with() -> None:
    """Red if it took those it is asked for then: a sample would have been called a full run that left keys out."""
    shop, store = stocked(), MemoryRuns()
    shop.stuck = True
    shop.vandalise(key(3), total=-1)
    with pytest.raises(Killed):
        await parity(shop, Killer(store, 2, committed=True)).run("r1", levels=("sample",))
    kept = await store.record(DOMAIN, "r1")
    assert [(one.level, one.verdict) for one in kept.levels] == [("sample", Verdict.INCOMPLETE)]
    shop.stuck = False
    record = await parity(shop, store).run("r1", levels=("full",))
    assert [one.level for one in record.levels] == ["sample"]
    assert record.finished_at is not None


async def test_a_sample_goes_on_with_the_size_it_was_begun_with() -> None:
    """Red if it took the size of the policy that it goes on under."""
    shop, store = stocked(), MemoryRuns()
    large, small = (Policy(batch_size=3, sample_rate=rate) for rate in (0.05, 0.4))
    whole = await replace(parity(shop, store), policy=large).run("whole", levels=("sample",))
    with pytest.raises(Killed):
        await replace(parity(shop, Killer(store, 3, committed=True)), policy=large).run("r1", levels=("sample",))
    record = await replace(parity(shop, store), policy=small).run("r1", levels=("sample",))
    assert outcome(record, "sample").details["n"] == outcome(whole, "sample").details["n"]


async def test_the_census_names_fields_that_one_side_lacks() -> None:
    shop, store = stocked(), MemoryRuns()
    held = shop.target.entries["orders"]
    held[key(3)] = replace(held[key(3)], fields={"total": 3})
    record = await parity(shop, store).run("r1", levels=("census", "full"))
    census = {one.path: one for one in record.census}
    assert (census["state"].source_present, census["state"].target_present) == (KEYS, KEYS - 1)
    assert census["total"].source_types == {"int": KEYS} == census["total"].target_types
    assert outcome(record, "census").verdict is Verdict.FAIL
    assert outcome(record, "census").details["differing"] == ["orders.state"]


async def test_structure_fails_with_the_names_of_the_checks_that_failed() -> None:
    class Built(MemorySide):
        async def structure(self) -> list[Finding]:
            return [Finding("table orders", True), Finding("index orders_total", False, "is not valid")]

    shop, store = stocked(), MemoryRuns()
    tool = Parity(shop.source, Built(shop.target.entries), shop, store, {}, domain=DOMAIN, entities=["orders"])
    record = await tool.run("r1", levels=("structure",))
    assert outcome(record, "structure").verdict is Verdict.FAIL
    assert outcome(record, "structure").reason == "index orders_total"


class Counting(MemorySide):
    """Counts its fields itself."""

    async def census(self, entity: str) -> dict[str, FieldCount]:
        types: dict[str, Counter[str]] = {}
        for entry in self.entries[entity].values():
            for name, value in entry.fields.items():
                types.setdefault(name, Counter())[type(value).__name__] += 1
        return {name: FieldCount(name, 0, counted) for name, counted in types.items()}


class Summing(MemorySide):
    """Its only query: points by state."""

    def __init__(self, entries: Any, late: int = 0) -> None:
        super().__init__(entries)
        self.late, self.asked = late, 0

    async def points(self, invariant: Invariant) -> list[tuple[str, Any]]:
        self.asked += 1
        sums: Counter[str] = Counter()
        for entry in self.entries["orders"].values():
            sums[entry.fields["state"]] += entry.fields["total"] + (1 if self.asked <= self.late else 0)
        return list(sums.items())


def summing(shop: Shop, store: MemoryRuns, late: int) -> Parity:
    source, target = Summing(shop.source.entries), Summing(shop.target.entries, late)
    invariants = (Invariant(name="points", collection="orders", source=(), target="select 1"),)
    tool = Parity(source, target, shop, store, {}, domain=DOMAIN, entities=["orders"], policy=SMALL)
    return replace(tool, invariants=invariants)


async def test_an_invariant_that_is_broken_for_good_fails_with_its_label() -> None:
    shop, store = stocked(), MemoryRuns()
    shop.vandalise(key(3), total=-1)
    record = await summing(shop, store, late=0).run("r1", levels=("invariants",))
    assert record.verdict is Verdict.FAIL
    assert outcome(record, "invariants").details["points"]["labels"] == ["paid"]


async def test_an_invariant_that_is_only_late_holds() -> None:
    shop, store = stocked(), MemoryRuns()
    record = await summing(shop, store, late=2).run("r1", levels=("invariants",))
    assert record.verdict is Verdict.PASS


async def test_the_servers_count_the_census_where_no_key_is_compared() -> None:
    shop, store = stocked(), MemoryRuns()
    held = shop.target.entries["orders"]
    held[key(3)] = replace(held[key(3)], fields={"total": 3})
    source, target = Counting(shop.source.entries), Counting(shop.target.entries)
    tool = Parity(source, target, shop, store, {}, domain=DOMAIN, entities=["orders"], policy=SMALL)
    record = await tool.run("r1", levels=("census",))
    assert record.verdict is Verdict.FAIL
    assert not source.looked_at
    census = {one.path: one for one in record.census}
    assert (census["state"].source_present, census["state"].target_present) == (KEYS, KEYS - 1)


async def test_a_census_that_differs_only_while_the_target_is_late_is_counted_again() -> None:
    shop, store = stocked(), MemoryRuns()
    shop.put(b"k5000", total=1, state="new")
    source, target = Counting(shop.source.entries), Counting(shop.target.entries)
    tool = Parity(source, target, shop, store, {}, domain=DOMAIN, entities=["orders"], policy=SMALL)
    record = await tool.run("r1", levels=("census",))
    assert record.verdict is Verdict.PASS
    assert record.census[0].target_present == KEYS + 1


async def test_the_steps_of_a_run_can_be_done_apart_and_come_to_the_same() -> None:
    """As a workflow does them: each in a process of its own, ranges in any order."""
    expected, whole = await uninterrupted()
    shop, store = damaged(), MemoryRuns()
    record = await parity(shop, store, rules=RULES).begin("r1", "gate", LEVELS)
    for entity, place in reversed(await parity(shop, store, rules=RULES).places("r1")):
        tool = parity(shop, store, rules=RULES)
        await walk(await tool.work_on(record, LEVELS, frozen=False), entity, place)
    tool = parity(shop, store, rules=RULES)
    work = await tool.work_on(record, LEVELS, frozen=False)
    decided = await settle(work)
    assert plain(await tool.conclude(record, work, LEVELS, decided=decided)) == plain(expected)
    assert kept(store) == kept(whole)


# --- pace, progress, explain ----------------------------------------------------------------------------------------


async def test_whoever_listens_hears_how_far_a_run_is() -> None:
    shop, store, heard = stocked(), MemoryRuns(), list[Progress]()
    await parity(shop, store, listener=heard.append).run("r1", levels=("full",))
    assert heard[-1].keys == heard[-1].of_about == 2 * KEYS
    assert [one.keys for one in heard] == sorted(one.keys for one in heard)
    assert heard[-1].seconds_left == 0
    assert heard[0].documents_per_second > 0


async def test_all_who_share_a_pace_keep_to_it_together() -> None:
    now, rests = 0.0, list[float]()

    async def rest(seconds: float) -> None:
        nonlocal now
        rests.append(seconds)
        now += seconds

    pace = Pace(100, clock=lambda: now, rest=rest)
    for _ in range(5):
        await pace.spend(50)
    assert now == pytest.approx(2.5)


async def test_explain_shows_both_sides_and_the_cause() -> None:
    shop, store = stocked(), MemoryRuns()
    shop.vandalise(key(3), total=-1)
    await parity(shop, store).run("r1")
    shown = await parity(shop, store).explain("orders", key(3))
    assert shown.source is not None
    assert shown.target is not None
    assert (shown.source.fields["total"], shown.target.fields["total"]) == (3, -1)
    assert shown.target.token == 4
    assert shown.mismatch is not None
    assert (shown.mismatch.state, shown.mismatch.cause) == (State.SETTLED, Cause.ROGUE_WRITE)
    assert shown.kept == found(store)[key(3)]


async def test_explain_tells_lag_from_loss() -> None:
    shop, store = stocked(), MemoryRuns()
    shop.put(key(3), total=33, state="paid")
    assert (await parity(shop, store).explain("orders", key(3))).mismatch is None
    shop.put(key(4), total=44, state="paid")
    shop.feed.clear()
    lost = (await parity(shop, store).explain("orders", key(4))).mismatch
    assert lost is not None
    assert (lost.state, lost.cause) == (State.SETTLED, Cause.LOST_UPDATE)
