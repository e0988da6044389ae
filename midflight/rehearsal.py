"""A handover rehearsed: the steps that do no harm, timed, so that whoever approves knows how long writes would wait."""

from __future__ import annotations

from midflight.clock import seconds
from midflight.comparing import differing_since
from midflight.contracts.cutover import Rehearsed
from midflight.sync import Bridge
from midflight.waiting import drained

DRAIN_SECONDS = 30.0
LOOKS = 3
ROUND_TRIPS = 4
"""Hold, one look at the instances, the last look before the flip, and the flip."""
FENCE_SECONDS = 0.05
"""What a change of a validator takes; it waits for writes under way, which a rehearsal cannot know."""
POLL_SECONDS = 0.05
"""What an instance that is woken needs to acknowledge."""


async def rehearse(bridge: Bridge, token: int, acknowledge_seconds: float = 0.0) -> Rehearsed:
    """Compare everything changed since the token, then time what the hold would do. DrainTimeout.

    `acknowledge_seconds` is what the last change of stage took. The answer's token is the old one where keys differ.
    """
    compared = await _compared(bridge, token)
    steps = {
        "acknowledge": await _acknowledging(bridge, acknowledge_seconds),
        "fence": FENCE_SECONDS,
        "drain": (await drained(bridge, DRAIN_SECONDS)).seconds,
    }
    began = seconds()
    await differing_since(bridge, compared)
    steps["verify"] = seconds() - began
    steps["round trips"] = ROUND_TRIPS * await _round_trip(bridge)
    rounded = {name: round(value, 3) for name, value in steps.items()}
    return Rehearsed(forecast_seconds=round(sum(rounded.values()), 3), steps=rounded, token=compared)


async def _compared(bridge: Bridge, token: int) -> int:
    """A token up to which everything was equal when the tail had just passed it; the old one if something was not."""
    for _ in range(LOOKS):
        # First the token: what was being applied at that moment has been passed by the tail when the drain ends.
        newer = await bridge.target.rows.last_token(bridge.plan.domain)
        await drained(bridge, DRAIN_SECONDS)
        if not await differing_since(bridge, token):
            return newer
    return token


async def _acknowledging(bridge: Bridge, last_seconds: float) -> float:
    """A write that takes long is likely to be followed by another one."""
    instances = await bridge.target.registry.instances(bridge.plan.domain)
    longest = max((one.oldest_seconds or 0.0 for one in instances), default=0.0)
    return max(longest, last_seconds, POLL_SECONDS if instances else 0.0)


async def _round_trip(bridge: Bridge) -> float:
    began = seconds()
    await bridge.target.ledger.authority(bridge.plan.domain)
    return seconds() - began
