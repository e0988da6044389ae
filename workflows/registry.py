"""Which workflows there are, and the one sandbox that worker, tests and replay share."""

from __future__ import annotations

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.backfill import BackfillCollection
from workflows.domain import MigrateDomain
from workflows.parity import CheckParity

WORKFLOWS = (MigrateDomain, BackfillCollection, CheckParity)
# Let through: pure or typed references only. What guards them instead of the sandbox is the lint on `midflight/core`.
PASSED_THROUGH = (
    "midflight",
    "activities",
    "pydantic",
    "pydantic_core",
    "bson",
    "structlog",
    "annotated_types",
)


def runner() -> SandboxedWorkflowRunner:
    """The sandbox."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))
