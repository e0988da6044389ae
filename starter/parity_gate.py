"""`midflight parity gate`: may this domain go on? Answered from what is kept; nothing is compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer

from midflight.clock import utc_now
from midflight.core.fingerprint import fingerprint
from midflight.core.plan import Limits
from midflight.parity.records import Level, RunRecord, Verdict
from starter.parity_desk import PlanOption, Store, Where, shelf
from starter.parity_exits import Answer, answer_of, end
from starter.parity_levels import LevelName, levels_of
from starter.session import AsJson, Domain, Session, run

DEMANDED: tuple[Level, ...] = ("structure", "census", "full", "invariants")
"""A sample says nothing that the full level does not."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What opens the gate. Without a fingerprint any plan will do."""

    levels: Sequence[Level]
    max_age: timedelta
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """The answer: open if nothing speaks against it."""

    run: str
    answer: Answer
    against: tuple[str, ...]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(gate)


def gate(
    domain: Domain,
    max_age: Annotated[
        float | None,
        typer.Option(min=0, metavar="MINUTES", help="How old the run may be. Default: the plan's.", show_default=False),
    ] = None,
    levels: Annotated[
        list[LevelName] | None,
        typer.Option("--levels", help="This level must pass; may be repeated. Default: all but the sample."),
    ] = None,
    plan: PlanOption = None,
    target: Store = "",
    as_json: AsJson = False,
) -> None:
    """Whether the newest run opens a gate. Exit code 0: yes. A watch run never opens one, but may shut it."""
    session = Session.begin(as_json)

    async def work() -> Gate:
        async with shelf(session, Where(domain, target, plan)) as found:
            known = found.plan
            limits = known.limits if known is not None else Limits()
            age = timedelta(seconds=limits.parity_fresh_seconds) if max_age is None else timedelta(minutes=max_age)
            demand = Demand(levels_of(levels, DEMANDED), age, fingerprint(known) if known is not None else "")
            return judge(await found.runs.history(domain), demand, utc_now())

    judged = run(work())
    data = {"open": not judged.answer, "run": judged.run, "against": judged.against, "exit_code": int(judged.answer)}
    opened = [f"Open: {judged.run} passed." if judged.run else "Open."]
    session.show(data, *([f"Shut: {one}." for one in judged.against] or opened))
    end(judged.answer)


def judge(history: Sequence[RunRecord], demand: Demand, now: datetime) -> Gate:
    """Pure. `history` is newest first; the newest gate run decides, and the watch run since may speak against it."""
    newest = next((one for one in history if one.mode == "gate"), None)
    since = history[: history.index(newest) if newest else None]
    # One that was broken off says nothing, and takes nothing back of what the one before it said.
    watched = [one for one in since if one.mode == "watch" and one.finished_at is not None]
    found = [*_of_watch(watched)]
    if newest is None:
        found.append((_INCOMPLETE, "there is no gate run: begin one with `midflight parity run`"))
    else:
        found += _of_gate(newest, demand, now)
    answer = Answer.PASS
    for one, _ in found:
        answer |= one
    return Gate(newest.run if newest is not None else "", answer, tuple(why for _, why in found))


_INCOMPLETE = Answer.VERDICT | Answer.INCOMPLETE
Against = Iterator[tuple[Answer, str]]


def _of_gate(record: RunRecord, demand: Demand, now: datetime) -> Against:
    """What of the newest gate run speaks against."""
    if record.finished_at is None:
        yield _INCOMPLETE, f"{record.run} has not ended: resume it, or begin another"
        return
    # A run proves nothing about what was written after it began.
    age = now - record.started_at
    if age > demand.max_age:
        minutes = f"{age.total_seconds() / 60:.0f} minutes"
        yield _INCOMPLETE, f"{record.run} is {minutes} old, at most {demand.max_age.total_seconds() / 60:g} are allowed"
    if demand.fingerprint and record.plan_fingerprint != demand.fingerprint:
        yield _INCOMPLETE, f"{record.run} compared by another plan"
    verdicts = {outcome.level: outcome for outcome in record.levels}
    for level in demand.levels:
        if level not in verdicts:
            yield _INCOMPLETE, f"{record.run} has no level {level}"
        elif verdicts[level].verdict is not Verdict.PASS:
            reason = f" ({verdicts[level].reason})" if verdicts[level].reason else ""
            yield answer_of(record, [level]), f"{record.run}: level {level} is {verdicts[level].verdict}{reason}"


def _of_watch(watched: Sequence[RunRecord]) -> Against:
    for record in watched[:1]:
        if record.verdict is Verdict.FAIL:
            yield answer_of(record), f"the watch run {record.run} has failed since"
