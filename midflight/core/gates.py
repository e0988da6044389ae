"""Gates: evidence, limits, verdict. Pure; protocol section 6."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from midflight.core.plan import GateName, Limits


class ReadEvidence(BaseModel):
    """Outcomes of dark reads, and latencies (milliseconds) of both sides, over `seconds`."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    compared: int = 0
    mismatched: int = 0
    unclear: int = 0
    source_reads: int = 0
    target_reads: int = 0
    source_errors: int = 0
    target_errors: int = 0
    source_p95_ms: float | None = None
    target_p95_ms: float | None = None
    source_p99_ms: float | None = None
    target_p99_ms: float | None = None
    causes: dict[str, int] = {}


class Evidence(BaseModel):
    """What was measured, at one moment. Ages and lags in seconds; None means never measured."""

    model_config = ConfigDict(frozen=True)

    gathered_at: str
    epoch: int
    stage: str
    parity_age_seconds: float | None = None
    parity_run: str = ""
    documents_compared: int = 0
    mismatches: int = 0
    quarantine_open: int = 0
    quarantine_waived: int = 0
    lag_seconds: float | None = None
    feed_window_seconds: float | None = None
    rebuilt_equal: int = 0
    """Documents rebuilt from rows that were equal to their source: the proof of the way back."""
    constraints_pending: int = 0
    """Foreign keys or indexes of the plan that are not there or not valid yet."""
    instances: int = 0
    """Instances of the application's library with a lease that has not run out."""
    instances_late: tuple[str, ...] = ()
    """Those of them that do not obey the newest revision yet, or have an older write in flight."""
    reads: ReadEvidence | None = None
    """What the application's reads showed since the stage was set; None where no instance reported any."""
    late_writes: int = 0
    """Writes that reached the old authority after the flip and are not waived."""
    reverse_pending: int = 0
    """Dirty marks that are not written back."""
    reverse_refused: int = 0
    """Dirty marks whose document the source refuses."""
    hold_forecast_seconds: float | None = None
    """How long writes would wait at the cutover, from what its steps took when they were rehearsed."""

    @property
    def hash(self) -> str:
        """Twelve hex digits that an approval names: any change of the evidence changes it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


class Verdict(BaseModel):
    """Go, or the reasons why not."""

    model_config = ConfigDict(frozen=True)

    gate: GateName
    reasons: tuple[str, ...] = ()
    wants_parity: bool = False
    """True when a new full parity run is what is missing."""

    @property
    def go(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.reasons


NEEDS_QUARANTINE_EMPTY: frozenset[GateName] = frozenset({"cutover"})
AFTER_THE_FLIP: frozenset[GateName] = frozenset({"retire", "decommission"})


def judge(gate: GateName, evidence: Evidence, limits: Limits) -> Verdict:
    """Hold the evidence against the limits."""
    checks = () if gate in AFTER_THE_FLIP else _before_the_flip(evidence, limits)
    quarantine = _quarantine(evidence) if gate in NEEDS_QUARANTINE_EMPTY else ()
    wants_parity = gate not in AFTER_THE_FLIP and not _parity_is_fresh(evidence, limits)
    return Verdict(gate=gate, reasons=(*checks, *quarantine), wants_parity=wants_parity)


def _before_the_flip(evidence: Evidence, limits: Limits) -> Iterator[str]:
    yield from _parity(evidence, limits)
    if evidence.lag_seconds is None:
        yield "the tail has not reported its lag yet"
    elif evidence.lag_seconds > limits.lag_seconds:
        yield f"the tail lags {evidence.lag_seconds:.1f} s, the limit is {limits.lag_seconds:g} s"
    window = evidence.feed_window_seconds
    if window is not None and window < limits.feed_window_seconds:
        yield f"the source holds only {window:.0f} s of changes, the limit is {limits.feed_window_seconds} s"
    if evidence.constraints_pending:
        yield f"{evidence.constraints_pending} constraints or indexes of the plan are not valid yet"


def _parity_is_fresh(evidence: Evidence, limits: Limits) -> bool:
    age = evidence.parity_age_seconds
    return age is not None and age <= limits.parity_fresh_seconds


def _parity(evidence: Evidence, limits: Limits) -> Iterator[str]:
    age = evidence.parity_age_seconds
    if age is None:
        yield "parity was never checked in full"
    elif age > limits.parity_fresh_seconds:
        yield f"parity is {age:.0f} s old, the limit is {limits.parity_fresh_seconds} s"
    if evidence.mismatches:
        yield f"{evidence.mismatches} settled mismatches are open"
    if age is not None and evidence.rebuilt_equal < evidence.documents_compared - evidence.mismatches:
        yield "the reverse mapping is not proven for every compared document"


def _quarantine(evidence: Evidence) -> Iterator[str]:
    if evidence.quarantine_open:
        yield f"{evidence.quarantine_open} documents are in quarantine: waive each by name, or fix and retry it"
