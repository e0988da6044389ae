"""Where the application's reads break the plan's limits: what a gate waits for, and what sets reads back. Pure.

Nothing is judged on fewer reads than `Limits.minimum_sample`: one slow read of three is no percentile.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from midflight.core.plan import Limits

NAMED_CAUSES = 3
IGNORED = "ignored: "


class ReadEvidence(BaseModel):
    """Outcomes of dark reads, and latencies (milliseconds) of both sides, over `seconds`.

    `compared` counts comparisons with a clear outcome: those that ended in an error of a hook are `unclear` only.
    `causes` counts differences by field and cause; those that were ignored begin with `ignored: `. `revision` is the
    one of the authority row that all these reads obeyed.
    """

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
    revision: int = 0


def breaches(reads: ReadEvidence, limits: Limits) -> tuple[str, ...]:
    """Every broken limit in words, with what was measured and what is allowed; empty where none is."""
    return (*_mismatches(reads, limits), *_errors(reads, limits), *_latencies(reads, limits))


def _mismatches(reads: ReadEvidence, limits: Limits) -> Iterator[str]:
    if not reads.compared or reads.compared < limits.minimum_sample:
        return
    rate = reads.mismatched / reads.compared
    if rate > limits.mismatch_rate:
        yield (
            f"{reads.mismatched} of {reads.compared} compared reads differ ({_percent(rate)}),"
            f" the limit is {_percent(limits.mismatch_rate)}{_causes(reads)}"
        )


def _errors(reads: ReadEvidence, limits: Limits) -> Iterator[str]:
    if not _enough_of_both(reads, limits):
        return
    source, target = reads.source_errors / reads.source_reads, reads.target_errors / reads.target_reads
    if target - source > limits.error_rate_difference:
        yield (
            f"the target fails {_percent(target)} of reads, the source {_percent(source)}:"
            f" the limit for the difference is {_percent(limits.error_rate_difference)}"
        )


def _latencies(reads: ReadEvidence, limits: Limits) -> Iterator[str]:
    if not _enough_of_both(reads, limits):
        return
    for name, source, target, limit in (
        ("p95", reads.source_p95_ms, reads.target_p95_ms, limits.p95_difference_ms),
        ("p99", reads.source_p99_ms, reads.target_p99_ms, limits.p99_difference_ms),
    ):
        if source is not None and target is not None and target - source > limit:
            yield (
                f"the target's {name} is {target:.1f} ms, the source's {source:.1f} ms:"
                f" the limit for the difference is {limit:g} ms"
            )


def _enough_of_both(reads: ReadEvidence, limits: Limits) -> bool:
    """Both sides must have been read often enough: a difference to a guess is a guess."""
    fewest = min(reads.source_reads, reads.target_reads)
    return fewest > 0 and fewest >= limits.minimum_sample


def _causes(reads: ReadEvidence) -> str:
    named = [(cause, count) for cause, count in reads.causes.items() if not cause.startswith(IGNORED)]
    most = sorted(named, key=lambda cause: (-cause[1], cause[0]))[:NAMED_CAUSES]
    return f" (most: {', '.join(f'{cause}: {count}' for cause, count in most)})" if most else ""


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
