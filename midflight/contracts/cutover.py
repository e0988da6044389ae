"""Messages of the stages and of the cutover."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from midflight.contracts.base import Contract, DomainRef
from midflight.core.phase import Stage


class SetStage(Contract):
    """Move the stage in the authority row; percentages in basis points.

    With an `epoch` only in that one, and not out of a handover's hold: a request that comes late changes nothing.
    """

    ref: DomainRef
    stage: Stage
    reads_bp: int = 0
    dark_reads_bp: int = 0
    epoch: int | None = None


class Staged(Contract):
    """The row after a change of stage, and the instances of the application that did not obey it in time."""

    epoch: int
    revision: int
    late: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether nobody is late."""
        return not self.late


class AwaitAcknowledged(Contract):
    """Wait until every live instance obeys this revision with no older write in flight."""

    ref: DomainRef
    revision: int
    within_seconds: float


class HandOver(Contract):
    """Hold, fence, drain, verify and flip, within `seconds` or not at all. `epoch` is the one before the flip.

    `token`: every guard row up to it has been compared.
    """

    ref: DomainRef
    epoch: int
    token: int
    seconds: float


class HandBack(Contract):
    """Close the target, drain the dirty marks and make the source the authority, within `seconds` or not at all."""

    ref: DomainRef
    epoch: int
    seconds: float


class HandedOver(Contract):
    """How a handover ended: with the new authority, or undone with the reason. `steps`: seconds by step's name.

    `late` names instances that did not acknowledge in time. `seconds` is how long writes were held.
    """

    done: bool
    epoch: int
    reason: str = ""
    late: tuple[str, ...] = ()
    seconds: float = 0.0
    steps: dict[str, float] = Field(default_factory=dict)
    compared: int = 0


class Rehearse(Contract):
    """Go through the steps of a handover that do no harm, and say how long writes would wait.

    `acknowledge_seconds` is what the instances needed for the last change of stage.
    """

    ref: DomainRef
    token: int
    acknowledge_seconds: float = 0.0


class Rehearsed(Contract):
    """The forecast of the hold in seconds, by step, and the token up to which everything has been compared."""

    forecast_seconds: float
    steps: dict[str, float] = Field(default_factory=dict)
    token: int = 0


class WatchReads(Contract):
    """Watch what the application's reads show for `seconds`; a breach of the limits sets reads back at once."""

    ref: DomainRef
    seconds: float


class Watched(Contract):
    """Whether the time is over (`done`), or why reads were set back. `seconds` were watched."""

    done: bool
    seconds: float = 0.0
    breaches: tuple[str, ...] = ()


class Record(Contract):
    """An entry for the audit trail in the ledger."""

    ref: DomainRef
    kind: str
    person: str
    details: dict[str, Any] = Field(default_factory=dict)


class Undo(Contract):
    """What a rollback takes back: the copy (epoch + 1, tables emptied) or only the backfill's progress.

    With an `epoch` only in that one: a request that comes late, or again, changes nothing.
    """

    ref: DomainRef
    forget_copy: bool = False
    forget_partitions: bool = False
    epoch: int | None = None
