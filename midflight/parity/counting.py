"""Sum a run up: what its ranges counted, and what became of its mismatches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from midflight.parity.causes import by_group
from midflight.parity.forms.normal import MISSING
from midflight.parity.image_walk import has_images
from midflight.parity.ports import CensusSide
from midflight.parity.ranges import TARGET_WALK, sampled, to_walk
from midflight.parity.records import EntityCounts, FieldCensus, Kind, Mismatch, State
from midflight.parity.suspects import pages_of
from midflight.parity.tally import Tally, type_name
from midflight.parity.work import Work
from midflight.records import ParityProgress

NULL = "null"
GROUPED_AT_ONCE = 10_000

TypeCounts = dict[str, Counter[str]]


@dataclass(slots=True)
class Sum:
    """One entity: the totals of its ranges, its mismatches by state, the types of its fields on both sides."""

    entity: str
    places: Sequence[ParityProgress]
    total: Tally = field(default_factory=Tally)
    states: Counter[State] = field(default_factory=Counter)
    unequal: int = 0
    """Keys of the source that differ, whatever is known of them."""
    keys_of_one_side: int = 0
    """Keys of which it is settled that only one side has them."""
    source_types: TypeCounts = field(default_factory=dict)
    target_types: TypeCounts = field(default_factory=dict)
    counted_at_target: bool = False
    """The types of both sides are the target's, as its server counts them; else those that the source's keys have."""

    @property
    def done(self) -> bool:
        """Whether every range was walked to its end."""
        return bool(self.places) and all(place.done for place in self.places)

    @property
    def sampled(self) -> bool:
        """Whether only a sample was looked at."""
        return sampled(self.places)

    def counts(self) -> EntityCounts:
        """As they are kept."""
        source = sum(place.compared for place in self.places if place.number != TARGET_WALK)
        compared = source - self.total.skipped - self.total.quarantined
        return EntityCounts(
            entity=self.entity,
            source=source,
            target=sum(place.compared for place in self.places if place.number == TARGET_WALK),
            compared=compared,
            equal=compared - self.unequal,
            suspects=self.states[State.SUSPECT],
            settled=self.states[State.SETTLED],
            hot=self.states[State.HOT],
            cleared=self.states[State.CLEARED],
            repaired=self.states[State.REPAIRED],
            quarantined=self.total.quarantined,
            skipped=self.total.skipped,
            unproven=self.total.unproven,
            by_rule=dict(self.total.by_rule),
        )

    def census(self) -> list[FieldCensus]:
        """By field, in order of their names."""
        names = sorted(self.source_types | self.target_types)
        return [self._field(name) for name in names]

    def _field(self, name: str) -> FieldCensus:
        source, target = (+types.get(name, Counter()) for types in (self.source_types, self.target_types))
        return FieldCensus(
            entity=self.entity,
            path=name,
            source_present=source.total(),
            target_present=target.total(),
            source_null=source[NULL],
            target_null=target[NULL],
            source_types=dict(source),
            target_types=dict(target),
        )


async def sum_up(work: Work, entities: Iterable[str]) -> list[Sum]:
    """Every entity of the run as it stands."""
    sums = {entity: await _of_ranges(work, entity) for entity in entities}
    async for page in pages_of(work.store, work.domain, work.run, (), work.policy.suspects_at_once):
        for mismatch in page:
            if mismatch.entity in sums:
                _take(sums[mismatch.entity], mismatch)
    return list(sums.values())


async def group_causes(work: Work, sums: Sequence[Sum]) -> None:
    """Give those mismatches that one bug of the mapping explains that cause.

    More than fit into memory are grouped part by part, each against its share of the keys.
    """
    whole = {one.entity: one for one in sums if one.states[State.SETTLED]}
    async for part in pages_of(work.store, work.domain, work.run, (State.SETTLED,), GROUPED_AT_ONCE):
        known = [one for one in part if one.entity in whole]
        grouped = by_group(known, _shares(known, whole))
        changed = [new for new, old in zip(grouped, known, strict=True) if new.cause is not old.cause]
        if changed:
            await work.store.judge(work.domain, work.run, changed)


def _shares(part: Iterable[Mismatch], whole: Mapping[str, Sum]) -> dict[str, int]:
    """By entity: as many of the compared keys as the part has of the settled ones."""
    of_part = Counter(one.entity for one in part)
    return {
        entity: -(-whole[entity].counts().compared * settled // whole[entity].states[State.SETTLED])
        for entity, settled in of_part.items()
    }


async def _of_ranges(work: Work, entity: str) -> Sum:
    places = to_walk(await work.store.progress(work.domain, work.run, entity))
    whole = Sum(entity, places)
    for place in places:
        whole.total.add(Tally.of(place.tally))
    if work.census and has_images(work, entity) and not whole.sampled:
        whole.target_types = await _counted(work, entity)
        whole.source_types = {path: Counter(types) for path, types in whole.target_types.items()}
        whole.counted_at_target = True
    for (path, name), count in whole.total.fields.items():
        for types in (whole.source_types, whole.target_types):
            types.setdefault(path, Counter())[name] += count
    for (path, was, became), count in whole.total.drift.items():
        if path in whole.target_types:
            whole.target_types[path].update({was: -count, became: count})
    return whole


def _take(whole: Sum, mismatch: Mismatch) -> None:
    whole.states[mismatch.state] += 1
    if mismatch.state in (State.CLEARED, State.REPAIRED):
        return
    whole.unequal += mismatch.kind is not Kind.EXTRA
    if mismatch.state is State.SETTLED and mismatch.kind in (Kind.MISSING, Kind.EXTRA):
        whole.keys_of_one_side += 1
    if whole.source_types and mismatch.state is State.SETTLED:
        _take_fields(whole, mismatch)


async def _counted(work: Work, entity: str) -> TypeCounts:
    assert isinstance(work.target, CensusSide)
    counts = await work.target.census(entity)
    return {path: Counter({**one.types, NULL: one.null}) for path, one in counts.items()}


def _take_fields(whole: Sum, mismatch: Mismatch) -> None:
    """The census took both sides to have what one of them has: here they part."""
    of_both = whole.source_types if whole.counted_at_target else whole.target_types
    for one in mismatch.fields:
        source, target = (None if value is MISSING else type_name(value) for value in (one.source, one.target))
        known, other = (target, source) if whole.counted_at_target else (source, target)
        if source == target:
            continue
        types = of_both.setdefault(one.field, Counter())
        if known is not None:
            types[_counted_as(known, types)] -= 1
        if other is not None:
            types[other] += 1


def _counted_as(name: str, types: Counter[str]) -> str:
    """Servers tell some types apart that are one here."""
    return next((one for one in _OF_SERVERS.get(name, ()) if types[one] > 0), name)


_OF_SERVERS = {"int": ("int", "long"), "binary": ("binData",), "empty": ("array", "object")}
