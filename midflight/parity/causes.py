"""Why a key differs, as far as two entries and the guard can tell. Pure.

The versions speak first where they prove something: a target that holds an older image is late or has lost an update,
whatever the values look like. Where the target should hold this very image, the values' pattern says what happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from midflight.parity.patterns import pattern_of
from midflight.parity.records import DELETED, Cause, Entry, FieldDifference, Mismatch, State

MAPPING_BUG_SHARE = 0.5
MAPPING_BUG_KEYS = 10
_LATE = (Cause.STALE, Cause.LOST_UPDATE, Cause.LOST_DELETE)

Differences = tuple[FieldDifference, ...]


def cause_of(
    source: Entry | None, target: Entry | None, differences: Differences, *, settled: bool
) -> tuple[Cause, Differences]:
    """The key's cause, and the differences with the pattern of each as its cause (unknown where there is none).

    What is not settled is stale: the target may only be late.
    """
    fields = tuple(replace(one, cause=pattern_of(one.source, one.target)) for one in differences)
    if not settled:
        return Cause.STALE, fields
    if source is None or source.unreadable == DELETED:
        return _extra(target), fields
    if target is None or target.unreadable == DELETED:
        return _missing(target), fields
    return _differing(source, target, fields), fields


def by_group(mismatches: Sequence[Mismatch], compared: Mapping[str, int]) -> list[Mismatch]:
    """The mismatches, with the cause mapping bug where the same field is settled in most compared keys of its entity.

    `compared` counts keys by entity. Fields keep their pattern. Keys of which the target holds an older image do not
    count: a tail that stopped makes the same field differ everywhere, too, and the mapping is not to blame.
    """
    counted = Counter((one.entity, name) for one in mismatches if _by_mapping(one) for name in _names(one))
    wrong = {
        (entity, name)
        for (entity, name), keys in counted.items()
        if keys >= MAPPING_BUG_KEYS and keys > MAPPING_BUG_SHARE * compared.get(entity, 0)
    }
    return [_with_mapping_bug(one, wrong) for one in mismatches]


def _extra(target: Entry | None) -> Cause:
    """Rows of a key that the source does not have: the guard says that they should be gone, or still knows them."""
    if target is None:
        return Cause.UNKNOWN
    return Cause.ROGUE_WRITE if target.faithful is False or target.version is None else Cause.LOST_DELETE


def _missing(target: Entry | None) -> Cause:
    """No rows of a key that the source has: it never came, or the guard knows an image, so somebody took them away."""
    return Cause.LOST_UPDATE if target is None or target.version is None else Cause.ROGUE_WRITE


def _differing(source: Entry, target: Entry, fields: Differences) -> Cause:
    if source.version is not None and target.version is not None and source.version != target.version:
        return Cause.ROGUE_WRITE if target.faithful is False else Cause.LOST_UPDATE
    if source.version is not None and target.version is None:
        return Cause.ROGUE_WRITE
    patterns = Counter(one.cause for one in fields)
    unexplained = patterns.pop(Cause.UNKNOWN, 0)
    if patterns and not unexplained:
        return patterns.most_common(1)[0][0]
    if target.faithful is False or source.version is not None:
        return Cause.ROGUE_WRITE
    return patterns.most_common(1)[0][0] if patterns else Cause.UNKNOWN


def _by_mapping(mismatch: Mismatch) -> bool:
    return mismatch.state is State.SETTLED and mismatch.cause not in _LATE


def _names(mismatch: Mismatch) -> set[str]:
    return {one.field for one in mismatch.fields}


def _with_mapping_bug(mismatch: Mismatch, wrong: set[tuple[str, str]]) -> Mismatch:
    if _by_mapping(mismatch) and any((mismatch.entity, name) in wrong for name in _names(mismatch)):
        return replace(mismatch, cause=Cause.MAPPING_BUG)
    return mismatch
