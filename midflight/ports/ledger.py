"""The ports of the ledger: what Midflight remembers, dirty marks, parity runs, instances of the application.

Documents cross as BSON bytes, keys as canonical bytes (`midflight.core.keys`), rows as tuples (`core.tables`).
All raise `midflight.errors` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from midflight.core.gates import Evidence
from midflight.core.outcome import FeedPosition
from midflight.core.phase import Stage
from midflight.core.plan import Plan
from midflight.core.routing import Route
from midflight.records import (
    AuthorityRow,
    Beat,
    DirtyKey,
    InstanceView,
    KeyRange,
    LateWrite,
    Partition,
    Position,
    QuarantineEntry,
    ReadMismatch,
    ReadReport,
)


class Ledger(Protocol):
    """Everything Midflight remembers in the target, except guard rows (the door's)."""

    async def register(self, plan: Plan) -> None:
        """Record the plan and its authority row. LedgerConflict if another fingerprint of a live domain is recorded."""

    async def plan(self, domain: str) -> Plan:
        """The recorded plan. DomainUnknown."""

    async def authority(self, domain: str) -> AuthorityRow: ...

    async def set_stage(
        self, domain: str, stage: Stage, reads_bp: int, dark_reads_bp: int, epoch: int | None = None
    ) -> AuthorityRow:
        """Move the stage while the source is the authority; AuthorityMoved otherwise (unless it is already so).

        With an epoch also AuthorityMoved in another epoch, and out of `hold`, which only a handover may leave.
        """

    async def set_back(self, domain: str, revision: int, dark_reads_bp: int, breaches: Sequence[str]) -> bool:
        """From `ramp` with this revision to `dark_read`, and the reason into the audit trail (`READS_BREACHED`).

        False, and nothing done, where the row has moved meanwhile: then the breach is not one of what holds now.
        """

    async def flip(self, domain: str, epoch: int, revision: int | None = None) -> int:
        """authority = target, epoch + 1, accepting, stage = target.

        Only while the row has that revision, if one is given: it is that of the caller's own hold.
        Returns the new epoch. Repeating with the old epoch is safe.
        """

    async def raise_clock(self, above: int) -> None:
        """Every token and every dirty mark from now on is larger than this. A clock that is larger already stays."""

    async def hold(self, domain: str) -> AuthorityRow:
        """Stage = hold while the target still accepts: new writes wait, those in flight end where they began.

        Repeating is safe. AuthorityMoved while the source is the authority.
        """

    async def close(self, domain: str, revision: int | None = None) -> AuthorityRow:
        """The target stays the authority, but accepts nothing: stage = hold. Waits for its transactions in flight.

        Only while the row has that revision, if one is given: it is that of the caller's own `hold`.
        Repeating is safe. AuthorityMoved while the source is the authority.
        """

    async def reopen(self, domain: str) -> AuthorityRow:
        """Take `hold` and `close` back: accepting, stage = target.

        Repeating is safe. AuthorityMoved while the source is the authority.
        """

    async def flip_back(self, domain: str, epoch: int) -> AuthorityRow:
        """authority = source, epoch + 1, stage stays `hold`. Only when closed, and with nothing pending: NotDrained.

        Repeating with the old epoch is safe.
        """

    async def retire(self, domain: str) -> None:
        """stage = target_only. Repeating is safe."""

    async def reset(self, plan: Plan, epoch: int | None = None) -> None:
        """Forget the copy.

        Epoch + 1 (older tokens of zombies die), target tables emptied, guards, partitions, position gone.
        With an epoch: nothing is done in the next one (this was asked for before), AuthorityMoved in any other.
        """

    async def pin(self, domain: str, token: bytes) -> None:
        """Record the starting position; an existing one stays."""

    async def position(self, domain: str) -> Position | None: ...

    async def report_lag(self, domain: str, lag_seconds: float) -> None: ...

    async def put_partitions(self, domain: str, collection: str, ranges: Sequence[KeyRange]) -> None:
        """Record the partitions; existing ones stay (a repeated call changes nothing)."""

    async def partitions(self, domain: str, collection: str) -> list[Partition]: ...

    async def reset_partitions(self, domain: str, epoch: int | None = None) -> None:
        """Forget all partitions, so that a new backfill starts from the beginning. AuthorityMoved: another epoch."""

    async def quarantined(
        self, domain: str, *, collection: str | None = None, only_open: bool = True, at_most: int = 1_000
    ) -> list[QuarantineEntry]: ...

    async def waive(self, domain: str, number: int, person: str, reason: str) -> QuarantineEntry: ...

    async def record(self, domain: str, kind: str, person: str, details: dict[str, Any]) -> None:
        """Append to the audit trail (phase changes, gates with evidence, approvals, repairs)."""

    async def audit(self, domain: str, at_most: int = 1_000) -> list[dict[str, Any]]:
        """The audit trail, oldest first: at, kind, person, details."""

    async def evidence(self, domain: str) -> Evidence:
        """Everything the gates ask for except what the source knows (the feed window) and the schema (pending)."""

    async def counts(self, plan: Plan) -> dict[str, dict[str, int]]:
        """By collection: documents (live guard rows), tombstones, quarantined, rows (of all its tables)."""


class ReverseStore(Protocol):
    """Dirty marks: which keys the application changed at the target. Protocol section 5."""

    async def dirty(self, plan: Plan, collection: str, at_most: int) -> list[DirtyKey]:
        """Pending keys that were not refused, oldest first, marks and rows in one snapshot."""

    async def written_back(self, domain: str, collection: str, keys: Sequence[tuple[object, int]]) -> None:
        """Each key (row key, seq) is written back up to that seq: a newer mark stays pending."""

    async def refuse(self, domain: str, collection: str, row_key: object, seq: int, reason: str) -> None:
        """The source refuses this image of the key; a newer mark makes it pending again."""

    async def pending(self, domain: str) -> tuple[int, int]:
        """How many keys are pending, and how many of them the source refuses."""

    async def retry_refused(self, domain: str) -> int:
        """Make the refused ones pending again; returns how many."""

    async def late(self, plan: Plan, position: FeedPosition, writes: dict[str, list[LateWrite]]) -> None:
        """In one transaction: the tail's position moves (Superseded), each late write goes to quarantine with its

        image (path `tripwire`), and its key becomes dirty, so that the reverse tail puts the source right again.
        """


class Registry(Protocol):
    """What instances of the application's library and the ledger say to one another."""

    async def poll(self, beats: dict[str, Beat]) -> dict[str, Route]:
        """For each domain: renew the lease and acknowledge, then the route. One round trip. Unknown domains are left
        out."""

    async def woken(self, seconds: float) -> bool:
        """Wait until some route has changed (True) or the time is over (False)."""

    async def leave(self, domain: str, instance: str) -> None:
        """The instance ends: nobody needs to wait for it."""

    async def instances(self, domain: str) -> list[InstanceView]:
        """Instances whose lease has not run out."""

    async def publish(
        self, domain: str, instance: str, reports: Sequence[ReadReport], mismatches: Sequence[ReadMismatch]
    ) -> None:
        """Append what reads showed; old entries are pruned."""

    async def mismatches(self, domain: str, at_most: int) -> list[dict[str, Any]]:
        """The newest differences: at, instance, operation, entity, fields, cause, sides."""
