"""Moves: start one, list them, look at one, watch one."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer
from rich.live import Live

from starter import moves, render
from starter.exits import ExitCode
from starter.look import Look, look
from starter.plan import PlanFile, read_plan
from starter.prepared import Prepared, until_prepared
from starter.session import AsJson, Domain, Person, Session, run, show_json, stdout, stop, who
from starter.starting import start_move

Every = Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(start)
    app.command("list")(list_moves)
    app.command()(status)
    app.command()(watch)


def start(
    path: PlanFile,
    wait: Annotated[bool, typer.Option(help="Wait until the checks of `prepare` are done.")] = True,
    within: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 120.0,
    person: Person = "",
    as_json: AsJson = False,
) -> None:
    """Check a plan and start the move of its domain."""
    plan, person = read_plan(path), who(person)
    session = Session.begin(as_json)

    async def work() -> Prepared:
        client = await session.client()
        await start_move(client, session.settings.task_queue, plan, person)
        session.note(f"Started {moves.workflow_id(plan.domain)}.")
        return await until_prepared(client, plan.domain, within) if wait else Prepared(domain=plan.domain)

    prepared = run(work())
    session.show(prepared.model_dump(mode="json"), *render.prepared(prepared))
    stop(ExitCode.PROBLEM_FOUND if prepared.parked else ExitCode.OK)


def list_moves(as_json: AsJson = False) -> None:
    """Every domain and how it is doing; works with no worker running."""
    session = Session.begin(as_json)

    async def work() -> list[moves.Overview]:
        return await moves.overviews(await session.client())

    found = run(work())
    session.show([one.model_dump(mode="json") for one in found], render.overviews(found))


def status(domain: Domain, as_json: AsJson = False) -> None:
    """Everything about one move; with no worker running, what was recorded last."""
    session = Session.begin(as_json)
    seen = run(_look(session, domain))
    session.show(seen.model_dump(mode="json"), *render.look(seen))


def watch(
    domain: Domain,
    every: Every = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Live progress until the move ends. With --json: one object a line and look."""
    session = Session.begin(as_json)
    if once and not as_json:
        stdout().print(render.watched(run(_look(session, domain)), time.time()))
    else:
        run(_watch_json(session, domain, every, once) if as_json else _watch(session, domain, every))


async def _look(session: Session, domain: str) -> Look:
    return await look(await session.client(), domain)


async def _watch(session: Session, domain: str, every: float) -> None:
    client = await session.client()
    seen = await look(client, domain)
    with Live(render.watched(seen, time.time()), console=stdout(), auto_refresh=False) as live:
        while seen.overview.is_open:
            await asyncio.sleep(every)
            seen = await look(client, domain)
            live.update(render.watched(seen, time.time()), refresh=True)


async def _watch_json(session: Session, domain: str, every: float, once: bool) -> None:
    client = await session.client()
    while True:
        seen = await look(client, domain)
        show_json(seen.model_dump(mode="json"), one_line=True)
        if once or not seen.overview.is_open:
            return
        await asyncio.sleep(every)
