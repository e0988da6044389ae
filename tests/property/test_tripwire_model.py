"""A model of the way back with a late write (ADR 0016), searched exhaustively: one key, every interleaving.

It extends the protocol's model by what that leaves out: a delete that no fence refused, the tail as a tripwire, and the
order in which the way back drains. The target is the authority at the beginning. A late write in the gap that the ADR
names (after the tripwire's mark, before the flip back) is left out: only roles close it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

ABSENT = 0
KEY, MARK = "key", "mark"
Look = tuple[str, bool, int, int]  # idle | watch | judged | drawn, is it late, token and image of a forward sync
Reverse = tuple[str, int, int]  # idle | read | wrote, seq, image
IDLE: Look = ("idle", False, 0, 0)
RESTS: Reverse = ("idle", 0, 0)


@dataclass(frozen=True)
class World:
    """Both stores of one key, the feed, who works on it, and what may still happen."""

    source: int = 1
    target: int = 1
    truth: int = 1
    authority: str = "target"
    fenced: bool = True
    accepting: bool = True
    step: str = "open"  # open, closed, marked, back, done
    clock: int = 0
    guard: int = 0
    left: int = 1  # what the reverse writer left at the source: the guard's digest
    token: int = 0
    dirty: int = 0
    written_back: int = 0
    feed: tuple[str, ...] = ()
    tail: Look = IDLE
    reverse: Reverse = RESTS
    zombie: Reverse = RESTS
    writes: int = 2
    late_writes: int = 1
    deaths: int = 1


RULES = ("the mark is passed before the flip back", "the judgement commits only under the target", "nothing is pending")


def following(world: World, rules: frozenset[str]) -> Iterator[World]:
    """Every world that one step leads to."""
    yield from _application(world)
    yield from _tail(world, rules)
    yield from _reverse(world, "reverse")
    yield from _reverse(world, "zombie")
    if world.deaths and world.reverse[0] == "read" and world.zombie == RESTS:
        yield replace(world, zombie=world.reverse, reverse=RESTS, deaths=world.deaths - 1)
    yield from _controller(world, rules)


def _application(world: World) -> Iterator[World]:
    new, clock = world.truth + 10, world.clock + 1
    if world.writes and world.authority == "target" and world.accepting:
        left = world.writes - 1
        yield replace(world, target=new, truth=new, clock=clock, dirty=clock, writes=left)
    if world.writes and world.authority == "source" and not world.fenced:
        yield replace(world, source=new, truth=new, feed=(*world.feed, KEY), writes=world.writes - 1)
    if world.late_writes and world.authority == "target" and world.step in ("open", "closed"):
        yield replace(world, source=ABSENT, feed=(*world.feed, KEY), late_writes=world.late_writes - 1)


def _tail(world: World, rules: frozenset[str]) -> Iterator[World]:
    doing, late, token, image = world.tail
    if doing == "idle" and world.authority == "target":
        yield replace(world, tail=("watch", False, 0, 0))  # what it believes may be old when the next event comes
    elif doing == "idle" and world.feed:
        yield replace(world, clock=world.clock + 1, tail=("drawn", False, world.clock + 1, -1))
    elif doing == "watch" and world.feed:
        yield replace(world, tail=("judged", world.source != world.left, 0, 0))
    elif doing == "judged":
        if world.authority != "target" and RULES[1] in rules:
            yield replace(world, tail=IDLE)  # nothing was written: it looks again, as the applier that it is now
            return
        passed = replace(world, tail=IDLE, feed=world.feed[1:])
        clock = world.clock + 1
        yield replace(passed, clock=clock, dirty=clock) if late and world.feed[0] == KEY else passed
    elif doing == "drawn" and image < 0:
        yield replace(world, tail=("drawn", False, token, world.source))
    elif doing == "drawn":
        applied = replace(world, target=image, token=token) if token > world.token else world
        yield replace(applied, tail=IDLE, feed=world.feed[1:])


def _reverse(world: World, who: str) -> Iterator[World]:
    doing, seq, image = getattr(world, who)
    if who == "reverse" and doing == "idle" and world.dirty > world.written_back:
        yield replace(world, reverse=("read", world.dirty, world.target))
    elif doing == "read":
        after = world
        if seq > world.guard:
            after = replace(world, source=image, guard=seq, left=image, feed=(*world.feed, KEY))
        yield _put(after, who, ("wrote", seq, image))
    elif doing == "wrote":
        yield _put(replace(world, written_back=max(world.written_back, seq)), who, RESTS)


def _put(world: World, who: str, state: Reverse) -> World:
    return replace(world, reverse=state) if who == "reverse" else replace(world, zombie=state)


def _controller(world: World, rules: frozenset[str]) -> Iterator[World]:
    if world.step == "open":
        yield replace(world, step="closed", accepting=False)
    elif world.step == "closed":
        yield replace(world, step="marked", feed=(*world.feed, MARK))
    elif world.step == "marked":
        passed = MARK not in world.feed or RULES[0] not in rules
        drained = world.dirty <= world.written_back or RULES[2] not in rules
        if passed and drained:
            yield replace(world, step="back", authority="source")
    elif world.step == "back":
        yield replace(world, step="done", fenced=False)


def quiet(world: World) -> bool:
    """Everything has run to its end: both stores must hold the last accepted write."""
    idle = world.tail[0] in ("idle", "watch") and world.reverse == RESTS and world.zombie == RESTS
    return world.step == "done" and idle and not world.feed


def search(rules: frozenset[str]) -> tuple[int, World | None]:
    """How many worlds there are, and the first quiet one in which a store is wrong."""
    seen, todo = {World()}, deque([World()])
    while todo:
        world = todo.popleft()
        if quiet(world) and not world.source == world.target == world.truth:
            return len(seen), world
        for after in following(world, rules):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return len(seen), None


def test_a_late_write_never_becomes_the_truth() -> None:
    worlds, counterexample = search(frozenset(RULES))
    assert counterexample is None
    assert worlds > 1_000


@pytest.mark.parametrize("removed", RULES)
def test_without_one_of_the_rules_the_search_finds_a_lost_write(removed: str) -> None:
    _, counterexample = search(frozenset(RULES) - {removed})
    assert counterexample is not None
