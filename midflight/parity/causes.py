"""Why a key differs, as far as two entries and the guard can tell. Pure.

The versions speak first where they prove something: a target that holds an older image is late or has lost an update,
whatever the values look like. Where the target should hold this very image, the values' pattern says what happened.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from midflight.parity.forms.normal import MISSING, ORPHAN
from midflight.parity.patterns import pattern_of
from midflight.parity.records import DELETED, Cause, Entry, FieldDifference, Kind, Mismatch, State

MAPPING_BUG_SHARE = 0.5
MAPPING_BUG_KEYS = 10
_OF_A_COLUMN = re.compile(r"(?:^|(?<!\\)\.)=")
"""A part of a path that names a column, not a field."""
_LATE = (Cause.STALE, Cause.LOST_UPDATE, Cause.LOST_DELETE)

Differences = tuple[FieldDifference, ...]


def cause_of(
    source: Entry | None, target: Entry | None, differences: Differences, *, settled: bool, guarded: bool = True
) -> tuple[Cause, Differences]:
    """The key's cause, and the differences with the pattern of each as its cause (unknown where there is none).

    What is not settled is stale: the target may only be late. `guarded` is whether the target notes what was applied:
    if so, rows without a note are somebody else's; if not, nobody can tell a rogue write from a loss.
    """
    fields = _with_patterns(source, differences)
    if not settled:
        return Cause.STALE, fields
    if source is None or source.unreadable == DELETED:
        return _extra(target, guarded), fields
    if target is None or target.unreadable == DELETED:
        return _missing(target), fields
    return _differing(source, target, fields, guarded), fields


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


def _with_patterns(source: Entry | None, differences: Differences) -> Differences:
    made_up = _without_counterpart(source, differences)
    return tuple(replace(one, cause=_pattern(one, made_up)) for one in differences)


def _pattern(one: FieldDifference, made_up: Set[str]) -> Cause:
    # Values of elements that changed places, and of what the source has no place for, say nothing.
    return Cause.UNKNOWN if one.kind is Kind.ORDER or one.path in made_up else pattern_of(one.source, one.target)


def _without_counterpart(source: Entry | None, differences: Differences) -> Set[str]:
    """Paths that only the target has, though nobody filled in a field: elements too many, and what replaced another."""
    extra = [one.path for one in differences if one.source is MISSING]
    if source is None or not extra:
        return frozenset()
    lost = {one.path for one in differences if one.target is MISSING}
    around = {way for path in lost for way in _ways_to(path)}
    elements = _elements(source.fields)
    return {
        path for path in extra if path in around or _elements([path]) - elements or lost.intersection(_ways_to(path))
    }


def _elements(paths: Iterable[str]) -> Set[str]:
    """The elements of arrays that these paths lead through, or to."""
    return {way for path in paths for way in (*_ways_to(path), path) if _is_element(way)}


def _is_element(path: str) -> bool:
    return path.rpartition(".")[2].isdigit()


def _ways_to(path: str) -> Iterator[str]:
    """The places that a path leads through."""
    return (path[:end] for end, letter in enumerate(path) if letter == ".")


def _extra(target: Entry | None, guarded: bool) -> Cause:
    """Rows of a key that the source does not have: the guard says that they should be gone, or still knows them."""
    if target is None or not (guarded or _is_noted(target)):
        return Cause.UNKNOWN
    return Cause.ROGUE_WRITE if target.faithful is False or target.version is None else Cause.LOST_DELETE


def _missing(target: Entry | None) -> Cause:
    """No rows of a key that the source has: it never came, or the guard knows an image, so somebody took them away."""
    return Cause.LOST_UPDATE if target is None or target.version is None else Cause.ROGUE_WRITE


def _differing(source: Entry, target: Entry, fields: Differences, guarded: bool) -> Cause:
    noted = source.version is not None and _is_noted(target)
    if noted and target.version is not None and source.version != target.version:
        return Cause.ROGUE_WRITE if target.faithful is False else Cause.LOST_UPDATE
    if source.version is not None and target.version is None and (guarded or noted):
        return Cause.ROGUE_WRITE
    unexplained = [one for one in fields if one.cause is Cause.UNKNOWN]
    patterns = Counter(one.cause for one in fields if one.cause is not Cause.UNKNOWN)
    if patterns and not (unexplained and noted):
        return patterns.most_common(1)[0][0]
    return _of_this_image(target, unexplained) if noted or target.faithful is False else Cause.UNKNOWN


def _of_this_image(target: Entry, unexplained: Sequence[FieldDifference]) -> Cause:
    """Rows that should hold what the source holds. Either they were changed, or the copier makes such rows of it."""
    if target.faithful is True and all(map(_is_vouched_for, unexplained)):
        return Cause.UNKNOWN
    return Cause.ROGUE_WRITE


def _is_vouched_for(one: FieldDifference) -> bool:
    """Whether a rebuilt document would have shown it: columns that are only computed, and stray rows, are not in it."""
    return one.target != ORPHAN and not _OF_A_COLUMN.search(one.path)


def _is_noted(target: Entry) -> bool:
    return target.version is not None or target.token is not None


def _by_mapping(mismatch: Mismatch) -> bool:
    return mismatch.state is State.SETTLED and mismatch.cause not in _LATE


def _names(mismatch: Mismatch) -> set[str]:
    return {one.field for one in mismatch.fields}


def _with_mapping_bug(mismatch: Mismatch, wrong: set[tuple[str, str]]) -> Mismatch:
    if _by_mapping(mismatch) and any((mismatch.entity, name) in wrong for name in _names(mismatch)):
        return replace(mismatch, cause=Cause.MAPPING_BUG)
    return mismatch
