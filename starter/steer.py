"""What an operator says to a move: pause, resume, approve, reject, rollback, pacing."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from temporalio.client import Client

from midflight.contracts.domain import Abandon, Approve, Command, GateView, Pause, Reject, Resume, Rollback, SetPacing
from midflight.core.phase import Phase
from midflight.core.plan import DailyWindow, GateName
from starter import moves
from starter.evidence import gate as gate_lines
from starter.exits import ExitCode, NoWorker
from starter.look import status_of
from starter.send import Told, ended, send
from starter.session import AsJson, Domain, Person, Reason, Session, run, stop, who

Gate = Annotated[GateName, typer.Argument(help="The gate that waits; `status` names it.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is recorded.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (pause, resume, approve, reject, rollback, abandon, pacing):
        app.command()(command)


def pause(domain: Domain, reason: Reason = "", person: Person = "", as_json: AsJson = False) -> None:
    """Write nothing more until resumed."""
    _say(domain, Pause(**_signature(person, reason)), as_json)


def resume(
    domain: Domain,
    reason: Reason = "",
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Give up a way back that stands still, and stay with the target.")
    ] = False,
    person: Person = "",
    as_json: AsJson = False,
) -> None:
    """Go on: after a pause, a rollback, a rejection or a failure."""
    _say(domain, Resume(withdraw=withdraw, **_signature(person, reason)), as_json)


def approve(
    domain: Domain,
    gate: Gate,
    reason: Why,
    evidence: Annotated[str, typer.Option(help="Hash of the evidence you looked at; default: what it is now.")] = "",
    person: Person = "",
    as_json: AsJson = False,
) -> None:
    """Open a gate. What is approved is the evidence, and it is shown."""
    session, signed = Session.begin(as_json), _signature(person, reason)
    run(_approve(session, domain, gate, evidence, signed))


def reject(domain: Domain, gate: Gate, reason: Why, person: Person = "", as_json: AsJson = False) -> None:
    """Keep a gate shut: the move waits until resumed or rolled back."""
    _say(domain, Reject(gate=gate, **_signature(person, reason)), as_json)


def rollback(
    domain: Domain,
    to: Annotated[Phase, typer.Option(help="The phase to go back to.", show_default=False)],
    reason: Why,
    person: Person = "",
    as_json: AsJson = False,
) -> None:
    """Take back everything since the beginning of a phase; `resume` goes on from there.

    From the target too: everything is written back first, then the source is in charge again.
    """
    _say(domain, Rollback(to=to, **_signature(person, reason)), as_json)


def abandon(domain: Domain, reason: Why, person: Person = "", as_json: AsJson = False) -> None:
    """Give up a move that stands still in `prepare`; another can be started then."""
    _say(domain, Abandon(**_signature(person, reason)), as_json)


def pacing(  # noqa: PLR0913 - each is an option of the command
    domain: Domain,
    rate: Annotated[int | None, typer.Option(min=1, help="Documents per second, for the domain.")] = None,
    unlimited: Annotated[bool, typer.Option("--unlimited", help="No limit of the rate.")] = False,
    batch: Annotated[int | None, typer.Option(min=1, max=50_000, help="Documents in a batch.")] = None,
    parallel: Annotated[int | None, typer.Option(min=1, max=64, help="Partitions copied at a time.")] = None,
    window: Annotated[str, typer.Option(help="Hours of the day (UTC), as 22:00-05:00, or `always`.")] = "",
    person: Person = "",
    as_json: AsJson = False,
) -> None:
    """Change how hard the backfill works, while it works."""
    if rate is not None and unlimited:
        raise typer.BadParameter("--rate and --unlimited contradict each other; give one of them.")
    if not (rate or unlimited or batch or parallel or window):
        raise typer.BadParameter("Nothing to change: give --rate, --unlimited, --batch, --parallel or --window.")
    changes = {"documents_per_second": rate, "unlimited": unlimited, "batch_size": batch, "parallel": parallel}
    _say(domain, SetPacing(**_signature(person, ""), **changes, **_window(window)), as_json)


def _window(text: str) -> dict[str, Any]:
    if text in ("", "always"):
        return {"always": text == "always"}
    start, _, end = text.partition("-")
    try:
        return {"window": DailyWindow(start=start, end=end)}
    except ValidationError as error:
        raise typer.BadParameter("--window takes two times of day, as 22:00-05:00, or `always`.") from error


def _signature(person: str, reason: str) -> dict[str, Any]:
    return {"person": who(person), "reason": reason, "request_id": uuid.uuid4().hex}


def _say(domain: str, command: Command, as_json: bool) -> None:
    session = Session.begin(as_json)

    async def work() -> Told:
        return await send(await session.client(), domain, command)

    _tell(session, run(work()))


async def _approve(session: Session, domain: str, gate: GateName, evidence: str, signed: dict[str, Any]) -> None:
    client = await session.client()
    shown = None if evidence else await _gate_now(client, domain)
    if shown is not None and not session.as_json:
        session.show(None, *gate_lines(shown))
    named = evidence or (shown.evidence_hash if shown else "")
    told = await send(client, domain, Approve(gate=gate, evidence=named, **signed))
    _tell(session, told, evidence=shown)


async def _gate_now(client: Client, domain: str) -> GateView | None:
    """The gate as it stands. NoWorker: evidence that nobody can see cannot be approved."""
    overview = await moves.overview(client, domain)
    if not overview.is_open:
        raise ended(overview)
    status = await status_of(client, domain)
    if status is None:
        raise NoWorker(
            f"No worker answers, so the evidence of {domain} cannot be shown.",
            next_step="Start a worker (`midflight worker`), or name the evidence you looked at with --evidence.",
        )
    return status.state.gate


def _tell(session: Session, told: Told, *, evidence: GateView | None = None) -> None:
    data = told.model_dump(mode="json")
    if evidence is not None:
        data["evidence"] = evidence.model_dump(mode="json")
    session.show(data, told.message)
    stop(ExitCode.NO_WORKER if told.recorded else ExitCode.OK)
