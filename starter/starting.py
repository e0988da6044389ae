"""Starts the workflow of a domain's move: one at a time, legible from its first moment."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from midflight.contracts.domain import DomainState, MigrateRequest
from midflight.contracts.search_attributes import SEARCH_ATTRIBUTES
from midflight.core.plan import Plan
from starter import moves
from starter.exits import Refused
from workflows import story
from workflows.domain import MigrateDomain

SUMMARY_BYTES = 200
"""So much of a summary is kept by every Temporal."""


async def start_move(client: Client, task_queue: str, plan: Plan, person: str) -> None:
    """Start it. Refused when the domain is under way already."""
    first = DomainState(domain=plan.domain, started_by=person)
    try:
        await client.start_workflow(
            MigrateDomain.run,
            MigrateRequest(plan=plan, started_by=person),
            id=moves.workflow_id(plan.domain),
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=_summary(plan),
            static_details=_details(plan, person),
            memo={"status": story.memo_of(first)},
            search_attributes=_attributes(first),
        )
    except WorkflowAlreadyStartedError:
        raise await _under_way(client, plan.domain) from None
    except RPCError as error:
        raise _unregistered(error) if _is_about_attributes(error) else error from error


async def _under_way(client: Client, domain: str) -> Refused:
    now = await moves.overview(client, domain)
    return Refused(
        f"The move of {domain} is under way: phase {now.phase}, {now.state}.",
        next_step=f"`midflight watch {domain}` shows it. To do it over: `midflight rollback {domain} --to prepare "
        f"--reason ...`, then `midflight resume {domain}`.",
    )


def _attributes(first: DomainState) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(story.DOMAIN, first.domain),
            SearchAttributePair(story.PHASE, first.phase.value),
            SearchAttributePair(story.STATE, first.state),
            SearchAttributePair(story.PERCENT, 0.0),
        ]
    )


def _summary(plan: Plan) -> str:
    text = f"{plan.domain}: {plan.source.database} to {plan.target.store}, {len(plan.collections)} collections"
    return text.encode()[:SUMMARY_BYTES].decode(errors="ignore")


def _details(plan: Plan, person: str) -> str:
    lines = [f"## {plan.domain}", "", plan.description, ""]
    lines += [f"- **owner** {plan.owner or 'nobody named'}", f"- **started by** {person}"]
    lines += [f"- **approvals** {', '.join(plan.approvals) or 'none'}", ""]
    lines += [f"- **{entry.collection}** to {plan.target.schema_}.{entry.table}" for entry in plan.collections]
    return "\n".join(lines)


def _is_about_attributes(error: RPCError) -> bool:
    return error.status is RPCStatusCode.INVALID_ARGUMENT and "search attribute" in error.message.lower()


def _unregistered(error: RPCError) -> Refused:
    wanted = " ".join(f"--name {name} --type {kind}" for name, kind in SEARCH_ATTRIBUTES.items())
    return Refused(
        f"This Temporal does not know Midflight's search attributes: {error.message}.",
        next_step=f"Register them once: temporal operator search-attribute create {wanted}",
    )
