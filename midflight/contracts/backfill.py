"""Messages of the backfill."""

from __future__ import annotations

from midflight.contracts.base import Contract, DomainRef
from midflight.core.plan import Pacing


class BackfillRequest(Contract):
    """Input of BackfillCollection."""

    ref: DomainRef
    collection: str
    pacing: Pacing
    paused: bool = False


class Steer(Contract):
    """From the domain's workflow to its children: stand still or go on, and how fast."""

    paused: bool
    pacing: Pacing


class PlanPartitions(Contract):
    """Cut a collection into key ranges, unless that is done already."""

    ref: DomainRef
    collection: str
    pacing: Pacing


class Partitioned(Contract):
    """Numbers of the partitions that are not done, and about how many documents there are in all.

    `committed` counts the documents of those that are done.
    """

    open: tuple[int, ...]
    expected: int
    partitions: int
    committed: int = 0


class CopyPartition(Contract):
    """Copy one partition from its committed cursor."""

    ref: DomainRef
    collection: str
    partition: int
    pacing: Pacing
    share: int = 1
    """By how many partitions at work the domain's rate is shared."""


class Copied(Contract):
    """Counts of this call, whether the partition is done, and how many of its documents are `committed` in all.

    Only the last survives a worker that dies: the counts of its call are never reported.
    """

    documents: int = 0
    committed: int = 0
    written: int = 0
    stale: int = 0
    quarantined: int = 0
    done: bool = False

    def __add__(self, other: Copied) -> Copied:
        return Copied(
            documents=self.documents + other.documents,
            committed=self.committed + other.committed,
            written=self.written + other.written,
            stale=self.stale + other.stale,
            quarantined=self.quarantined + other.quarantined,
            done=other.done,
        )


class Constrained(Contract):
    """What was built after the copy, and how many orphans went to quarantine."""

    indexes: int = 0
    foreign_keys: int = 0
    orphans: int = 0
