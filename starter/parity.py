"""`midflight parity`: do both stores say the same? Any domain, any time; Temporal is not asked."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from itertools import count
from typing import Annotated, Any

import typer
from rich.text import Text

from midflight.clock import utc_now
from midflight.errors import RunUnknown
from midflight.parity.harness import Mode
from midflight.parity.levels import LEVELS
from midflight.parity.policy import DEFAULT, Policy
from midflight.parity.records import Level, RunRecord
from midflight.parity.report.wording import duration, moment, number
from starter import parity_gate, parity_keys, parity_schedule
from starter.parity_desk import Desk, Lag, PlanOption, Shelf, Store, Where, desk, shelf
from starter.parity_exits import Answer, answer_of, end
from starter.parity_levels import LevelName, levels_of
from starter.parity_output import AsForm, Out, Values, gather_report, write_report
from starter.parity_progress import Teller
from starter.session import AsJson, Domain, Session, run, show_json, stdout
from starter.tables import columns

Levels = Annotated[
    list[LevelName] | None,
    typer.Option("--level", help="Only this level; may be repeated. Default: all.", show_default=False),
]
Frozen = Annotated[
    bool, typer.Option("--frozen", help="Nobody writes and the target has everything: whatever differs is wrong.")
]
Rate = Annotated[float | None, typer.Option("--rate", min=1, help="Keys a second at most. Default: no limit.")]

app = typer.Typer(name="parity", help="Do both stores say the same?", no_args_is_help=True)
parity_keys.register(app)
parity_gate.register(app)
parity_schedule.register(app)


@app.callback()
def _group() -> None:
    """Do both stores say the same? Exit codes: docs/cli.md."""


@app.command("run")
def run_levels(  # noqa: PLR0913 - every option is one
    domain: Domain,
    plan: PlanOption = None,
    level: Levels = None,
    frozen: Frozen = False,
    resume: Annotated[str, typer.Option("--resume", metavar="RUN", help="Go on with a run that was broken off.")] = "",
    sample_rate: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="A clean sample shows that fewer than this share of keys differ,")
    ] = DEFAULT.sample_rate,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999999, help="at this confidence.")
    ] = DEFAULT.sample_confidence,
    rate: Rate = None,
    lag: Lag = 5.0,
    form: AsForm = "text",
    out: Out = None,
    values: Values = False,
    target: Store = "",
) -> None:
    """Compare both stores and report. It can be broken off, and resumed with the same --level."""
    session = Session.begin(as_json=False)
    policy = replace(DEFAULT, sample_rate=sample_rate, sample_confidence=confidence, documents_per_second=rate)
    where = Where(domain, target, plan)

    async def work() -> Answer:
        async with desk(session, where, lag=lag) as open_desk:
            name = await _resumed(open_desk, resume) if resume else _new_name("run")
            record = await _run(open_desk, policy, name, "gate", levels_of(level), frozen)
        if record.finished_at is None:
            session.note(NOT_ENDED.format(name=name))
        async with shelf(session, where) as found:
            await write_report(session, found, await gather_report(found, domain, name, values), form, out)
        return answer_of(record)

    end(run(work()))


@app.command()
def watch(  # noqa: PLR0913
    domain: Domain,
    plan: PlanOption = None,
    every: Annotated[float, typer.Option(min=0, help="Seconds between two runs.")] = 3_600.0,
    times: Annotated[int, typer.Option(min=0, help="So many runs; 0: until stopped.")] = 0,
    rate: Rate = None,
    lag: Lag = 5.0,
    target: Store = "",
    as_json: AsJson = False,
) -> None:
    """Compare again and again, leaving out what has not changed since it was equal. Opens no gate."""
    session, policy = Session.begin(as_json), replace(DEFAULT, documents_per_second=rate)

    async def work() -> Answer:
        answer = Answer.PASS
        async with desk(session, Where(domain, target, plan), lag=lag) as open_desk:
            for done in count(1):
                record = await _run(open_desk, policy, _new_name("watch"), "watch", LEVELS, False)
                _tell(session, record)
                answer |= answer_of(record)
                if done == times:
                    break
                await asyncio.sleep(every)
        return answer

    end(run(work()))


@app.command()
def report(  # noqa: PLR0913
    domain: Domain,
    name: Annotated[str, typer.Argument(metavar="[RUN]", help="Default: the newest.", show_default=False)] = "",
    plan: PlanOption = None,
    form: AsForm = "text",
    out: Out = None,
    values: Values = False,
    target: Store = "",
) -> None:
    """Report a run that is kept, also one that has not ended."""
    session = Session.begin(as_json=False)

    async def work() -> Answer:
        async with shelf(session, Where(domain, target, plan)) as found:
            whole = await gather_report(found, domain, name or await _newest(found, domain), values)
            await write_report(session, found, whole, form, out)
            return answer_of(whole.record)

    end(run(work()))


@app.command()
def history(
    domain: Domain,
    at_most: Annotated[int, typer.Option(min=1, help="So many at most, the newest first.")] = 20,
    target: Store = "",
    as_json: AsJson = False,
) -> None:
    """The runs of a domain: when, which levels, and what they came to."""
    session = Session.begin(as_json)

    async def work() -> list[RunRecord]:
        async with shelf(session, Where(domain, target)) as found:
            return await found.runs.history(domain, at_most)

    found = run(work())
    table = columns("run", "mode", "began", "took", "verdict", "compared", "settled", "undecided", "levels")
    for record in found:
        table.add_row(*(Text(cell) for cell in _cells(record)))
    session.show([_data(record) for record in found], table if found else f"{domain} has no run of parity.")


NOT_ENDED = (
    "The target did not follow in time, so suspects are left and the run has not ended. See that the tail is at work, "
    "then go on: --resume {name}."
)


def _new_name(kind: str) -> str:
    """The name of a run that begins now."""
    return f"{kind}-{utc_now():%Y%m%d-%H%M%S-%f}"[:-3]


async def _resumed(open_desk: Desk, name: str) -> str:
    await open_desk.runs.record(open_desk.bridge.plan.domain, name)
    return name


async def _run(
    open_desk: Desk, policy: Policy, name: str, mode: Mode, levels: tuple[Level, ...], frozen: bool
) -> RunRecord:
    with Teller() as teller:
        return await open_desk.parity(policy, teller).run(name, mode, levels, frozen)


async def _newest(found: Shelf, domain: str) -> str:
    runs = await found.runs.history(domain, 1)
    if not runs:
        raise RunUnknown(f"{domain} has no run of parity.", next_step=f"Begin one: `midflight parity run {domain}`.")
    return runs[0].run


def _tell(session: Session, record: RunRecord) -> None:
    if session.as_json:
        show_json(_data(record), one_line=True)
    else:
        name, _, began, took, verdict, compared, settled, undecided, _ = _cells(record)
        said = f"{compared} compared, {settled} settled, {undecided} undecided"
        stdout().print(f"{began}  {verdict.upper()}  {said}, {took}  ({name})", markup=False, soft_wrap=True)


def _data(record: RunRecord) -> dict[str, Any]:
    return {
        "run": record.run,
        "mode": record.mode,
        "verdict": record.verdict.value,
        "started_at": record.started_at.isoformat(),
        "finished_at": record.finished_at.isoformat() if record.finished_at is not None else None,
        "plan_fingerprint": record.plan_fingerprint,
        "levels": {one.level: one.verdict.value for one in record.levels},
        "entities": [asdict(one) for one in record.entities],
    }


def _cells(record: RunRecord) -> tuple[str, ...]:
    ended, entities = record.finished_at, record.entities
    sums = (
        sum(one.compared + one.skipped for one in entities),
        sum(one.settled for one in entities),
        sum(one.hot + one.suspects for one in entities),
    )
    took = "has not ended" if ended is None else duration((ended - record.started_at).total_seconds())
    levels = ", ".join(f"{one.level} {one.verdict}" for one in record.levels)
    return (record.run, record.mode, moment(record.started_at), took, record.verdict.value, *map(number, sums), levels)
