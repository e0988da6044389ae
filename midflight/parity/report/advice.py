"""What to do about a run: a sentence for the verdict, and a next step for each cause. Plain words, no values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from midflight.parity.records import Cause, LevelOutcome, RunRecord, State, Verdict
from midflight.parity.report.wording import counted, printable

_PLAN = "If the copier wrote this, a repair would write the same again: "

ADVICE: Mapping[Cause, str] = {
    Cause.STALE: "The target is late. See whether the tail runs and how large its lag is, then run again.",
    Cause.LOST_UPDATE: "A change never reached the target. Repair these keys, then find out what lost it: "
    "keep this run, and look at what was restarted when they were last changed.",
    Cause.LOST_DELETE: "A delete never reached the target. Repair these keys; deletes are capped by the plan.",
    Cause.ROGUE_WRITE: "Somebody else wrote to the target. Find and stop the writer first, then repair these keys.",
    Cause.TRUNCATION: _PLAN + "give the column room for the longest value in the plan, and copy again.",
    Cause.PRECISION: _PLAN + "give the column a type that holds every digit, or declare a tolerance with its reason.",
    Cause.ENCODING: _PLAN + "find where text is decoded or normalised; if it is meant, declare a tolerance (`nfc`).",
    Cause.TIME_ZONE_SHIFT: _PLAN + "a time was read in a zone that was not its own. Correct the transform.",
    Cause.DEFAULT_FILLED: _PLAN + "take the default out of the column or the transform. Missing is not zero.",
    Cause.MAPPING_BUG: "Most keys differ in this field. A repair is refused: correct the plan, and copy again.",
    Cause.UNKNOWN: "Ask to have one of these keys explained: both sides, the guard, and the last change.",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands: what the sentences are made of. Keys by state, and by cause those that differ now."""

    record: RunRecord
    states: Mapping[State, int]
    causes: Mapping[Cause, int]


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do. `about` is the cause or the level that asks for it; nothing where the whole run does."""

    what: str
    about: str = ""
    cause: Cause | None = None

    def __str__(self) -> str:
        return f"{self.about}: {self.what}" if self.about else self.what


def headline(standing: Standing) -> str:
    """The verdict, as a sentence."""
    return _HEADLINES[standing.record.verdict](standing)


def next_steps(standing: Standing) -> tuple[Step, ...]:
    """What to do, most pressing first. Never empty."""
    verdict = standing.record.verdict
    causes = [
        Step(ADVICE[cause], f"{cause.capitalize()}, {counted(keys, 'key')}", cause)
        for cause, keys in standing.causes.items()
        if cause is not Cause.STALE  # suspects and hot keys, of which `waiting` speaks
    ]
    levels = [
        Step(_why(outcome), f"Level {outcome.level}")
        for outcome in standing.record.levels
        if outcome.verdict is not Verdict.PASS and outcome.reason and not (outcome.level == "full" and causes)
    ]
    waiting = [Step(_WAITING[state]) for state in (State.HOT, State.SUSPECT) if standing.states.get(state)]
    return (*causes, *levels, *waiting, Step(_LAST[verdict]))


def _why(outcome: LevelOutcome) -> str:
    """The level's reason, and what its checks say to do."""
    wrong = [one for one in outcome.details.get("wrong", ()) if isinstance(one, Mapping)]
    steps = dict.fromkeys(str(one.get("next_step") or "").strip() for one in wrong)
    return " ".join([f"{printable(outcome.reason)}.", *(printable(step) for step in steps if step)])


def _passed(standing: Standing) -> str:
    compared = sum(one.compared + one.skipped for one in standing.record.entities)
    ran = ", ".join(outcome.level for outcome in standing.record.levels)
    return f"Both sides say the same: {counted(compared, 'key')} looked at, levels {ran}."


def _failed(standing: Standing) -> str:
    settled = standing.states.get(State.SETTLED, 0)
    if settled:
        differ = "differs" if settled == 1 else "differ"
        return f"{counted(settled, 'key')} {differ}, and nothing that is on its way can change that."
    failed = [outcome.level for outcome in standing.record.levels if outcome.verdict is Verdict.FAIL]
    return f"No single key is settled as different, but this failed: {', '.join(failed)}."


def _incomplete(standing: Standing) -> str:
    if standing.record.finished_at is None:
        return "The run has not ended. What it found so far is below; it can be resumed. This is not a pass."
    return "Not everything was looked at. This is not a pass."


def _undecided(standing: Standing) -> str:
    waiting = standing.states.get(State.HOT, 0) + standing.states.get(State.SUSPECT, 0)
    return f"Nothing is proven wrong, but {counted(waiting, 'key')} could not be judged. This is not a pass."


_HEADLINES = {
    Verdict.PASS: _passed,
    Verdict.FAIL: _failed,
    Verdict.INCOMPLETE: _incomplete,
    Verdict.UNDECIDED: _undecided,
}
_WAITING = {
    State.HOT: "Hot keys change faster than they can be compared. Run again in a quieter hour; "
    "in the hold, when nobody writes, every key is decided.",
    State.SUSPECT: "Suspects may only be late. Let the run end, or run again once the tail has passed them.",
}
_LAST = {
    Verdict.PASS: "Nothing to do.",
    Verdict.FAIL: "Run again after that: only a run that passes opens a gate.",
    Verdict.INCOMPLETE: "Resume the run, or run again: only a run that passes opens a gate.",
    Verdict.UNDECIDED: "Run again: only a run that passes opens a gate.",
}
