"""What surrounds every activity: our errors become Temporal's, and the log knows where it is."""

from __future__ import annotations

from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from midflight.errors import MidflightError

log = structlog.get_logger("midflight.activity")


class MidflightInterceptor(Interceptor):
    """Give this to the worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Surround every activity."""
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        with structlog.contextvars.bound_contextvars(
            domain=_domain(input.args),
            activity=info.activity_type,
            workflow_id=info.workflow_id,
            attempt=info.attempt,
        ):
            try:
                result = await super().execute_activity(input)
            except MidflightError as error:
                log.warning("activity_failed", error=type(error).__name__, message=str(error))
                raise ApplicationError(
                    str(error), type=type(error).__name__, non_retryable=not error.retryable
                ) from None
            log.info("activity_done")
            return result


def _domain(args: Any) -> str | None:
    """The domain an activity works for, read off its only argument."""
    request = args[0] if args else None
    reference = getattr(request, "ref", request)
    plan = getattr(request, "plan", None)
    return getattr(reference, "domain", None) or getattr(plan, "domain", None)
