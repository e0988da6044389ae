"""Parity of a rig's stores, on connections of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from midflight.parity.barrier import DrainBarrier
from midflight.parity.harness import Parity
from midflight.parity.policy import Policy
from midflight.parity.ports import RunStore
from midflight.parity.rules import Rules
from midflight.parity.source_side import SourceSide
from midflight.parity.target_side import TargetSide
from midflight.postgres.connection import open_runs
from tests.fixtures.rig import Rig


@asynccontextmanager
async def opened(rig: Rig, policy: Policy) -> AsyncIterator[tuple[Parity, RunStore]]:
    """The tool, and the place where its runs are kept."""
    plan = rig.plan
    async with rig.bridge() as bridge, open_runs(rig.postgres_dsn) as store:
        parity = Parity(
            SourceSide(bridge.source, plan),
            TargetSide(bridge.target, plan),
            DrainBarrier(bridge),
            store,
            {"orders": Rules.of(plan, "orders")},
            domain=plan.domain,
            entities=["orders"],
            policy=policy,
        )
        yield parity, store
