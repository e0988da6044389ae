"""What people read: the words that matter are there, and nobody's text is taken for markup."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console, RenderableType

from midflight.contracts.domain import CollectionProgress, DomainState, DomainStatus, GateView, LogEntry, PhaseSpan
from midflight.contracts.parity import LevelView, ParityReport
from midflight.contracts.prepare import FindingView
from midflight.contracts.retire import ArchivedCollection, ArchiveReport
from midflight.core.breach import ReadEvidence
from midflight.core.gates import Evidence
from midflight.core.phase import Phase
from midflight.records import QuarantineEntry
from starter import render
from starter.evidence import gate
from starter.history import Report
from starter.look import Look
from starter.moves import Overview, Work
from starter.prepared import Prepared

EVIDENCE = Evidence(gathered_at="2026-01-01T00:00:00Z", epoch=1, stage="shadow", mismatches=0, lag_seconds=0.2)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def text(*parts: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=200)
    for part in parts:
        console.print(part)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def lines(parts: Sequence[RenderableType]) -> str:
    return text(*parts)


def overview(**more: object) -> Overview:
    known = {"domain": "members", "workflow_id": "midflight/members", "run_id": "r", "execution": "running"}
    return Overview.model_validate({**known, "phase": "ramp", "state": "waiting", **more})


def waiting() -> Look:
    gate = GateView(gate="ramp", evidence=EVIDENCE, evidence_hash="abc123", needs_approval=True)
    said = LogEntry(at="2026-01-01", person="ann [x]", what="approve ramp", accepted=False, message="too early")
    state = DomainState(
        domain="members",
        phase=Phase.RAMP,
        gate=gate,
        log=[said],
        collections={"members": CollectionProgress(expected=10, documents=10, quarantined=2, done=True)},
    )
    return Look(overview=overview(waiting_for="approval of ramp"), status=DomainStatus(state=state))


def test_a_waiting_gate_is_shown_with_its_evidence_and_the_command_that_opens_it() -> None:
    shown = lines(render.look(waiting()))

    assert "Gate ramp, evidence abc123" in shown
    assert "midflight approve members ramp --evidence abc123 --reason ..." in shown
    assert "lag seconds" in shown


def test_the_forecast_of_the_hold_is_said_before_the_cutover_is_approved() -> None:
    evidence = EVIDENCE.model_copy(update={"hold_forecast_seconds": 0.25})
    view = GateView(gate="cutover", evidence=evidence, evidence_hash="abc123", needs_approval=True)

    assert "Writes would wait about 250 ms." in lines(gate(view))


def test_the_gate_of_no_return_says_so_and_who_has_approved() -> None:
    view = GateView(
        gate="decommission", evidence=EVIDENCE, evidence_hash="a", needs_approval=True, persons=2, approved_by=("ann",)
    )

    shown = lines(gate(view))

    assert "takes 2 different persons: after it there is no way back" in shown
    assert "approved by ann, one more person is needed" in shown


def test_reads_of_both_sides_are_shown_with_what_differs() -> None:
    reads = ReadEvidence(
        seconds=60,
        compared=1_200,
        mismatched=3,
        source_reads=500,
        target_reads=400,
        target_errors=2,
        source_p95_ms=4.0,
        causes={"balance: value": 3},
    )
    view = GateView(gate="ramp", evidence=EVIDENCE.model_copy(update={"reads": reads}), evidence_hash="a")

    shown = lines(gate(view))

    assert "1,200 compared, 3 differ, 0 unclear" in shown
    assert "source: 500 reads, 0 errors, p95 4.0 ms, p99 -" in shown
    assert "target: 400 reads, 2 errors, p95 -" in shown
    assert "differs: balance: value: 3" in shown


def test_late_writes_lead_to_the_quarantine() -> None:
    view = GateView(gate="retire", evidence=EVIDENCE.model_copy(update={"late_writes": 2}), evidence_hash="a")

    assert "Late writes lie in quarantine with path `tripwire`" in lines(gate(view))


def test_status_shows_the_archive_that_was_read_back() -> None:
    seen = waiting()
    assert seen.status is not None
    one = ArchivedCollection(collection="members", documents=12_345, size=1, digest="d")
    seen.status.state.archive = ArchiveReport(folder="members-1", collections=(one,))

    assert "Archive members-1: 12,345 documents, read back and equal." in lines(render.look(seen))


def test_a_report_tells_of_late_writes_and_of_what_is_to_be_written_back() -> None:
    written = Report(domain="members", late_writes=1, reverse_pending=1_234, reverse_refused=5)

    shown = lines(render.report(written))

    assert "1 writes reached the source after the flip." in shown
    assert "1,234 keys are to be written back to the source; the source refuses 5 of them." in shown


def test_what_was_said_lately_is_shown_with_the_person_and_without_markup() -> None:
    assert "ann [x]: approve ramp: too early" in lines(render.look(waiting()))


def test_without_a_worker_the_recorded_phase_and_state_are_shown_and_said_to_be_old() -> None:
    shown = lines(render.look(Look(overview=overview(problem="the source is [gone]"))))

    assert "members  ramp  waiting" in shown
    assert "the source is [gone]" in shown
    assert "No worker answers" in shown


def test_an_activity_that_is_tried_again_says_why() -> None:
    work = Work(activity="follow", attempt=4, failure="The target does not answer.")

    assert "trying again (4): follow: The target does not answer." in lines(
        render.look(Look(overview=overview(), works=(work,)))
    )


def test_a_watched_move_shows_a_bar_with_counts_rate_and_time_left() -> None:
    state = DomainState(phase=Phase.BACKFILL, collections={"members": CollectionProgress(expected=1_000)})
    beat = {"doing": "backfill", "collection": "members", "documents": 400, "per_second": 10.0}
    seen = Look(overview=overview(), status=DomainStatus(state=state), works=(Work(activity="copy", beat=beat),))

    shown = text(render.watched(seen, now=0.0))

    assert "400 of about 1,000" in shown
    assert "10/s" in shown
    assert "1:00 left" in shown


def test_the_list_names_every_domain_and_how_temporal_ended_it() -> None:
    shown = text(render.overviews([overview(), overview(domain="merchants", execution="terminated", state="running")]))

    assert "members" in shown
    assert "running (terminated)" in shown


def test_an_empty_list_says_how_to_begin() -> None:
    assert "midflight start PLAN" in text(render.overviews([]))


def test_findings_of_prepare_name_the_check_the_detail_and_what_to_do() -> None:
    finding = FindingView(check="source: replica set", ok=False, detail="It is a single server.", next_step="Make one.")
    found = Prepared(domain="members", parked=True, findings=(finding, FindingView(check="target", ok=True)))

    shown = lines(render.prepared(found))

    assert "source: replica set: It is a single server. Make one." in shown
    assert "midflight resume members" in shown
    assert "target" not in shown.replace("midflight", "")


def test_a_good_prepare_says_how_many_checks_passed() -> None:
    found = Prepared(domain="members", phase="backfill", findings=(FindingView(check="target", ok=True),))

    assert "1 checks passed; members is in phase backfill." in lines(render.prepared(found))


def test_quarantine_shows_field_type_column_and_reason_but_no_key() -> None:
    entry = QuarantineEntry(7, "members", b"secret", "born", "string", "born", "not a date", 1, "tail", AT, AT)

    shown = text(render.quarantine([entry]))

    assert all(word in shown for word in ("7", "members", "born", "string", "not a date"))
    assert "secret" not in shown


def test_a_report_shows_phases_counts_and_who_approved_what() -> None:
    passed = {
        "at": "2026-01-02",
        "kind": "gate_passed",
        "person": "ann",
        "details": {"gate": "ramp", "evidence_hash": "abc123", "reason": "good"},
    }
    written = Report(
        domain="members",
        phase="ramp",
        state="running",
        answered=True,
        spans=(PhaseSpan(phase=Phase.PREPARE, entered="2026-01-01", left="2026-01-02"),),
        parity=ParityReport(run="r", compared=10, levels=(LevelView(level="full", verdict="pass"),)),
        counts={"members": {"documents": 12_345, "rows": 9, "quarantined": 1, "tombstones": 2}},
        audit=[passed, {"at": "", "kind": "constrained", "person": "midflight", "details": {}}],
    )

    shown = lines(render.report(written))

    assert "prepare" in shown
    assert "12,345" in shown
    assert "full pass" in shown
    assert all(word in shown for word in ("gate passed", "ann", "abc123", "good"))
    assert "constrained" not in shown
