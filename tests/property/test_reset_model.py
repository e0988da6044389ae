"""A model of the reset of a copy (ADR 0009), searched exhaustively: one key, every interleaving.

It extends the protocol's model by what a rollback to `capture` does: the tail is stopped, the target emptied, the guard
row forgotten, the position pinned anew, the backfill run again. A sync that was given up for dead may still apply at
any later time. The rule under test: the reset raises the epoch, and an apply demands the epoch of its draw.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

ABSENT = 0
EMPTY = ("idle", 0, 0, ABSENT)
DONE = ("done", 0, 0, ABSENT)
Sync = tuple[str, int, int, int]  # what it does next, token, epoch, image


@dataclass(frozen=True)
class Stage:
    """Source and target of one key, the syncs under way, and what may still happen."""

    source: int = 1
    target: int = ABSENT
    guard: int = 0
    clock: int = 0
    epoch: int = 1
    pinned: bool = False
    pending: bool = False  # the feed holds a change of the key that the tail has not finished
    backfill: Sync = EMPTY
    tail: Sync = EMPTY
    zombie: Sync = EMPTY
    writes: int = 2
    resets: int = 1
    deaths: int = 1


def settled(stage: Stage) -> bool:
    """Everything has run to its end: now the target must equal the source."""
    quiet = stage.tail == EMPTY and stage.zombie in (EMPTY, DONE) and not stage.pending
    return stage.pinned and quiet and stage.backfill == DONE


def following(stage: Stage, *, reset_raises_epoch: bool) -> Iterator[Stage]:
    """Every stage that one step leads to."""
    if stage.writes:
        for value in (ABSENT, stage.source + 1):
            yield replace(stage, source=value, writes=stage.writes - 1, pending=stage.pinned)
    if not stage.pinned:
        yield replace(stage, pinned=True)
    yield from _steps(stage, "zombie", DONE)
    if stage.pinned:
        yield from _steps(stage, "backfill", DONE)
        if stage.pending or stage.tail != EMPTY:
            yield from _steps(stage, "tail", EMPTY)
    for name in ("tail", "backfill"):
        sync = getattr(stage, name)
        if stage.deaths and stage.zombie == EMPTY and sync[0] in ("read", "apply"):
            # Given up for dead, and started again from the beginning.
            dead = replace(stage, zombie=sync, deaths=stage.deaths - 1, pending=stage.pending or name == "tail")
            yield _with(dead, name, EMPTY)
    if stage.resets and stage.tail == EMPTY and stage.backfill in (EMPTY, DONE):
        epoch = stage.epoch + 1 if reset_raises_epoch else stage.epoch
        yield replace(
            stage,
            target=ABSENT,
            guard=0,
            epoch=epoch,
            pinned=False,
            pending=False,
            backfill=EMPTY,
            resets=stage.resets - 1,
        )


def _steps(stage: Stage, name: str, end: Sync) -> Iterator[Stage]:
    doing, token, epoch, image = getattr(stage, name)
    if doing == "idle" and name != "zombie":
        # The tail takes the change it works on: one that comes later is pending anew.
        pending = stage.pending and name != "tail"
        started = ("read", stage.clock + 1, stage.epoch, ABSENT)
        yield _with(replace(stage, clock=stage.clock + 1, pending=pending), name, started)
    elif doing == "read":
        brings = name != "backfill" or stage.source != ABSENT
        after = ("apply", token, epoch, stage.source) if brings else end
        yield _with(stage, name, after)
    elif doing == "apply":
        passes = epoch == stage.epoch and token > stage.guard
        written = replace(stage, target=image, guard=token) if passes else stage
        yield _with(written, name, end)


def _with(stage: Stage, name: str, sync: Sync) -> Stage:
    changes: dict[str, Any] = {name: sync}
    return replace(stage, **changes)


def search(*, reset_raises_epoch: bool) -> tuple[int, Stage | None]:
    """How many stages there are, and the first settled one in which the stores differ."""
    seen, todo = {Stage()}, deque([Stage()])
    while todo:
        stage = todo.popleft()
        if settled(stage) and stage.target != stage.source:
            return len(seen), stage
        for after in following(stage, reset_raises_epoch=reset_raises_epoch):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return len(seen), None


def test_a_reset_that_raises_the_epoch_never_leaves_the_stores_different() -> None:
    stages, counterexample = search(reset_raises_epoch=True)
    assert counterexample is None
    assert stages > 1_000


def test_without_the_raised_epoch_the_search_finds_a_document_that_came_back() -> None:
    _, counterexample = search(reset_raises_epoch=False)
    assert counterexample is not None
    assert counterexample.source != counterexample.target
