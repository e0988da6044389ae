"""Sends a command: as an update, which answers; as a signal, which waits for a worker, when nobody answers."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel
from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from midflight.contracts.domain import Abandon, Answer, Approve, Command, Pause, Reject, Resume, Rollback, SetPacing
from starter import moves
from starter.exits import Refused
from starter.moves import Overview

ANSWER_SECONDS = 5.0
SIGNALS: dict[type[Command], str] = {
    Pause: "pause",
    Resume: "resume",
    Approve: "approve",
    Reject: "reject",
    Rollback: "rollback",
    Abandon: "abandon",
    SetPacing: "set_pacing",
}
"""The signal of each command; its update has the same name and `_now`."""


class Told(BaseModel):
    """What became of a command. `recorded`: Temporal keeps it for a worker; whether it is accepted shows then."""

    domain: str
    command: str
    request_id: str
    person: str
    accepted: bool
    recorded: bool
    message: str


async def send(client: Client, domain: str, command: Command) -> Told:
    """Say it and return the answer. Refused, with the reason; UnknownDomain."""
    overview = await moves.overview(client, domain)
    if not overview.is_open:
        raise ended(overview)
    if overview.execution == "paused":
        raise _frozen(overview)
    handle = client.get_workflow_handle(moves.workflow_id(domain))
    try:
        answer = await _update(handle, command)
        if answer is None:
            await handle.signal(SIGNALS[type(command)], command)
    except RPCError as error:
        raise await _gone(client, domain, error) from error
    return _told(domain, command, answer)


def ended(overview: Overview) -> Refused:
    """The refusal of everything that comes after the end."""
    return Refused(
        f"The move of {overview.domain} has ended ({overview.execution} {overview.closed}, phase {overview.phase}).",
        next_step=f"`midflight report {overview.domain}` tells how it went; `midflight start PLAN` starts a new one.",
    )


def _frozen(overview: Overview) -> Refused:
    return Refused(
        f"The workflow of {overview.domain} is held by Temporal's own pause, which accepts no commands.",
        next_step=f"Undo that first: temporal workflow unpause --workflow-id {overview.workflow_id}",
    )


async def _update(handle: WorkflowHandle[object, object], command: Command) -> Answer | None:
    """The answer; None if no worker gave one in time. The request id makes a late double harmless."""
    update = handle.execute_update(f"{SIGNALS[type(command)]}_now", command, id=command.request_id, result_type=Answer)
    try:
        answer: Answer = await asyncio.wait_for(update, ANSWER_SECONDS)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        return None
    except WorkflowUpdateFailedError as failure:
        reason = failure.cause.message if isinstance(failure.cause, ApplicationError) else str(failure.cause)
        raise _refusal(handle.id, reason) from failure
    if not answer.accepted:
        raise _refusal(handle.id, answer.message)
    return answer


def _refusal(workflow_id: str, reason: str) -> Refused:
    domain = workflow_id.partition("/")[2]
    return Refused(f"Refused: {reason}.", next_step=f"`midflight status {domain}` shows where the move stands.")


async def _gone(client: Client, domain: str, error: RPCError) -> Exception:
    """Why a command did not arrive: the move ended meanwhile, or Temporal says something else."""
    if error.status is RPCStatusCode.NOT_FOUND:
        overview = await moves.overview(client, domain)
        if not overview.is_open:
            return ended(overview)
    return error


def _told(domain: str, command: Command, answer: Answer | None) -> Told:
    message = answer.message if answer else "recorded; no worker is running: it takes effect when one starts"
    return Told(
        domain=domain,
        command=SIGNALS[type(command)],
        request_id=command.request_id,
        person=command.person,
        accepted=answer is not None,
        recorded=answer is None,
        message=f"{domain}: {message}",
    )
