"""Gates: evidence, limits, verdict. Pure; protocol section 6."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from pydantic import BaseModel, ConfigDict

from midflight.core.breach import ReadEvidence, breaches
from midflight.core.plan import GateName, Limits


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
    levels_failed: tuple[str, ...] = ()
    """Levels of that run, beside the comparison of documents, that failed: the plan's invariants.

    What is wrong with the structure is measured at this moment: see `constraints_pending`.
    """
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


def judge(gate: GateName, evidence: Evidence, limits: Limits) -> Verdict:
    """Hold the evidence against the limits."""
    reasons = tuple(reason for check in _CHECKS[gate] for reason in check(evidence, limits))
    wants_parity = _parity in _CHECKS[gate] and not _parity_is_fresh(evidence, limits)
    return Verdict(gate=gate, reasons=reasons, wants_parity=wants_parity)


def _capture(evidence: Evidence, limits: Limits) -> Iterator[str]:
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
        yield f"{evidence.mismatches} mismatches are open"
    for level in evidence.levels_failed:
        yield f"parity's level {level} failed: `midflight parity report` says where"
    if age is not None and evidence.rebuilt_equal < evidence.documents_compared - evidence.mismatches:
        yield "the reverse mapping is not proven for every compared document"


def _quarantine(evidence: Evidence, _: Limits) -> Iterator[str]:
    """The target holds none of these documents: reads there would not find what was acknowledged.

    It does not hold the waived ones either, but a person has taken that upon themselves, by name.
    """
    if evidence.quarantine_open:
        yield f"{evidence.quarantine_open} documents are in quarantine: waive each by name, or fix and retry it"


def _enough_compared(evidence: Evidence, limits: Limits) -> Iterator[str]:
    compared = evidence.reads.compared if evidence.reads else 0
    if _library_runs(evidence) and compared < limits.minimum_sample:
        yield f"only {compared} dark reads were compared, the limit is {limits.minimum_sample}{_unclear(evidence)}"


def _enough_served(evidence: Evidence, limits: Limits) -> Iterator[str]:
    served = evidence.reads.target_reads if evidence.reads else 0
    if _library_runs(evidence) and served < limits.minimum_sample:
        yield f"only {served} reads were made at the target, the limit is {limits.minimum_sample}"


def _library_runs(evidence: Evidence) -> bool:
    """A domain whose application does not run our library has no reads to wait for."""
    return evidence.instances > 0 or evidence.reads is not None


def _unclear(evidence: Evidence) -> str:
    unclear = evidence.reads.unclear if evidence.reads else 0
    return f" ({unclear} more ended in an error of the comparator: mend it)" if unclear else ""


def _reads(evidence: Evidence, limits: Limits) -> Iterator[str]:
    if evidence.reads is not None:
        yield from breaches(evidence.reads, limits)


def _instances(evidence: Evidence, _: Limits) -> Iterator[str]:
    if evidence.instances_late:
        yield f"instances do not obey the newest stage yet: {', '.join(evidence.instances_late)}"


def _late_writes(evidence: Evidence, _: Limits) -> Iterator[str]:
    if evidence.late_writes:
        yield (
            f"{evidence.late_writes} writes reached the source after the flip:"
            " find out who wrote, then waive each by name"
        )


def _written_back(evidence: Evidence, _: Limits) -> Iterator[str]:
    if evidence.reverse_refused:
        yield f"{evidence.reverse_refused} documents cannot be written back to the source, which refuses them"


_BEFORE_THE_FLIP = (_parity, _capture)
_CHECKS: dict[GateName, tuple[Callable[[Evidence, Limits], Iterator[str]], ...]] = {
    "dark_read": _BEFORE_THE_FLIP,
    "ramp": (*_BEFORE_THE_FLIP, _quarantine, _enough_compared, _reads),
    "cutover": (*_BEFORE_THE_FLIP, _quarantine, _enough_served, _reads, _instances),
    "retire": (_late_writes, _written_back),
    "decommission": (_late_writes,),
}
