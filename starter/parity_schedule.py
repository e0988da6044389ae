"""`midflight parity schedule`: compare a domain every night, by a schedule that Temporal keeps."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import typer
from pydantic import BaseModel
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from midflight.contracts.base import DomainRef
from midflight.contracts.parity import ParityRequest
from midflight.core.plan import Plan
from starter import moves
from starter.exits import Refused
from starter.session import AsJson, Domain, Person, Session, run, who
from starter.storekeeper import TargetStore, books
from workflows import story
from workflows.parity import CheckParity

EVERY_NIGHT = "0 3 * * *"
CATCH_UP = timedelta(hours=1)
"""A run that Temporal could not start in time is not worth much later than this."""


class Scheduled(BaseModel):
    """The schedule as Temporal keeps it. `next`: when it runs next, nothing where it is off."""

    domain: str
    schedule: str
    cron: str = ""
    next: str = ""


def register(app: typer.Typer) -> None:
    """Add the command to the group `midflight parity`."""
    app.command()(schedule)


def schedule_id(domain: str) -> str:
    """The id of a domain's schedule, and of the workflows it starts."""
    return f"{moves.workflow_id(domain)}/nightly-parity"


def schedule(  # noqa: PLR0913 - each is an option of the command
    domain: Domain,
    cron: Annotated[str, typer.Option(help="When, as cron says it, in UTC.")] = EVERY_NIGHT,
    off: Annotated[bool, typer.Option("--off", help="No more nightly runs.")] = False,
    mode: Annotated[
        Literal["gate", "watch"], typer.Option(help="gate: trust nothing; watch: skip what nobody has written since.")
    ] = "gate",
    person: Person = "",
    target: TargetStore = "",
    as_json: AsJson = False,
) -> None:
    """Compare the domain regularly. A run only looks; one that does not pass ends as failed, so that it is seen."""
    session = Session.begin(as_json)

    async def work() -> Scheduled:
        client = await session.client()
        if off:
            return await _take_off(client, domain)
        async with books(session, domain, target) as open_books:
            plan = open_books.plan
        wanted = _schedule(plan, cron, mode, who(person), session.settings.task_queue)
        return await _told(await _keep(client, domain, wanted), domain, cron)

    told = run(work())
    session.show(told.model_dump(), _sentence(told))


def _schedule(plan: Plan, cron: str, mode: Literal["gate", "watch"], person: str, task_queue: str) -> Schedule:
    # No fingerprint: the schedule outlives a change of the plan, and compares by the plan that the ledger holds then.
    request = ParityRequest(ref=DomainRef.of(plan, ""), pacing=plan.pacing, mode=mode, repair=False, demand_pass=True)
    action = ScheduleActionStartWorkflow(
        CheckParity.run,
        request,
        id=schedule_id(plan.domain),
        task_queue=task_queue,
        static_summary=f"parity of {plan.domain}, by schedule",
        typed_search_attributes=TypedSearchAttributes([SearchAttributePair(story.DOMAIN, plan.domain)]),
    )
    return Schedule(
        action=action,
        spec=ScheduleSpec(cron_expressions=[cron]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
        state=ScheduleState(note=f"Nightly parity of {plan.domain}, set by {person}"),
    )


async def _keep(client: Client, domain: str, wanted: Schedule) -> ScheduleHandle:
    """Create it, or change the one there is."""
    try:
        return await client.create_schedule(schedule_id(domain), wanted)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(schedule_id(domain))
        await handle.update(lambda _: ScheduleUpdate(schedule=wanted))
        return handle
    except RPCError as error:
        raise _not_understood(wanted, error) if error.status is RPCStatusCode.INVALID_ARGUMENT else error from error


def _not_understood(wanted: Schedule, error: RPCError) -> Refused:
    cron = wanted.spec.cron_expressions[0]
    return Refused(
        f"Temporal does not take the schedule {cron!r}: {error.message}",
        next_step="Five fields, as in --cron '0 3 * * *': minute, hour, day of the month, month, day of the week.",
    )


async def _told(handle: ScheduleHandle, domain: str, cron: str) -> Scheduled:
    due = (await handle.describe()).info.next_action_times
    return Scheduled(
        domain=domain, schedule=handle.id, cron=cron, next=due[0].isoformat(timespec="minutes") if due else ""
    )


async def _take_off(client: Client, domain: str) -> Scheduled:
    try:
        await client.get_schedule_handle(schedule_id(domain)).delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise Refused(
            f"There is no schedule of {domain}.", next_step=f"`midflight parity schedule {domain}` makes one."
        ) from error
    return Scheduled(domain=domain, schedule=schedule_id(domain))


def _sentence(told: Scheduled) -> str:
    if not told.cron:
        return f"{told.domain}: no more runs by schedule."
    return f"{told.domain}: parity runs by schedule ({told.cron} UTC), next {told.next}; schedule {told.schedule}."
