"""Messages of the stages and of the cutover."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from midflight.contracts.base import Contract, DomainRef
from midflight.core.phase import Stage


class SetStage(Contract):
    """Move the stage in the authority row; percentages in basis points."""

    ref: DomainRef
    stage: Stage
    reads_bp: int = 0
    dark_reads_bp: int = 0


class Fence(Contract):
    """The collections to fence or to open again; the target need not answer for either."""

    ref: DomainRef
    collections: tuple[str, ...]


class Flip(Contract):
    """Make the target the authority, if the epoch is still this one."""

    ref: DomainRef
    epoch: int


class Flipped(Contract):
    """The new epoch."""

    epoch: int


class Record(Contract):
    """An entry for the audit trail in the ledger."""

    ref: DomainRef
    kind: str
    person: str
    details: dict[str, Any] = Field(default_factory=dict)


class Undo(Contract):
    """What a rollback takes back: the copy (epoch + 1, tables emptied) or only the backfill's progress."""

    ref: DomainRef
    forget_copy: bool = False
    forget_partitions: bool = False
