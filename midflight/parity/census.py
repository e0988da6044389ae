"""The census as the servers count it: for runs that compare no keys."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from midflight.parity.ports import CensusSide, QuarantineSide, Side
from midflight.parity.records import FieldCensus
from midflight.parity.work import Work
from midflight.records import FieldCount

ROUNDS = 3


def can_count(source: Side, target: Side) -> bool:
    """Whether both servers can count."""
    return isinstance(source, CensusSide) and isinstance(target, CensusSide)


def alike(field: FieldCensus) -> bool:
    """Whether as many keys have the field, and null in it, on both sides."""
    return (field.source_present, field.source_null) == (field.target_present, field.target_null)


async def count_fields(work: Work, entities: Sequence[str]) -> tuple[list[FieldCensus], list[FieldCensus]]:
    """Every field, and those of them that differ for good.

    What differs is counted again after a barrier, for the target may only have been late; what was the same both times
    differs for good.
    """
    fields, settled = list[FieldCensus](), list[FieldCensus]()
    for entity in entities:
        of_one, for_good = await _of_entity(work, entity)
        fields += of_one
        settled += for_good
    return fields, settled


async def _of_entity(work: Work, entity: str) -> tuple[list[FieldCensus], list[FieldCensus]]:
    fields = await _count(work, entity)
    settled = _differing(fields) if work.frozen else []
    for _ in range(ROUNDS):
        before = _differing(fields)
        if len(before) == len(settled) or not await work.barrier.passed(work.policy.barrier_seconds):
            break
        fields = await _count(work, entity)
        settled = [field for field in fields if field in before]
    return fields, settled


def _differing(fields: Sequence[FieldCensus]) -> list[FieldCensus]:
    return [field for field in fields if not alike(field)]


async def _count(work: Work, entity: str) -> list[FieldCensus]:
    assert isinstance(work.source, CensusSide)
    assert isinstance(work.target, CensusSide)
    # What the target cannot hold is accounted for by a gate of its own.
    without = await work.target.quarantined(entity) if isinstance(work.target, QuarantineSide) else ()
    ours = work.source.census(entity, without=without) if without else work.source.census(entity)
    source, target = await asyncio.gather(ours, work.target.census(entity))
    return [_both(entity, path, source, target) for path in sorted(source.keys() | target.keys())]


def _both(entity: str, path: str, source: Mapping[str, FieldCount], target: Mapping[str, FieldCount]) -> FieldCensus:
    ours, theirs = source.get(path, FieldCount(path)), target.get(path, FieldCount(path))
    return FieldCensus(
        entity=entity,
        path=path,
        source_present=ours.present,
        target_present=theirs.present,
        source_null=ours.null,
        target_null=theirs.null,
        source_types=dict(ours.types),
        target_types=dict(theirs.types),
    )
