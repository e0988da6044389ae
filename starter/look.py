"""A look at one move: what Temporal has recorded, what the workflow answers, what is at work."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from pydantic import BaseModel
from temporalio.client import Client, WorkflowQueryFailedError, WorkflowQueryRejectedError
from temporalio.service import RPCError

from midflight.contracts.backfill import Copied
from midflight.contracts.domain import DomainStatus
from midflight.contracts.parity import Compared
from starter import moves
from starter.moves import Overview, Work

ANSWER_SECONDS = 5.0
CHILD_ANSWER_SECONDS = 2.0
M = TypeVar("M", bound=BaseModel)


class Look(BaseModel):
    """Everything an operator may want to see of a move. `status` is None when no worker answered."""

    overview: Overview
    status: DomainStatus | None = None
    works: tuple[Work, ...] = ()
    copied: dict[str, int] = {}
    """Documents copied by finished activities of backfills under way, by collection."""
    compared: int | None = None
    """Documents compared by finished activities of a parity run under way."""


async def look(client: Client, domain: str) -> Look:
    """Look once. UnknownDomain."""
    overview, status, works = await asyncio.gather(
        moves.overview(client, domain), status_of(client, domain), moves.works(client, domain)
    )
    if status is None or not overview.is_open:
        return Look(overview=overview, status=status, works=tuple(works))
    return await _with_children(client, Look(overview=overview, status=status, works=tuple(works)))


async def status_of(client: Client, domain: str) -> DomainStatus | None:
    """The `status` query; None when no worker answers."""
    return await _ask(client, moves.workflow_id(domain), "status", DomainStatus, ANSWER_SECONDS)


async def _with_children(client: Client, seen: Look) -> Look:
    mine = moves.workflow_id(seen.overview.domain)
    copied: dict[str, int] = {}
    compared = seen.compared
    for child in await moves.children(client, seen.overview.domain):
        kind, _, name = child.removeprefix(f"{mine}/").partition("/")
        if kind == "backfill":
            copied[name] = getattr(await _ask(client, child, "progress", Copied), "documents", 0)
        elif kind == "parity":
            compared = getattr(await _ask(client, child, "progress", Compared), "compared", 0)
    return seen.model_copy(update={"copied": copied, "compared": compared})


async def _ask(
    client: Client, wanted: str, query: str, kind: type[M], within: float = CHILD_ANSWER_SECONDS
) -> M | None:
    handle = client.get_workflow_handle(wanted)
    try:
        answer: M = await asyncio.wait_for(handle.query(query, result_type=kind), within)
    except (TimeoutError, RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
        return None
    return answer
