"""Every history of one key, up to a few writes and looks: what is settled is wrong, and what is wrong gets settled.

The world is the protocol's: the source changes, each change leaves an event for the tail, tail and one shadow write
draw, read and apply in three steps of their own, and the guard takes only newer tokens. The verifier looks, with reads
of source and target in either order and anything in between, and calls a barrier whenever it likes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

import pytest

from midflight.parity.decide import decide
from midflight.parity.records import DELETED, Entry, FieldDifference, Kind, Mismatch, State

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ABSENT = None
Value = int | None


class Image(NamedTuple):
    """What a sync has read: the value, and how many writes there had been."""

    value: Value
    writes: int


class Sync(NamedTuple):
    """A sync on its way: it has drawn, and then read."""

    token: int
    image: Image | None = None


class Shown(NamedTuple):
    """What a look reads of the target, and whether the rows will stay wrong as far as the model knows."""

    rows: Value
    image: Value
    token: int
    wrong: bool


class Unread(NamedTuple):
    """No read yet."""


UNREAD = Unread()


class World(NamedTuple):
    source: Value
    rows: Value
    guard: Image
    token: int = 0
    clock: int = 1
    writes: int = 0
    pending: int = 0
    lost_at: int = 0
    """The number of the last write that left no event."""
    rogue_writes: int = 0
    tail: Sync | None = None
    shadow: Sync | None = None
    shadows: int = 0
    waits_for: int | None = None
    """How many events a barrier still waits for; None without a barrier."""
    looks: int = 0
    looking: bool = False
    after_barrier: bool = False
    source_seen: Value | Unread = UNREAD
    target_seen: Shown | Unread = UNREAD
    before: Mismatch | None = None


class Bounds(NamedTuple):
    values: tuple[Value, ...]
    writes: int
    looks: int
    shadows: int = 0
    lost: bool = False
    rogue_writes: int = 0


# --- the protocol ---------------------------------------------------------------------------------------------------


def written(world: World, bounds: Bounds) -> Iterator[World]:
    if world.writes == bounds.writes:
        return
    for value in bounds.values:
        if value != world.source:
            number = world.writes + 1
            yield world._replace(source=value, writes=number, pending=world.pending + 1)
            if bounds.lost:
                yield world._replace(source=value, writes=number, lost_at=number)


def written_by_others(world: World, bounds: Bounds) -> Iterator[World]:
    if world.rogue_writes < bounds.rogue_writes:
        for value in bounds.values:
            if value != world.rows:
                yield world._replace(rows=value, rogue_writes=world.rogue_writes + 1)


def tail_moved(world: World) -> Iterator[World]:
    if world.tail is None:
        if world.pending:
            yield world._replace(tail=Sync(world.clock), clock=world.clock + 1)
    elif world.tail.image is None:
        yield world._replace(tail=world.tail._replace(image=Image(world.source, world.writes)))
    else:
        waits_for = max(0, world.waits_for - 1) if world.waits_for is not None else None
        moved = world._replace(tail=None, pending=world.pending - 1, waits_for=waits_for)
        yield applied(moved, world.tail)


def shadow_moved(world: World, bounds: Bounds) -> Iterator[World]:
    if world.shadow is None:
        if world.shadows < bounds.shadows:
            yield world._replace(shadow=Sync(world.clock), clock=world.clock + 1, shadows=world.shadows + 1)
    elif world.shadow.image is None:
        yield world._replace(shadow=world.shadow._replace(image=Image(world.source, world.writes)))
    else:
        yield applied(world._replace(shadow=None), world.shadow)


def applied(world: World, sync: Sync) -> World:
    assert sync.image is not None
    if sync.token <= world.token:
        return world
    return world._replace(rows=sync.image.value, guard=sync.image, token=sync.token)


# --- the verifier ---------------------------------------------------------------------------------------------------


def verified(world: World, bounds: Bounds) -> Iterator[World]:
    if not world.looking:
        if world.looks < bounds.looks:
            yield begun(world)
            if world.before is not None and world.waits_for is None:
                yield world._replace(waits_for=world.pending)
        return
    if world.source_seen is UNREAD:
        yield judged(world._replace(source_seen=world.source))
    if world.target_seen is UNREAD:
        yield judged(world._replace(target_seen=shown(world)))


def begun(world: World) -> World:
    after_barrier = world.waits_for == 0
    return world._replace(looks=world.looks + 1, looking=True, after_barrier=after_barrier, waits_for=None)


def shown(world: World) -> Shown:
    wrong = world.rows != world.guard.value or world.lost_at > world.guard.writes
    return Shown(world.rows, world.guard.value, world.token, wrong)


def judged(world: World) -> World:
    """Once both sides are read, the look is over."""
    source, target = world.source_seen, world.target_seen
    if isinstance(source, Unread) or isinstance(target, Unread):
        return world
    before = decided(source, target, world.before, world.after_barrier)
    return world._replace(looking=False, source_seen=UNREAD, target_seen=UNREAD, after_barrier=False, before=before)


@cache
def decided(source: Value, target: Shown, before: Mismatch | None, after_barrier: bool) -> Mismatch | None:
    found = decide(
        of_source(source),
        of_target(target),
        differences(source, target.rows),
        before,
        entity="things",
        barrier_passed=after_barrier,
        frozen=False,
        now=NOW,
    )
    if found is not None and found.state is State.SETTLED:
        assert target.wrong, f"A mere lag was settled: {found}."
    return found


def of_source(value: Value) -> Entry | None:
    return None if value is ABSENT else Entry(b"key", {"a": value}, version(value))


def of_target(target: Shown) -> Entry:
    fields = {} if target.rows is ABSENT else {"a": target.rows}
    unreadable = DELETED if target.rows is ABSENT else ""
    return Entry(b"key", fields, version(target.image), target.token, unreadable=unreadable)


def version(value: Value) -> bytes | None:
    return None if value is ABSENT else b"%d" % value


def differences(source: Value, target: Value) -> tuple[FieldDifference, ...]:
    if source is ABSENT or target is ABSENT or source == target:
        return ()
    return (FieldDifference("a", Kind.VALUE, source, target),)


# --- all histories --------------------------------------------------------------------------------------------------


def nexts(world: World, bounds: Bounds) -> Iterator[World]:
    yield from written(world, bounds)
    yield from written_by_others(world, bounds)
    yield from tail_moved(world)
    yield from shadow_moved(world, bounds)
    yield from verified(world, bounds)


def all_worlds(bounds: Bounds) -> set[World]:
    first = bounds.values[0]
    start = World(source=first, rows=first, guard=Image(first, 0))
    found, waiting = {start}, [start]
    while waiting:
        for world in nexts(waiting.pop(), bounds):
            if world not in found:
                found.add(world)
                waiting.append(world)
    return found


def at_rest(world: World) -> World:
    """The same world after everything that is on its way has arrived, and a look that is open was given up."""
    while world.pending or world.shadow:
        world = next(tail_moved(world), None) or next(shadow_moved(world, NOTHING_NEW))
    return world._replace(looking=False, source_seen=UNREAD, target_seen=UNREAD, waits_for=None)


NOTHING_NEW = Bounds((), 0, 0)


def looked_at(world: World, *, after_barrier: bool) -> World:
    return world._replace(before=decided(world.source, shown(world), world.before, after_barrier))


def one_round(world: World) -> Mismatch | None:
    """Look, look, barrier, look, while nothing changes."""
    for after_barrier in (False, False, True):
        world = looked_at(world, after_barrier=after_barrier)
    return world.before


FAULTLESS = [
    pytest.param(Bounds((0, 1), writes=3, looks=4, shadows=1), id="two values, a shadow write"),
    pytest.param(Bounds((0, ABSENT), writes=3, looks=4, shadows=1), id="deleted and written again"),
    pytest.param(Bounds((ABSENT, 0, 1), writes=3, looks=4), id="three values"),
]
FAULTY = [
    pytest.param(Bounds((0, 1), writes=3, looks=3, lost=True), id="lost events"),
    pytest.param(Bounds((0, 1), writes=2, looks=3, rogue_writes=1), id="rogue write"),
    pytest.param(Bounds((0, ABSENT), writes=2, looks=3, lost=True, rogue_writes=1), id="lost deletes, rogue write"),
]


@pytest.mark.parametrize("bounds", FAULTLESS)
def test_a_mere_lag_is_never_settled(bounds: Bounds) -> None:
    for world in all_worlds(bounds):
        assert world.before is None or world.before.state is not State.SETTLED


@pytest.mark.parametrize("bounds", FAULTY)
def test_what_is_settled_is_wrong_and_what_lasts_is_settled(bounds: Bounds) -> None:
    resting = {at_rest(world) for world in all_worlds(bounds)}
    assert any(world.rows != world.source for world in resting)
    for world in resting:
        found = one_round(world)
        if world.rows == world.source:
            assert found is None or found.state is State.CLEARED
        else:
            assert found is not None
            assert found.state is State.SETTLED
