"""What a repair would do: key by key or a range at a time, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from midflight.core.keys import key_bytes
from midflight.core.plan import ParityRules
from midflight.parity.records import Cause, FieldDifference, Kind, Mismatch, State
from midflight.parity.repair_plan import RangeCount, RepairPlan
from midflight.parity.repair_planner import Planner, plan_repair
from midflight.records import KeyRange

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
RULES = ParityRules(rebackfill_rate=0.05, deletes_at_most=100, deletes_rate=0.001)
STRAY = b"\x0e\0\x02\0\0\0x\0"
ALL = KeyRange()


def mismatch(key: Any, **more: Any) -> Mismatch:
    known = Mismatch(
        entity="orders",
        key=key if isinstance(key, bytes) else key_bytes(key),
        kind=Kind.VALUE,
        fields=(FieldDifference("lines.0.sku", Kind.VALUE, "a", "b"),),
        cause=Cause.LOST_UPDATE,
        state=State.SETTLED,
        first_seen=NOW,
        last_seen=NOW,
    )
    return replace(known, **more)


def several(count: int, first: int = 0, **more: Any) -> list[Mismatch]:
    return [mismatch(number, **more) for number in range(first, first + count)]


def count(compared: int, keys: KeyRange = ALL, entity: str = "orders") -> RangeCount:
    return RangeCount(entity, keys, compared)


def extra(number: int, entity: str = "orders") -> list[Mismatch]:
    return several(number, kind=Kind.EXTRA, entity=entity, cause=Cause.LOST_DELETE)


def requeued(plan: RepairPlan, found: list[Mismatch]) -> dict[str, list[bytes]]:
    """Which of them are requeued; the plan counts as many."""
    chosen = [one for one in found if one.state is State.SETTLED and plan.requeues(one)]
    assert all(plan.mends(one) for one in chosen)
    keys = {one.entity: [each.key for each in chosen if each.entity == one.entity] for one in plan.requeue}
    assert {entity: len(of_one) for entity, of_one in keys.items()} == {one.entity: one.keys for one in plan.requeue}
    assert sum(map(len, keys.values())) == len(chosen)
    return keys


def test_few_mismatches_are_requeued_key_by_key() -> None:
    found = [mismatch(3), mismatch(1), mismatch(2, entity="members"), mismatch(2, kind=Kind.MISSING)]
    plan = plan_repair(found, RULES, [count(1_000), count(1_000, entity="members")])
    assert requeued(plan, found) == {"members": [key_bytes(2)], "orders": [key_bytes(3), key_bytes(1), key_bytes(2)]}
    assert (plan.copy_again, plan.refused, plan.keys, plan.refused_keys) == ((), (), 4, 0)


@pytest.mark.parametrize("state", [state for state in State if state is not State.SETTLED])
def test_what_is_not_settled_is_left_alone(state: State) -> None:
    plan = plan_repair(several(3, state=state), RULES, [count(10)])
    assert (plan.requeue, plan.copy_again, plan.refused, plan.keys) == ((), (), (), 0)


def test_a_range_that_differs_above_the_rate_is_copied_again_and_the_others_are_not() -> None:
    bound, end = key_bytes(100), key_bytes("a")
    counts = [
        count(100, KeyRange(None, bound)),
        count(100, KeyRange(bound, end)),
        count(100, KeyRange(end, None)),
    ]
    found = [*several(5, 95), *several(6, 100), mismatch("a"), mismatch("b")]
    plan = plan_repair(found, RULES, counts)
    (copied,) = plan.copy_again
    assert (copied.keys, copied.compared, copied.differing) == (counts[1].keys, 100, 6)
    copying = [one.key for one in found if plan.mends(one) and not plan.requeues(one)]
    assert copying == [key_bytes(number) for number in range(100, 106)]
    assert requeued(plan, found) == {
        "orders": [*(key_bytes(number) for number in range(95, 100)), *map(key_bytes, "ab")]
    }


def test_ranges_of_another_entity_say_nothing() -> None:
    plan = plan_repair(several(6), RULES, [count(10, entity="members"), count(1_000)])
    assert plan.copy_again == ()


def test_without_ranges_everything_is_requeued() -> None:
    found = several(6)
    assert len(requeued(plan_repair(found, RULES, []), found)["orders"]) == 6


def test_a_mapping_bug_is_refused_and_the_field_is_named() -> None:
    found = [*several(3, cause=Cause.MAPPING_BUG), mismatch(7)]
    plan = plan_repair(found, RULES, [count(1_000)])
    (refused,) = plan.refused
    assert (refused.reason, refused.next_step) == (
        "the mapping is wrong (lines.*.sku)",
        "fix the plan, and copy the domain again",
    )
    assert refused.keys == 3
    assert requeued(plan, found) == {"orders": [key_bytes(7)]}


def test_a_mapping_bug_does_not_count_for_the_rate() -> None:
    found = [*several(50, cause=Cause.MAPPING_BUG), mismatch(70)]
    assert plan_repair(found, RULES, [count(100)]).copy_again == ()


def test_rows_that_no_document_leads_to_are_refused() -> None:
    plan = plan_repair([mismatch(STRAY, kind=Kind.EXTRA)], RULES, [count(10_000)])
    (refused,) = plan.refused
    assert refused.reason == "no document leads to these rows"
    assert plan.requeue == ()


@pytest.mark.parametrize(
    ("deletes", "compared", "rules"),
    [
        (10, 10_000, {}),
        (1, 3, {}),
        (3, 2_001, {}),
        (5, 1_000_000, {"deletes_at_most": 5}),
        (100, 1_000, {"deletes_rate": 0.1}),
    ],
)
def test_deletes_up_to_the_cap_are_requeued(deletes: int, compared: int, rules: dict[str, Any]) -> None:
    plan = plan_repair(extra(deletes), RULES.model_copy(update=rules), [count(compared)])
    (requeue,) = plan.requeue
    assert (requeue.deletes, plan.refused) == (deletes, ())


@pytest.mark.parametrize(
    ("deletes", "compared", "rules"),
    [
        (11, 10_000, {}),
        (3, 2_000, {}),
        (1, 0, {}),
        (6, 1_000_000, {"deletes_at_most": 5}),
        (1, 1_000, {"deletes_rate": 0}),
        (1, 1_000, {"deletes_at_most": 0}),
    ],
)
def test_deletes_over_the_cap_are_refused_and_the_rest_goes_on(
    deletes: int, compared: int, rules: dict[str, Any]
) -> None:
    found = [*extra(deletes), mismatch("changed")]
    plan = plan_repair(found, RULES.model_copy(update=rules), [count(compared)])
    (refused,) = plan.refused
    assert refused.keys == deletes == plan.refused_keys
    assert f"it would delete {deletes} keys" in refused.reason
    mended = [one.key for one in found if plan.mends(one)]
    assert mended == [key_bytes("changed")]


def test_the_cap_holds_for_all_entities_together() -> None:
    found = [*extra(3), *extra(3, entity="members")]
    counts = [count(1_000_000), count(1_000_000, entity="members")]
    plan = plan_repair(found, RULES.model_copy(update={"deletes_at_most": 5}), counts)
    assert [refused.entity for refused in plan.refused] == ["members", "orders"]
    assert plan.requeue == ()


def test_extra_keys_are_deleted_one_by_one_and_never_count_for_a_ranges_rate() -> None:
    rules = RULES.model_copy(update={"deletes_rate": 1.0})
    plan = plan_repair(extra(50), rules, [count(100)])
    assert plan.copy_again == ()
    assert plan.requeue[0].deletes == 50


def test_the_hash_names_the_actions_and_nothing_else() -> None:
    counts = [count(1_000)]
    plan = plan_repair(several(3), RULES, counts)
    later = [replace(one, rounds=9) for one in reversed(several(3))]
    assert plan_repair(later, RULES, counts).hash == plan.hash
    hashes = {
        plan.hash,
        plan_repair(several(4), RULES, counts).hash,
        plan_repair(several(3, entity="members"), RULES, counts).hash,
        plan_repair(several(3), RULES, [count(10)]).hash,
        plan_repair(several(3), RULES, [count(10, KeyRange(None, b"x"))]).hash,
    }
    assert len(hashes) == 5
    assert all(len(one) == 12 for one in hashes)


def test_a_plan_of_many_pages_is_that_of_all_at_once() -> None:
    found = sorted([*several(9), *extra(3), *several(4, 50, entity="members")], key=lambda one: (one.entity, one.key))
    counts = [count(1_000), count(50, entity="members")]
    planner = Planner(RULES, counts)
    for start in range(0, len(found), 5):
        planner.add(found[start : start + 5])
    paged, whole = planner.plan(), plan_repair(found, RULES, counts)
    assert (paged.hash, paged.summary()) == (whole.hash, whole.summary())


def test_the_summary_counts_what_would_be_done() -> None:
    counts = [count(10, KeyRange(None, key_bytes(100))), count(10_000, KeyRange(key_bytes(100), None))]
    found = [
        *several(4),
        *several(2, 200),
        mismatch(300, kind=Kind.EXTRA),
        mismatch(400, cause=Cause.MAPPING_BUG),
    ]
    plan = plan_repair(found, RULES, counts)
    assert plan.summary() == {
        "plan": plan.hash,
        "requeue": {"orders": 3},
        "deletes": {"orders": 1},
        "copy_again": [{"entity": "orders", "keys": 10, "differing": 4}],
        "refused": [
            {
                "entity": "orders",
                "keys": 1,
                "reason": "the mapping is wrong (lines.*.sku)",
                "next_step": "fix the plan, and copy the domain again",
            }
        ],
    }
