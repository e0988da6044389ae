"""How `midflight parity` ends once it has an answer: 0, or 64 and bits. Listed for people in `docs/cli.md`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag

import typer

from midflight.parity.records import Level, RunRecord, Verdict


class Answer(IntFlag):
    """What a run came to. Errors end with `ExitCode` as everywhere: those are all below 64."""

    PASS = 0
    VERDICT = 64
    """Set with every other bit, so that no answer can be taken for an error."""
    INCOMPLETE = 1
    """Something was not looked at, or there is no run that says so."""
    UNDECIDED = 2
    DIFFERENT = 4
    """Keys or fields differ for good: levels census, sample, full."""
    STRUCTURE = 8
    INVARIANTS = 16


_FAILED: dict[Level, Answer] = {"structure": Answer.STRUCTURE, "invariants": Answer.INVARIANTS}
_OTHERS = {
    Verdict.PASS: Answer.PASS,
    Verdict.INCOMPLETE: Answer.VERDICT | Answer.INCOMPLETE,
    Verdict.UNDECIDED: Answer.VERDICT | Answer.UNDECIDED,
}


def answer_of(record: RunRecord, levels: Iterable[Level] = ()) -> Answer:
    """Every level of the run, or only these; a run that has not ended is incomplete."""
    asked = frozenset(levels)
    looked_at = [outcome for outcome in record.levels if not asked or outcome.level in asked]
    open_end = record.finished_at is None or not looked_at
    answer = Answer.VERDICT | Answer.INCOMPLETE if open_end else Answer.PASS
    for outcome in looked_at:
        answer |= _of_level(outcome.level, outcome.verdict)
    return answer


def end(answer: Answer) -> None:
    """End the command with this answer; it has been shown."""
    if answer:
        raise typer.Exit(int(answer))


def _of_level(level: Level, verdict: Verdict) -> Answer:
    if verdict is Verdict.FAIL:
        return Answer.VERDICT | _FAILED.get(level, Answer.DIFFERENT)
    return _OTHERS[verdict]
