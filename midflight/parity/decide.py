"""Decide about one key from what was just seen of it and what was seen before. Pure.

A difference is settled at once where no lag can explain it: nobody writes any more (`frozen`), the target's own note
says that its rows are not what was applied, or that it holds the very image the source has.

Otherwise three looks decide, the last two with a barrier between them, and nothing may have changed from the first to
the last. One look before the barrier is not enough: a look reads the source before the target, so the target may have
taken a newer image in between that the source has then given up again, and source version, target version and token
would all be as before while the target is only late. The source of the *second* look was read after the token of the
first: if that token is still there when the barrier has passed, no change was on its way, and the target should have
said what the source said.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import NotRequired, TypedDict, Unpack

from midflight.parity.causes import cause_of
from midflight.parity.records import DELETED, QUARANTINED, Entry, FieldDifference, Kind, Mismatch, State

LOOKS_BEFORE_BARRIER = 2
HOT_RESETS = 5
"""A key that changed between two looks this often is hot: looking again does not help while it is written."""

Differences = tuple[FieldDifference, ...]


class Look(TypedDict):
    """What is the same for all keys of one look.

    `barrier_passed`: a barrier that was called after the look before this one has passed before this one began.
    `frozen`: nobody writes to the source, and the target has everything. `guarded`, unless said otherwise: the target
    notes what was applied to it.
    """

    entity: str
    barrier_passed: bool
    frozen: bool
    now: datetime
    guarded: NotRequired[bool]


def decide(
    source: Entry | None, target: Entry | None, differences: Differences, before: Mismatch | None, **look: Unpack[Look]
) -> Mismatch | None:
    """What is known of the key now; None where it is equal and was not known to differ.

    A key that is in quarantine, or absent on both sides, is equal. A mismatch that is equal now comes back cleared
    (or stays repaired); only its last look is new. Call it for every look at a mismatch, in order.
    """
    if _agree(source, target, differences):
        return None if before is None else _equal_now(before, look["now"])
    found = _seen(source, target, differences, look)
    known = before if before is not None and before.state in _OPEN else None
    if known is None:
        return _judged(found, source, target, look, settled=look["frozen"] or _certain(source, target))
    at_rest = _at_rest(known, found, source, target)
    found = _counted(found, known, at_rest)
    settled = look["frozen"] or _certain(source, target) or (at_rest and _outlasted(known, look["barrier_passed"]))
    return _judged(found, source, target, look, settled=settled)


def is_absent(entry: Entry | None) -> bool:
    """Whether the side has no such key, or knows that it is deleted."""
    return entry is None or entry.unreadable == DELETED


_OPEN = (State.SUSPECT, State.HOT, State.SETTLED)
_OF_KEYS = (Kind.MISSING, Kind.EXTRA)


def _agree(source: Entry | None, target: Entry | None, differences: Differences) -> bool:
    if _quarantined(source) or _quarantined(target):
        return True
    if is_absent(source) or is_absent(target):
        return is_absent(source) and is_absent(target)
    return not differences and not _unreadable(source) and not _unreadable(target)


def _quarantined(entry: Entry | None) -> bool:
    return entry is not None and entry.unreadable == QUARANTINED


def _unreadable(entry: Entry | None) -> bool:
    return entry is not None and entry.unreadable != ""


def _equal_now(before: Mismatch, now: datetime) -> Mismatch:
    state = State.REPAIRED if before.state is State.REPAIRED else State.CLEARED
    return replace(before, state=state, last_seen=now)


def _seen(source: Entry | None, target: Entry | None, differences: Differences, look: Look) -> Mismatch:
    """The first look at a mismatch; its cause and state are not judged yet."""
    entry = source or target
    assert entry is not None
    cause, fields = cause_of(source, target, differences, settled=False)
    return Mismatch(
        entity=look["entity"],
        key=entry.key,
        kind=_kind(source, target, differences),
        fields=fields,
        cause=cause,
        state=State.SUSPECT,
        first_seen=look["now"],
        last_seen=look["now"],
        rounds=1,
        source_version=source.version if source else None,
        target_version=target.version if target else None,
        token=target.token if target else None,
    )


def _kind(source: Entry | None, target: Entry | None, differences: Differences) -> Kind:
    if is_absent(source):
        return Kind.EXTRA
    if is_absent(target):
        return Kind.MISSING
    if _unreadable(source) or _unreadable(target):
        return Kind.UNREADABLE
    kinds = {difference.kind for difference in differences}
    # Missing and extra are said of whole keys; of a field they only mean that the key's value differs.
    return kinds.pop() if len(kinds) == 1 and kinds.isdisjoint(_OF_KEYS) else Kind.VALUE


def _certain(source: Entry | None, target: Entry | None) -> bool:
    """Whether the target's own note rules lag out."""
    if target is None:
        return False
    same_image = source is not None and source.version is not None and source.version == target.version
    return same_image or target.faithful is False


def _at_rest(known: Mismatch, found: Mismatch, source: Entry | None, target: Entry | None) -> bool:
    """Whether neither side has changed since the last look."""
    if _marks(known) != _marks(found):
        return False
    return (_told_apart(source) and _told_apart(target)) or _values(known) == _values(found)


def _marks(mismatch: Mismatch) -> tuple[object, ...]:
    absent = mismatch.kind if mismatch.kind in _OF_KEYS else None
    return absent, mismatch.source_version, mismatch.target_version, mismatch.token


def _told_apart(entry: Entry | None) -> bool:
    """Whether a change of the entry would show in its version or token; otherwise only in what differs."""
    return is_absent(entry) or (entry is not None and (entry.version is not None or entry.token is not None))


def _values(mismatch: Mismatch) -> list[tuple[object, ...]]:
    return [(difference.path, difference.source, difference.target) for difference in mismatch.fields]


def _counted(found: Mismatch, known: Mismatch, at_rest: bool) -> Mismatch:
    if not at_rest:
        return replace(found, resets=known.resets + 1)
    return replace(found, first_seen=known.first_seen, rounds=known.rounds + 1, resets=known.resets)


def _outlasted(known: Mismatch, barrier_passed: bool) -> bool:
    return known.state is State.SETTLED or (barrier_passed and known.rounds >= LOOKS_BEFORE_BARRIER)


def _judged(found: Mismatch, source: Entry | None, target: Entry | None, look: Look, *, settled: bool) -> Mismatch:
    if settled:
        guarded = look.get("guarded", True)
        cause, fields = cause_of(source, target, found.fields, settled=True, guarded=guarded)
        return replace(found, state=State.SETTLED, cause=cause, fields=fields)
    return replace(found, state=State.HOT if found.resets >= HOT_RESETS else State.SUSPECT)
