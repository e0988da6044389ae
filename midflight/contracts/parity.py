"""Messages of the parity check."""

from __future__ import annotations

from midflight.contracts.base import Contract, DomainRef
from midflight.core.plan import Pacing


class ParityRequest(Contract):
    """Input of CheckParity: compare every document of the domain, repair what has settled as different."""

    ref: DomainRef
    run: str
    collections: tuple[str, ...]
    pacing: Pacing
    paused: bool = False


class BeginParity(Contract):
    """Cut a collection into ranges for one run, unless that is done already."""

    ref: DomainRef
    run: str
    collection: str
    pacing: Pacing


class ParityBegun(Contract):
    """Numbers of the ranges that are not done, and a token no smaller than any written before the run."""

    open: tuple[int, ...]
    token: int = 0


class CompareRange(Contract):
    """Compare the documents of one range, source against rebuilt, from its committed place."""

    ref: DomainRef
    run: str
    collection: str
    number: int
    batch_size: int


class Compared(Contract):
    """Counts of this call."""

    compared: int = 0
    equal: int = 0
    suspects: int = 0
    done: bool = False


class Recheck(Contract):
    """Look again at the suspects, once the tail has passed them; repair those that are still different."""

    ref: DomainRef
    run: str
    drain_seconds: float = 30.0


class Rechecked(Contract):
    """How many suspects there were, turned out equal, were repaired, and still differ.

    `done` is false after a pause.
    """

    suspects: int = 0
    cleared: int = 0
    repaired: int = 0
    remaining: int = 0
    done: bool = False


class FinishParity(Contract):
    """Close a run: its counts become the evidence."""

    ref: DomainRef
    run: str


class ParityReport(Contract):
    """The outcome of a whole run."""

    run: str = ""
    compared: int = 0
    equal: int = 0
    suspects: int = 0
    repaired: int = 0
    mismatches: int = 0
    token: int = 0
