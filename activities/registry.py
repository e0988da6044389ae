"""Which activities there are, given the stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from activities.backfill import BackfillActivities
from activities.cutover import CutoverActivities
from activities.parity import ParityActivities
from activities.prepare import PrepareActivities
from activities.tail import TailActivities
from midflight.ports import Stores


def activities(stores: Stores) -> list[Callable[..., Any]]:
    """Everything a worker registers."""
    prepare, backfill, tail = PrepareActivities(stores), BackfillActivities(stores), TailActivities(stores)
    parity, cutover = ParityActivities(stores), CutoverActivities(stores)
    return [
        prepare.check,
        prepare.install,
        backfill.plan_partitions,
        backfill.copy_partition,
        backfill.constrain,
        tail.pin,
        tail.follow,
        tail.drain,
        tail.forget,
        parity.begin_parity,
        parity.compare_range,
        parity.recheck,
        parity.finish_parity,
        parity.check_changed,
        cutover.set_stage,
        cutover.gather_evidence,
        cutover.record,
        cutover.raise_fence,
        cutover.lower_fence,
        cutover.flip,
        cutover.undo,
        cutover.retire,
    ]
