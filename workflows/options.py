"""Every timeout, retry policy and interval of the workflows, by name."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

TASK_QUEUE = "midflight"


class ActivityOptions(TypedDict, total=False):
    """The keyword arguments of `execute_activity` that we set."""

    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


# A store that is away comes back: try for ever, and let the operator see the failure in the pending activity.
PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=10)
)
# While users wait: a handover that lost its worker is looked after by the next attempt at once.
AT_ONCE = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.5, maximum_interval=timedelta(seconds=5)
)

# It answers once, at its end, and beats by the clock, so that a dead worker is noticed long before its time is over.
SHORT: ActivityOptions = {
    "start_to_close_timeout": timedelta(minutes=5),
    "heartbeat_timeout": timedelta(seconds=20),
    "retry_policy": PATIENT,
}

# Work in long slices: it beats after each batch, is stopped by the workflow, and goes on from the committed checkpoint.
SLICE: ActivityOptions = {
    "start_to_close_timeout": timedelta(hours=24),
    "heartbeat_timeout": timedelta(seconds=20),
    "retry_policy": PATIENT,
    "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
}

# One long statement, which beats by the clock too.
BUILD: ActivityOptions = {
    "start_to_close_timeout": timedelta(hours=24),
    "heartbeat_timeout": timedelta(seconds=30),
    "retry_policy": PATIENT,
}

LOOK_AGAIN: ActivityOptions = {
    "start_to_close_timeout": timedelta(minutes=30),
    "heartbeat_timeout": timedelta(seconds=60),
    "retry_policy": PATIENT,
    "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
}

# The archive of a whole domain: long, and stopped by a pause or a rollback.
ARCHIVE: ActivityOptions = {**BUILD, "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED}


def handover(seconds: float) -> ActivityOptions:
    """A handover of so many seconds: asked for until it answers, whatever happens to the worker meanwhile."""
    return {
        "start_to_close_timeout": timedelta(seconds=seconds) + HANDOVER_UNDOES_WITHIN,
        "heartbeat_timeout": timedelta(seconds=2),
        "retry_policy": AT_ONCE,
    }


HANDOVER_UNDOES_WITHIN = timedelta(minutes=2)
GATE_LOOKS_FIRST = timedelta(seconds=2)
GATE_LOOKS_AT_MOST = timedelta(seconds=60)
EVIDENCE_KEEPS = timedelta(minutes=15)
DRAIN_BEFORE_PARITY = timedelta(seconds=60)
ACKNOWLEDGED_WITHIN = timedelta(seconds=30)
"""So long one look at late instances takes."""
DRAIN_BACK_WITHIN = timedelta(seconds=30)
BOTH_WITHIN = timedelta(hours=24)
"""So long evidence keeps where two persons must approve: both approve the same."""
