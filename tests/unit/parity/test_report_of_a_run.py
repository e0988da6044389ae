"""From a run over two sides to its report: every damage is in it, by cause, and every level says why."""

from __future__ import annotations

from datetime import timedelta

import pytest

from midflight.core.keys import key_bytes
from midflight.core.plan import ParityRules
from midflight.parity.records import Level, Verdict
from midflight.parity.report import Asked, Report, as_html, as_json, as_jsonl, as_text, gather
from tests.unit.parity.memory import MemoryRuns
from tests.unit.parity.test_harness import DOMAIN, LEVELS, RULES, damaged, parity, stocked, summing

RUN = "r1"


async def reported(store: MemoryRuns, rules: ParityRules | None = None, *, values: bool = False) -> Report:
    record = await store.record(DOMAIN, RUN)
    asked = Asked(record.started_at + timedelta(minutes=5), rules or ParityRules(), values)
    return await gather(store, DOMAIN, RUN, asked, entities=["orders"])


async def test_every_damage_is_in_the_report_by_its_cause() -> None:
    shop, store = damaged(), MemoryRuns()
    await parity(shop, store, rules=RULES).run(RUN, levels=LEVELS)
    found = await reported(store, ParityRules(ignore=RULES["orders"].ignored))
    groups = {(one.cause.value, one.field, one.kind.value, one.keys) for one in found.groups}
    assert groups == {
        ("rogue write", "total", "value", 1),
        ("rogue write", "", "extra", 1),
        ("lost update", "", "missing", 1),
        ("lost update", "total", "value", 1),
    }
    (overlooked,) = found.overlooked
    assert (overlooked.entity, overlooked.rule, overlooked.reason) == ("orders", "ignore state", "shown nowhere")
    assert overlooked.uses >= 1
    assert as_text.render(found).startswith("FAIL  shop, run r1\n4 keys differ, and nothing")
    assert len([line async for line in as_jsonl.stream(store, DOMAIN, RUN, Asked(found.made_at))]) >= 4
    assert as_html.render(found)
    assert as_json.render(found)


async def test_a_run_that_found_nothing_passes() -> None:
    store = MemoryRuns()
    await parity(stocked(), store).run(RUN, levels=LEVELS)
    assert as_text.render(await reported(store)).startswith("PASS  shop, run r1\nBoth sides say the same: 60 keys")


async def test_a_target_that_does_not_follow_leaves_a_report_of_an_open_run() -> None:
    shop, store = stocked(), MemoryRuns()
    shop.put(b"k0003", total=-3, state="paid")
    shop.stuck = True
    await parity(shop, store).run(RUN, levels=("full",))
    found = await reported(store)
    assert found.record.verdict is Verdict.INCOMPLETE
    assert found.walked == {"orders": 1.0}
    (orders,) = found.record.entities
    assert (orders.compared, orders.equal, orders.suspects) == (60, 59, 1)
    assert "Suspects may only be late." in as_text.render(found)


@pytest.mark.parametrize("values", [False, True])
async def test_labels_of_a_broken_invariant_are_shown_only_where_its_name_is_listed(values: bool) -> None:
    shop, store = stocked(), MemoryRuns()
    shop.vandalise(b"k0003", total=-1)
    await summing(shop, store, late=0).run(RUN, levels=("invariants",))
    found = await reported(store, ParityRules(show=("points",)), values=values)
    assert ("paid" in as_html.render(found)) is values


@pytest.mark.parametrize("level", LEVELS)
async def test_each_level_alone_has_a_report(level: Level) -> None:
    store = MemoryRuns()
    await parity(damaged(), store).run(RUN, levels=(level,))
    found = await reported(store)
    assert [one.level for one in found.record.levels] == [level]
    assert found.next_steps
    assert as_json.render(found)


async def test_a_key_of_a_collection_and_one_of_a_table_are_both_readable() -> None:
    shop, store = stocked(3), MemoryRuns()
    shop.vandalise(key_bytes("member 7"), total=1)
    shop.vandalise(b"k9999", total=1)
    await parity(shop, store, rules={}).run(RUN, levels=("full",))
    found = await reported(store)
    assert {sample.key for group in found.groups for sample in group.samples} == {'"member 7"', "k9999"}
