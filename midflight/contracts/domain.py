"""Messages of MigrateDomain: its input, its state, what an operator says to it and reads from it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from midflight.contracts.base import Contract
from midflight.contracts.parity import ParityReport
from midflight.contracts.prepare import FindingView
from midflight.contracts.retire import ArchiveReport
from midflight.core.gates import Evidence
from midflight.core.phase import Phase, Stage
from midflight.core.plan import DailyWindow, GateName, Pacing, Plan

State = Literal["running", "paused", "waiting", "attention", "rolled_back", "done", "abandoned"]
Handover = Literal["", "over", "back"]
LOG_LENGTH = 50


class Command(Contract):
    """What an operator says. `request_id` makes a repeated message harmless."""

    request_id: str = ""
    person: str
    reason: str = ""


class Pause(Command):
    """Write nothing more until resumed."""


class Resume(Command):
    """Go on: after a pause, a rollback, a rejection or a failure. `withdraw` gives up a way back that is parked."""

    withdraw: bool = False


class Approve(Command):
    """Open a gate. `evidence` is the hash of the evidence that was looked at."""

    gate: GateName
    evidence: str


class Reject(Command):
    """Keep a gate shut: the move waits until resumed or rolled back."""

    gate: GateName


class Rollback(Command):
    """Take back everything since the beginning of phase `to`, then wait to be resumed."""

    to: Phase


class Abandon(Command):
    """Give up a move that is parked in `prepare`: the workflow ends."""


class SetPacing(Command):
    """New pacing; None keeps what is. `unlimited` lifts the rate, `always` the daily window."""

    documents_per_second: int | None = None
    unlimited: bool = False
    batch_size: int | None = Field(None, ge=1, le=50_000)
    parallel: int | None = Field(None, ge=1, le=64)
    window: DailyWindow | None = None
    always: bool = False


class Answer(Contract):
    """What became of a command."""

    accepted: bool
    message: str


class LogEntry(Contract):
    """One line of the operator's log."""

    at: str
    person: str
    what: str
    accepted: bool
    message: str
    request_id: str = ""


class PhaseSpan(Contract):
    """When a phase was entered and left (ISO times); a phase entered again has several spans."""

    phase: Phase
    entered: str
    left: str = ""


class GateView(Contract):
    """A gate that the move stands before: its evidence, what is missing, and whether a person must approve."""

    gate: GateName
    evidence: Evidence
    evidence_hash: str
    reasons: tuple[str, ...] = ()
    needs_approval: bool = False
    persons: int = 1
    """How many different persons must approve."""
    approved_by: tuple[str, ...] = ()


class Approval(Contract):
    """An approval as it was given."""

    gate: GateName
    person: str
    reason: str
    evidence_hash: str
    at: str


class CollectionProgress(Contract):
    """How far one collection's backfill got."""

    expected: int = 0
    documents: int = 0
    quarantined: int = 0
    done: bool = False


class DomainState(BaseModel):
    """Everything MigrateDomain remembers; it survives continue-as-new. Every field has a default."""

    model_config = ConfigDict(validate_assignment=False)

    domain: str = ""
    fingerprint: str = ""
    phase: Phase = Phase.PREPARE
    state: State = "running"
    waiting_for: str = ""
    problem: str = ""
    stage: Stage = Stage.OFF
    reads_percent: float = 0.0
    ramp_step: int = 0
    soak_until: float | None = None
    pacing: Pacing = Pacing()
    pause: Pause | None = None
    rollback: Rollback | None = None
    parked: bool = False
    """True when only `resume` or `rollback` leads on: after a failure, a rejection or a rollback."""
    gate: GateView | None = None
    approvals: tuple[Approval, ...] = ()
    passed: GateName | None = None
    """The gate that was passed in this phase: an interruption does not ask for it again."""
    findings: tuple[FindingView, ...] = ()
    collections: dict[str, CollectionProgress] = {}
    parity: ParityReport = ParityReport()
    parity_runs: int = 0
    tailing: bool = False
    tailing_back: bool = False
    watching: bool = False
    epoch: int = 0
    """The epoch as the ledger answered it last: what a handover must find unchanged."""
    acknowledge_seconds: float = 0.0
    """What the application's instances needed for the last change of stage."""
    compared_token: int = 0
    """Every guard row up to it has been compared, as the rehearsal of the cutover found."""
    handing: Handover = ""
    """Set while a handover is asked for and not answered: then only the ledger knows who is in charge."""
    flipped: bool = False
    """Whether the target is the authority, as the handover answered."""
    archive: ArchiveReport | None = None
    dropping: bool = False
    """True from the moment the drop is asked for: there is no way back any more."""
    abandoned: bool = False
    evidence: Evidence | None = None
    started_by: str = ""
    spans: list[PhaseSpan] = []
    log: list[LogEntry] = []
    runs: int = 1

    @property
    def approval(self) -> Approval | None:
        """The newest approval of the gate that waits."""
        return self.approvals[-1] if self.approvals else None


class MigrateRequest(Contract):
    """Input of MigrateDomain. `state` is None but after continue-as-new."""

    plan: Plan
    started_by: str = ""
    state: DomainState | None = None
    history_limit: int = 3_000
    tail_slice_seconds: float = 1_800.0


class DomainStatus(Contract):
    """Answer of the `status` query: the state, and what the plan demands."""

    state: DomainState
    owner: str = ""
    approvals: tuple[GateName, ...] = ()
    ramp_steps: tuple[float, ...] = ()


class DomainReport(Contract):
    """Result of MigrateDomain."""

    domain: str
    phase: Phase
    documents: int = 0
    quarantined: int = 0
    parity: ParityReport = ParityReport()
    spans: tuple[PhaseSpan, ...] = ()
    abandoned: bool = False
