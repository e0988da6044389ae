"""What crosses the ports on the way back to the source, and at its end."""

from __future__ import annotations

from dataclasses import dataclass

from midflight.core.outcome import Row


@dataclass(frozen=True, slots=True)
class DirtyKey:
    """A key that the application changed at the target, as one snapshot shows it: the mark and the rows.

    `rows` is None where the root row is gone; `root` then has what is left of it: the key column's value first, the
    rest column last (None for everything else).
    """

    row_key: object
    seq: int
    rows: tuple[list[Row], ...] | None
    root: Row


@dataclass(frozen=True, slots=True)
class WriteBack:
    """A document on its way back to the source: BSON bytes, or None where it is deleted."""

    key: bytes
    seq: int
    document: bytes | None


@dataclass(frozen=True, slots=True)
class NotWritten:
    """A document that the source refuses, and why (for people; no values)."""

    key: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class LateWrite:
    """A change of the source after the flip that is not the reverse tail's. `image`: BSON bytes, None for a delete."""

    key: bytes
    image: bytes | None


@dataclass(frozen=True, slots=True)
class FenceView:
    """Who refuses what in one place: a collection of the source, a table of the target."""

    place: str
    refuses: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Archived:
    """One collection in the archive: what was written, and that reading it back gave the same."""

    collection: str
    documents: int
    size: int
    digest: str
