"""The levels of parity as options of a command."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from midflight.parity.levels import LEVELS
from midflight.parity.records import Level


class LevelName(StrEnum):
    """What may be said on the command line: the names of `midflight.parity.records.Level`."""

    STRUCTURE = "structure"
    CENSUS = "census"
    SAMPLE = "sample"
    FULL = "full"
    INVARIANTS = "invariants"


def levels_of(named: Iterable[LevelName] | None, default: tuple[Level, ...] = LEVELS) -> tuple[Level, ...]:
    """The named levels, from cheap to dear; the default where none is named."""
    names = {one.value for one in named or ()}
    return tuple(level for level in LEVELS if level in names) or default
