"""The phases of a domain's move, their order, and which of them can still be undone."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Where the move stands. Recorded, never deduced."""

    PREPARE = "prepare"
    CAPTURE = "capture"
    BACKFILL = "backfill"
    VERIFY = "verify"
    DARK_READ = "dark_read"
    RAMP = "ramp"
    CUTOVER = "cutover"
    SOAK = "soak"
    RETIRE = "retire"
    DECOMMISSION = "decommission"
    DONE = "done"


ORDER: tuple[Phase, ...] = tuple(Phase)
UNDOABLE: frozenset[Phase] = frozenset(ORDER[: ORDER.index(Phase.SOAK)])
"""Where a rollback may lead to: every phase before the flip."""


def after(phase: Phase) -> Phase:
    """The phase that follows; `done` follows itself."""
    return ORDER[min(ORDER.index(phase) + 1, len(ORDER) - 1)]


def precedes(first: Phase, second: Phase) -> bool:
    """Whether `first` comes strictly before `second`."""
    return ORDER.index(first) < ORDER.index(second)


def at_least(phase: Phase, floor: Phase) -> bool:
    """Whether `phase` is `floor` or later."""
    return not precedes(phase, floor)


class Stage(StrEnum):
    """What the application sees in the authority row; protocol section 3."""

    OFF = "off"
    SHADOW = "shadow"
    DARK_READ = "dark_read"
    RAMP = "ramp"
    HOLD = "hold"
    TARGET = "target"
    TARGET_ONLY = "target_only"


STAGE_OF: dict[Phase, Stage] = {
    Phase.PREPARE: Stage.OFF,
    Phase.CAPTURE: Stage.SHADOW,
    Phase.BACKFILL: Stage.SHADOW,
    Phase.VERIFY: Stage.SHADOW,
    Phase.DARK_READ: Stage.DARK_READ,
    Phase.RAMP: Stage.RAMP,
    Phase.CUTOVER: Stage.RAMP,
    Phase.SOAK: Stage.TARGET,
    Phase.RETIRE: Stage.TARGET_ONLY,
    Phase.DECOMMISSION: Stage.TARGET_ONLY,
    Phase.DONE: Stage.TARGET_ONLY,
}
"""The stage in which a phase begins."""
