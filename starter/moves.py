"""What Temporal knows of the moves, also with no worker running.

Asked over the plain service calls: the SDK's own `describe` and `list_workflows` raise on a status they do not know
(a workflow that was paused with Temporal's own pause).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import PendingActivityInfo, WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryRequest,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from midflight.contracts import search_attributes as names
from midflight.contracts.domain import MigrateRequest
from starter.exits import UnknownDomain

QUERY = "WorkflowType = 'MigrateDomain'"
PAGE = 200
OPEN = ("running", "paused")


class Work(BaseModel):
    """One activity under way: its heartbeat, and its trouble if it is being tried again."""

    activity: str
    attempt: int = 1
    beat: dict[str, Any] = {}
    failure: str = ""


class Overview(BaseModel):
    """One move as recorded in search attributes and memo."""

    domain: str
    workflow_id: str
    run_id: str
    execution: str
    """Temporal's word: running, completed, terminated ...; `paused` is Temporal's own pause, not ours."""
    phase: str = ""
    state: str = ""
    waiting_for: str = ""
    problem: str = ""
    stage: str = ""
    reads_percent: float = 0.0
    percent: float | None = None
    lag_seconds: float | None = None
    mismatches: int | None = None
    started: str = ""
    closed: str = ""
    events: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the move still goes on."""
        return self.execution in OPEN


def workflow_id(domain: str) -> str:
    """The workflow id of a domain's move."""
    return f"midflight/{domain}"


async def overviews(client: Client) -> list[Overview]:
    """Every domain's newest move, by domain."""
    newest: dict[str, Overview] = {}
    async for found in _executions(client):
        known = newest.get(found.domain)
        if known is None or (found.is_open, found.started) > (known.is_open, known.started):
            newest[found.domain] = found
    return [newest[domain] for domain in sorted(newest)]


async def overview(client: Client, domain: str) -> Overview:
    """One domain's newest move. UnknownDomain, naming the known ones."""
    return await _overview(client, (await _describe(client, domain)).workflow_execution_info)


async def works(client: Client, domain: str) -> list[Work]:
    """The activities under way, of the move and of its children."""
    return await works_of(client, workflow_id(domain))


async def children(client: Client, domain: str) -> list[str]:
    """Workflow ids of the children under way."""
    return [child.workflow_id for child in (await _describe(client, domain)).pending_children]


async def works_of(client: Client, wanted_id: str) -> list[Work]:
    """The activities under way, of one workflow and of its children."""
    try:
        described = await _describe_id(client, wanted_id)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return []  # it ended meanwhile
        raise
    mine = [await _work(client, info) for info in described.pending_activities]
    for child in described.pending_children:
        mine += await works_of(client, child.workflow_id)
    return mine


async def request_of(client: Client, domain: str) -> MigrateRequest:
    """The input of the newest run: it holds the plan. UnknownDomain."""
    info = (await _describe(client, domain)).workflow_execution_info
    history = await client.workflow_service.get_workflow_execution_history(
        GetWorkflowExecutionHistoryRequest(namespace=client.namespace, execution=info.execution, maximum_page_size=1)
    )
    started = history.history.events[0].workflow_execution_started_event_attributes
    decoded = await client.data_converter.decode(list(started.input.payloads), [MigrateRequest])
    request: MigrateRequest = decoded[0]
    return request


async def _executions(client: Client) -> AsyncIterator[Overview]:
    token = b""
    while True:
        answer = await client.workflow_service.list_workflow_executions(
            ListWorkflowExecutionsRequest(
                namespace=client.namespace, query=QUERY, page_size=PAGE, next_page_token=token
            )
        )
        for info in answer.executions:
            yield await _overview(client, info)
        token = answer.next_page_token
        if not token:
            return


async def _describe(client: Client, domain: str) -> DescribeWorkflowExecutionResponse:
    try:
        return await _describe_id(client, workflow_id(domain))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    known = ", ".join(one.domain for one in await overviews(client))
    raise UnknownDomain(
        f"No move of a domain '{domain}' is known.",
        next_step=f"Known: {known}." if known else "None was started yet: `midflight start PLAN`.",
    )


async def _describe_id(client: Client, wanted_id: str) -> DescribeWorkflowExecutionResponse:
    return await client.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=WorkflowExecution(workflow_id=wanted_id))
    )


async def _overview(client: Client, info: WorkflowExecutionInfo) -> Overview:
    attributes = await _values(client, info.search_attributes.indexed_fields)
    memo = (await _values(client, info.memo.fields)).get("status") or {}
    execution = WorkflowExecutionStatus.Name(info.status).removeprefix("WORKFLOW_EXECUTION_STATUS_").lower()
    return Overview(
        domain=info.execution.workflow_id.partition("/")[2],
        workflow_id=info.execution.workflow_id,
        run_id=info.execution.run_id,
        execution=execution,
        phase=memo.get("phase") or attributes.get(names.PHASE) or "",
        state=memo.get("state") or attributes.get(names.STATE) or "",
        waiting_for=memo.get("waiting_for") or attributes.get(names.WAITING_FOR) or "",
        problem=memo.get("problem") or "",
        stage=memo.get("stage") or "",
        reads_percent=memo.get("reads_percent") or 0.0,
        percent=attributes.get(names.PERCENT),
        lag_seconds=attributes.get(names.LAG_SECONDS),
        mismatches=attributes.get(names.MISMATCHES),
        started=_time(info.start_time.ToDatetime(UTC)),
        closed=_time(info.close_time.ToDatetime(UTC)) if info.HasField("close_time") else "",
        events=info.history_length,
    )


async def _work(client: Client, info: PendingActivityInfo) -> Work:
    beat = await _first(client, info.heartbeat_details)
    return Work(
        activity=info.activity_type.name,
        attempt=info.attempt,
        beat=beat if isinstance(beat, dict) else {},
        failure=info.last_failure.message if info.HasField("last_failure") else "",
    )


async def _values(client: Client, fields: Mapping[str, Payload]) -> dict[str, Any]:
    return {name: (await client.data_converter.decode([payload]))[0] for name, payload in fields.items()}


async def _first(client: Client, payloads: Payloads) -> Any:
    decoded = await client.data_converter.decode(list(payloads.payloads))
    return decoded[0] if decoded else None


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
