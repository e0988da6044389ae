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
# In the cutover users are waiting: a step that does not succeed at once is undone.
HASTY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100),
    maximum_interval=timedelta(milliseconds=500),
    maximum_attempts=3,
)

# A wait with a deadline of its own: asked once.
ONCE = RetryPolicy(maximum_attempts=1)

SHORT: ActivityOptions = {"start_to_close_timeout": timedelta(minutes=5), "retry_policy": PATIENT}

# Work in long slices: it beats after each batch, is stopped by the workflow, and goes on from the committed checkpoint.
SLICE: ActivityOptions = {
    "start_to_close_timeout": timedelta(hours=24),
    "heartbeat_timeout": timedelta(seconds=20),
    "retry_policy": PATIENT,
    "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
}

# One long statement: it beats by the clock, so that a dead worker is noticed long before its time is over.
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

CUTOVER_STEP: ActivityOptions = {"start_to_close_timeout": timedelta(seconds=15), "retry_policy": HASTY}
DRAIN: ActivityOptions = {"start_to_close_timeout": timedelta(seconds=15), "retry_policy": ONCE}

# The flip is never left half done: once asked for, it is asked for until it is answered. Repeating it is safe.
FLIP: ActivityOptions = {"start_to_close_timeout": timedelta(seconds=30), "retry_policy": PATIENT}

GATE_LOOKS_FIRST = timedelta(seconds=2)
GATE_LOOKS_AT_MOST = timedelta(seconds=60)
EVIDENCE_KEEPS = timedelta(minutes=15)
DRAIN_BEFORE_PARITY = timedelta(seconds=60)
FEW_CHANGED = 500
"""So few changed keys can be compared inside the hold."""
CHANGED_PASSES = 5
