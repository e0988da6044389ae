"""Which activities there are, given the stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from activities.backfill import BackfillActivities
from activities.cutover import CutoverActivities
from activities.parity import ParityActivities
from activities.prepare import PrepareActivities
from activities.reads import ReadActivities
from activities.retire import RetireActivities
from activities.reverse import ReverseActivities
from activities.tail import TailActivities
from midflight.parity.ports import ParityStores


def activities(stores: ParityStores, archive_dir: Path) -> list[Callable[..., Any]]:
    """Everything a worker registers."""
    prepare, backfill, tail = PrepareActivities(stores), BackfillActivities(stores), TailActivities(stores)
    parity, cutover = ParityActivities(stores), CutoverActivities(stores)
    reverse, retire = ReverseActivities(stores), RetireActivities(stores, archive_dir)
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
        parity.settle_suspects,
        parity.repair_settled,
        parity.finish_parity,
        ReadActivities(stores).watch_reads,
        cutover.set_stage,
        cutover.gather_evidence,
        cutover.record,
        cutover.acknowledged,
        cutover.rehearse,
        cutover.hand_over,
        cutover.hand_back,
        cutover.undo_handover,
        cutover.undo,
        cutover.retire,
        reverse.follow_back,
        reverse.drain_back,
        retire.archive,
        retire.drop,
    ]
