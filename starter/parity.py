"""`midflight parity`: do both stores say the same? Any domain, any time; Temporal is not asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer
from rich.text import Text

from midflight.errors import RunUnknown
from midflight.parity.policy import DEFAULT
from midflight.parity.records import RunRecord
from starter import parity_gate, parity_keys, parity_schedule, parity_watch
from starter.parity_desk import Lag, PlanOption, Rate, Shelf, Store, Where, desk, shelf
from starter.parity_exits import Answer, answer_of, end
from starter.parity_levels import LevelName
from starter.parity_named import NamedRun, new_name, run_of
from starter.parity_output import AsForm, Out, Values, gather_report, write_report
from starter.parity_records import Cells, cells_of, data_of
from starter.session import AsJson, Domain, Session, run
from starter.tables import columns

Levels = Annotated[
    list[LevelName] | None,
    typer.Option("--level", help="Only this level; may be repeated. Default: all.", show_default=False),
]
Frozen = Annotated[
    bool, typer.Option("--frozen", help="Nobody writes and the target has everything: whatever differs is wrong.")
]
Named = Annotated[
    str,
    typer.Option("--run", metavar="NAME", help="The run's name; one that is kept is gone on with.", show_default=False),
]
Resumed = Annotated[
    str, typer.Option("--resume", metavar="NAME", help="As --run, but only one that is kept.", show_default=False)
]
SampleRate = Annotated[
    float, typer.Option(min=1e-9, max=0.5, help="A clean sample shows that fewer than this share of keys differ,")
]
Confidence = Annotated[float, typer.Option(min=0.5, max=0.999999, help="at this confidence.")]

app = typer.Typer(name="parity", help="Do both stores say the same?", no_args_is_help=True)
parity_keys.register(app)
parity_gate.register(app)
parity_watch.register(app)
parity_schedule.register(app)


@app.callback()
def _group() -> None:
    """Do both stores say the same? Exit codes: docs/cli.md."""


@app.command("run")
def run_levels(  # noqa: PLR0913 - every option is one
    domain: Domain,
    plan: PlanOption = None,
    name: Named = "",
    resume: Resumed = "",
    level: Levels = None,
    frozen: Frozen = False,
    sample_rate: SampleRate = DEFAULT.sample_rate,
    confidence: Confidence = DEFAULT.sample_confidence,
    rate: Rate = None,
    lag: Lag = 5.0,
    form: AsForm = "text",
    out: Out = None,
    values: Values = False,
    target: Store = "",
) -> None:
    """Compare both stores and report. A run that was broken off goes on under its name, with the levels it had."""
    if name and resume:
        raise typer.BadParameter("Say --run or --resume, not both.")
    session, where = Session.begin(as_json=False), Where(domain, target, plan)
    policy = replace(DEFAULT, sample_rate=sample_rate, sample_confidence=confidence, documents_per_second=rate)
    named = NamedRun(session, where, name or resume or new_name("run"), frozen=frozen)

    async def work() -> Answer:
        async with desk(session, where, lag=lag) as open_desk:
            levels = await named.levels(open_desk, level, must_be_kept=bool(resume))
            named.begun = True
            record = await run_of(open_desk, policy, named.name, "gate", levels, frozen=frozen)
        if record.finished_at is None:
            named.tell_not_followed()
        async with shelf(session, where) as found:
            whole = await gather_report(found, domain, named.name, values)
            await write_report(session, found, whole, form, out)
        return answer_of(record)

    with named.broken_off():
        answer = run(work())
    end(answer)


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
    table = columns(*Cells._fields)
    for record in found:
        table.add_row(*(Text(cell) for cell in cells_of(record)))
    session.show([data_of(record) for record in found], table if found else f"{domain} has no run of parity.")


async def _newest(found: Shelf, domain: str) -> str:
    runs = await found.runs.history(domain, 1)
    if not runs:
        raise RunUnknown(f"{domain} has no run of parity.", next_step=f"Begin one: `midflight parity run {domain}`.")
    return runs[0].run
