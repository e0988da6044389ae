"""Messages of retire and decommission."""

from __future__ import annotations

from midflight.contracts.base import Contract, DomainRef


class ArchivedCollection(Contract):
    """One collection in the archive; digest in hex."""

    collection: str
    documents: int
    size: int
    digest: str


class Archive(Contract):
    """Write every document of the domain to the worker's archive, and read it back."""

    ref: DomainRef


class ArchiveReport(Contract):
    """What the archive holds; `folder` is its name below the worker's archive directory."""

    folder: str
    collections: tuple[ArchivedCollection, ...] = ()


class Drop(Contract):
    """Drop the source's collections, our fence, guards and marks, and the triggers of the target tables.

    Only if the archive still reads back as reported.
    """

    ref: DomainRef
    archive: ArchiveReport
