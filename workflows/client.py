"""How starter, worker and tests connect to Temporal: one data converter for all of them."""

from __future__ import annotations

import asyncio

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from midflight.errors import MidflightError

WAIT_SECONDS = 10.0


class TemporalUnavailable(MidflightError):
    """Temporal does not answer at the given address."""

    retryable = True


async def connect(address: str, namespace: str, *, within_seconds: float = WAIT_SECONDS) -> Client:
    """A connected client. TemporalUnavailable if nobody answers."""
    try:
        return await asyncio.wait_for(
            Client.connect(address, namespace=namespace, data_converter=pydantic_data_converter),
            within_seconds,
        )
    except (RuntimeError, RPCError, TimeoutError) as error:
        raise TemporalUnavailable(
            f"No Temporal answers at {address} (namespace {namespace}).",
            next_step="Start one with `midflight up`, or set MIDFLIGHT_TEMPORAL_ADDRESS.",
        ) from error
