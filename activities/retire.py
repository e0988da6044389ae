"""The end of the source: an archive that is read back, then the drop. After the first drop there is no way back."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

from temporalio import activity

from activities.opened import opened
from activities.slices import beating
from midflight.contracts.retire import Archive, ArchivedCollection, ArchiveReport, Drop
from midflight.core.phase import Stage
from midflight.errors import ArchiveDiffers, AuthorityMoved
from midflight.ports import Stores
from midflight.records import Archived
from midflight.sync import Bridge

REPORT = "archive.json"
"""Written last: a folder without it holds an archive that was not finished."""
DROPPING = "dropping"
DROPPED = "dropped"


class RetireActivities:
    """The activities of decommission. `archive_dir` is this worker's; all workers of a task queue must share it."""

    def __init__(self, stores: Stores, archive_dir: Path) -> None:
        self._stores = stores
        self._directory = archive_dir

    @activity.defn
    async def archive(self, request: Archive) -> ArchiveReport:
        """Write every document to `<archive_dir>/<domain>-<n>` and read it back. A finished one that holds is kept."""
        async with opened(self._stores, request.ref) as work, beating(request.ref.domain, "archive"):
            for number in count(1):
                folder = self._directory / f"{request.ref.domain}-{number}"
                report = await asyncio.to_thread(_finished, folder)
                if report is None:
                    return await _archive(work, folder)
                if await _holds(work, report, folder):
                    return report
        raise AssertionError("numbers do not end")

    @activity.defn
    async def drop(self, request: Drop) -> None:
        """Drop the source's collections and what of ours is beside them, and the triggers of the target tables.

        ArchiveDiffers, with nothing dropped, unless archive and source still hold the same.
        """
        folder = self._directory / request.archive.folder
        async with opened(self._stores, request.ref) as work, beating(request.ref.domain, "drop"):
            await _demand_retired(work)
            if not await _begun(work, request.archive.folder):
                await _demand_equal(work, request.archive, folder)
                details = {"folder": request.archive.folder, "collections": list(_names(work))}
                await work.target.ledger.record(request.ref.domain, DROPPING, "midflight", details)
            await _drop(work, request.archive.folder)


async def _archive(work: Bridge, folder: Path) -> ArchiveReport:
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    archived = [await work.source.archive.archive(name, str(folder)) for name in _names(work)]
    views = tuple(
        ArchivedCollection(collection=a.collection, documents=a.documents, size=a.size, digest=a.digest)
        for a in archived
    )
    report = ArchiveReport(folder=folder.name, collections=views)
    await asyncio.to_thread((folder / REPORT).write_text, report.model_dump_json(indent=2))
    return report


def _finished(folder: Path) -> ArchiveReport | None:
    try:
        return ArchiveReport.model_validate_json((folder / REPORT).read_text())
    except FileNotFoundError:
        return None


async def _holds(work: Bridge, report: ArchiveReport, folder: Path) -> bool:
    """Whether archive and source still hold the same."""
    views = {view.collection: view for view in report.collections}
    if set(views) != set(_names(work)):
        return False
    kept = [Archived(view.collection, view.documents, view.size, view.digest) for view in views.values()]
    return all([await work.source.archive.verify(one, str(folder)) for one in kept])


async def _demand_retired(work: Bridge) -> None:
    row = await work.target.ledger.authority(work.plan.domain)
    if row.stage is not Stage.TARGET_ONLY:
        raise AuthorityMoved(
            f"The stage of {work.plan.domain} is {row.stage}: nothing was dropped.",
            next_step="Retire the source first.",
        )


async def _begun(work: Bridge, folder: str) -> bool:
    """Whether an earlier attempt has verified and may have dropped: then the source cannot be compared any more."""
    trail = await work.target.ledger.audit(work.plan.domain)
    return any(entry["kind"] == DROPPING and entry["details"].get("folder") == folder for entry in trail)


async def _demand_equal(work: Bridge, report: ArchiveReport, folder: Path) -> None:
    if not await _holds(work, report, folder):
        raise ArchiveDiffers(
            f"Archive {report.folder} and the source of {work.plan.domain} do not hold the same: nothing was dropped.",
            next_step="Look for late writes in the quarantine, then archive again.",
        )


async def _drop(work: Bridge, folder: str) -> None:
    """Each step may be repeated."""
    source, names = work.source, list(_names(work))
    await source.archive.drop(names)
    await source.fence.lower_fence(names, work.plan.source.application_users)
    await source.reverse.forget_guards(names)
    await source.feed.forget(work.plan.domain)
    await work.target.fence.remove(work.plan)
    await work.target.ledger.record(work.plan.domain, DROPPED, "midflight", {"folder": folder})


def _names(work: Bridge) -> tuple[str, ...]:
    return tuple(collection.collection for collection in work.plan.collections)
