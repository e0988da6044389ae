"""The runbook, phase by phase. Each phase can be entered again after any interruption."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.backfill import BackfillActivities
    from activities.cutover import CutoverActivities
    from activities.prepare import PrepareActivities
    from activities.retire import RetireActivities
    from activities.tail import TailActivities
    from midflight.contracts.backfill import BackfillRequest, Constrained, Copied
    from midflight.contracts.cutover import Staged
    from midflight.contracts.domain import CollectionProgress
    from midflight.contracts.prepare import Checked, PrepareRequest
    from midflight.contracts.retire import Archive, ArchiveReport, Drop
    from midflight.core.phase import Phase, Stage
    from workflows import options
    from workflows.backfill import BackfillCollection
    from workflows.gatekeeper import pass_gate
    from workflows.handover import forecast, hand_over
    from workflows.move import Move
    from workflows.steering import Parked, together
    from workflows.verify import check_parity


async def prepare(move: Move) -> None:
    """Look before touching; then ledger and tables."""
    request = PrepareRequest(plan=move.plan)
    checked: Checked = await move.call(PrepareActivities.check, request, "check source and target", options.SHORT)
    move.state.findings = checked.findings
    move.state.collections = {name: CollectionProgress(expected=count) for name, count in checked.documents.items()}
    if checked.failures:
        raise Parked("; ".join(f"{f.check}: {f.detail} {f.next_step}".strip() for f in checked.failures))
    move.state.fingerprint = await move.call(
        PrepareActivities.install, request, "make ledger and tables", options.SHORT
    )
    await move.set_stage(Stage.OFF)


async def capture(move: Move) -> None:
    """Pin the feed position before the first read, and follow from there."""
    await move.call(TailActivities.pin, move.ref, "pin the feed position", options.SHORT)
    await move.set_stage(Stage.SHADOW)
    move.tail.start()


async def backfill(move: Move) -> None:
    """Copy what exists; then indexes and foreign keys."""
    await together(_copy(move, entry.collection) for entry in move.plan.collections)
    built: Constrained = await move.call(
        BackfillActivities.constrain, move.ref, "indexes and foreign keys", options.BUILD
    )
    await move.record("constrained", **built.model_dump())


async def verify(move: Move) -> None:
    """Every document compared; differences settled or repaired."""
    report = await check_parity(move)
    if report.mismatches:
        raise Parked(
            f"{report.mismatches} documents differ even after a repair (run {report.run}); see `report`, "
            "mend the plan, then roll back to backfill, or resume to check again."
        )


async def dark_read(move: Move) -> None:
    """The application compares a sample of its reads."""
    await pass_gate(move, "dark_read")
    if move.state.soak_until is None:
        await move.set_stage(Stage.DARK_READ, dark_percent=move.plan.dark_reads.percent)
    await _soak(move, move.plan.dark_reads.soak_seconds, "dark reads")


async def ramp(move: Move) -> None:
    """Reads move to the target, step by step; a breach of the limits sets them back, at a gate or in a pause too."""
    if move.state.ramp_step == 0:
        await pass_gate(move, "ramp")
    steps = move.plan.ramp.steps
    while move.state.ramp_step < len(steps):
        percent = steps[move.state.ramp_step]
        if move.state.soak_until is None:
            await move.watch.halt()  # two must not move the stage at a time
            move.steering.check()
            await move.set_stage(Stage.RAMP, reads_percent=percent, dark_percent=move.plan.dark_reads.percent)
        move.watch.start()
        await _soak(move, move.plan.ramp.soak_seconds, f"soak at {percent:g} % of reads")
        move.state.ramp_step += 1


async def cutover(move: Move) -> None:
    """The target becomes the authority; or everything is as it was."""
    if move.state.flipped:
        return
    if not move.state.handing:
        move.watch.start()
        await pass_gate(move, "cutover", forecast)
    await hand_over(move)


async def soak(move: Move) -> None:
    """The target is in charge and is watched."""
    await _soak(move, move.plan.soak_seconds, "soak")


async def retire(move: Move) -> None:
    """The target alone; the source stays, fenced, and the way back with it, for the retention time."""
    await pass_gate(move, "retire")
    await _target_only(move)
    await _soak(move, move.plan.retention_seconds, "the end of the retention time; until then there is a way back")


async def decommission(move: Move) -> None:
    """The end of the source: archived, read back, and dropped. Until the drop begins there is a way back."""
    if not move.state.dropping:
        await _target_only(move)
        if move.state.archive is None:
            move.state.archive = await _archive(move)
        await pass_gate(move, "decommission")
        await move.steering.ready()
        move.state.dropping = True
    await move.tail.stop()
    assert move.state.archive is not None
    await _drop(move, move.state.archive)
    await move.record("decommissioned", archive=move.state.archive.model_dump())


DIFFERS = "ArchiveDiffers"
"""The type of the failure that says: the source has changed since it was archived."""

RUNBOOK: dict[Phase, Callable[[Move], Awaitable[None]]] = {
    Phase.PREPARE: prepare,
    Phase.CAPTURE: capture,
    Phase.BACKFILL: backfill,
    Phase.VERIFY: verify,
    Phase.DARK_READ: dark_read,
    Phase.RAMP: ramp,
    Phase.CUTOVER: cutover,
    Phase.SOAK: soak,
    Phase.RETIRE: retire,
    Phase.DECOMMISSION: decommission,
}


async def _copy(move: Move, collection: str) -> None:
    request = BackfillRequest(
        ref=move.ref, collection=collection, pacing=move.state.pacing, paused=move.steering.paused
    )
    copied: Copied = await move.child(
        BackfillCollection.run, request, f"backfill/{collection}", f"backfill of {collection}"
    )
    known = move.state.collections.get(collection, CollectionProgress())
    progress = known.model_copy(update={"documents": copied.committed, "quarantined": copied.quarantined, "done": True})
    move.state.collections = {**move.state.collections, collection: progress}
    move.tell()


async def _target_only(move: Move) -> None:
    """The application no longer knows of the source; what it changes is still marked."""
    if move.state.stage is not Stage.TARGET_ONLY:
        staged: Staged = await move.call(CutoverActivities.retire, move.ref, "stage target_only", options.SHORT)
        await move.obeyed(staged)
        move.state.stage = Stage.TARGET_ONLY
    await move.reverse.stop()


async def _drop(move: Move, archive: ArchiveReport) -> None:
    request = Drop(ref=move.ref, archive=archive)
    try:
        await move.call(RetireActivities.drop, request, "drop the source's collections and what is ours", options.BUILD)
    except ActivityError as failure:
        if not (isinstance(failure.cause, ApplicationError) and failure.cause.type == DIFFERS):
            raise
        # Nothing was dropped: the way back is still there, and another archive needs another look.
        move.state.dropping, move.state.archive, move.state.passed = False, None, None
        move.tail.start()
        raise Parked(f"{failure.cause} `resume` archives again and asks for the approvals again.") from None


async def _archive(move: Move) -> ArchiveReport:
    move.tell(waiting_for="the archive of the source")

    def start() -> workflow.ActivityHandle[ArchiveReport]:
        return workflow.start_activity_method(
            RetireActivities.archive, Archive(ref=move.ref), summary="archive, and read it back", **options.ARCHIVE
        )

    report = await move.steering.answer(start)
    await move.record("archived", **report.model_dump())
    return report


async def _soak(move: Move, seconds: float, what: str) -> None:
    if move.state.soak_until is None:
        move.state.soak_until = workflow.now().timestamp() + seconds
    await move.sleep_until(move.state.soak_until, what)
    move.state.soak_until = None
