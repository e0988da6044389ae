"""Messages of the parity check."""

from __future__ import annotations

from typing import Literal

from midflight.contracts.base import Contract, DomainRef
from midflight.core.plan import Pacing

Mode = Literal["gate", "watch"]


class ParityRequest(Contract):
    """Input of CheckParity: compare every document of the domain, repair what has settled as different.

    Without a `run` the workflow is one of its own (by a schedule), and names the run itself. `repair` False only looks.
    `demand_pass`: end as failed where the verdict is not pass, so that it is seen.
    """

    ref: DomainRef
    run: str = ""
    pacing: Pacing
    paused: bool = False
    mode: Mode = "gate"
    repair: bool = True
    demand_pass: bool = False


class BeginParity(Contract):
    """Cut every collection into ranges for one run, unless that is done already."""

    ref: DomainRef
    run: str
    pacing: Pacing
    mode: Mode = "gate"


class OpenRange(Contract):
    """A range that is not done; number 0 is the walk over the target's keys."""

    collection: str
    number: int


class ParityBegun(Contract):
    """The ranges that are not done, and a token no smaller than any written before the run."""

    open: tuple[OpenRange, ...] = ()
    token: int = 0


class CompareRange(Contract):
    """Compare one range of both sides, from its committed place. `share`: so many work within the pacing at a time."""

    ref: DomainRef
    run: str
    collection: str
    number: int
    pacing: Pacing
    share: int = 1


class Compared(Contract):
    """Counts of this call: documents of the source."""

    compared: int = 0
    equal: int = 0
    suspects: int = 0
    done: bool = False


class SettleSuspects(Contract):
    """Look at the suspects again, once the tail has passed them, until each is decided."""

    ref: DomainRef
    run: str
    barrier_seconds: float = 60.0


class Settled(Contract):
    """How many keys differ for good, and how many never rest. `done` is false after a pause."""

    settled: int = 0
    hot: int = 0
    done: bool = False


class RepairSettled(Contract):
    """Bring what differs for good through the door again, and look whether that helped."""

    ref: DomainRef
    run: str
    barrier_seconds: float = 60.0


class Repaired(Contract):
    """How many keys are equal now, still differ, and were left alone (a mapping bug, too many deletes).

    `done` is false after a pause.
    """

    repaired: int = 0
    remaining: int = 0
    refused: int = 0
    done: bool = False


class FinishParity(Contract):
    """Say what each level came to, and close the run: it is the evidence then."""

    ref: DomainRef
    run: str


class LevelView(Contract):
    """What one level came to, in names and counts."""

    level: str
    verdict: str
    reason: str = ""


class ParityReport(Contract):
    """The outcome of a whole run. `mismatches`: keys that differ at its end, for good or as often as they were seen."""

    run: str = ""
    verdict: str = ""
    compared: int = 0
    equal: int = 0
    suspects: int = 0
    repaired: int = 0
    refused: int = 0
    mismatches: int = 0
    quarantined: int = 0
    token: int = 0
    levels: tuple[LevelView, ...] = ()
