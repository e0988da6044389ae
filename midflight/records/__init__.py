"""What crosses the ports beside documents and rows. Plain frozen values."""

from __future__ import annotations

from midflight.records.application import (
    READS_BREACHED,
    Beat,
    InstanceView,
    ReadMismatch,
    ReadReport,
)
from midflight.records.moving import (
    AuthorityRow,
    Changed,
    FieldCount,
    Finding,
    Guard,
    Held,
    KeyRange,
    LastChange,
    ParityProgress,
    Partition,
    Position,
    QuarantineEntry,
    RowsAndGuards,
    RowSpan,
    Suspect,
)
from midflight.records.way_back import (
    Archived,
    DirtyKey,
    FenceView,
    LateWrite,
    NotWritten,
    WriteBack,
)

__all__ = [
    "READS_BREACHED",
    "Archived",
    "AuthorityRow",
    "Beat",
    "Changed",
    "DirtyKey",
    "FenceView",
    "FieldCount",
    "Finding",
    "Guard",
    "Held",
    "InstanceView",
    "KeyRange",
    "LastChange",
    "LateWrite",
    "NotWritten",
    "ParityProgress",
    "Partition",
    "Position",
    "QuarantineEntry",
    "ReadMismatch",
    "ReadReport",
    "RowSpan",
    "RowsAndGuards",
    "Suspect",
    "WriteBack",
]
