"""Parity of a domain: puts both sides, the barrier, the place where runs are kept and the plan's rules together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from midflight.clock import nap
from midflight.core.fingerprint import fingerprint
from midflight.core.plan import Child, CollectionMap, Plan
from midflight.parity.barrier import DrainBarrier
from midflight.parity.harness import Parity
from midflight.parity.pace import Listener
from midflight.parity.policy import DEFAULT, Policy
from midflight.parity.ports import Barrier, RunStore
from midflight.parity.rules import Rules
from midflight.parity.source_side import SourceSide
from midflight.parity.target_side import TargetSide
from midflight.sync import Bridge


def parity_of(
    bridge: Bridge,
    store: RunStore,
    *,
    policy: Policy = DEFAULT,
    listener: Listener | None = None,
    barrier: Barrier | None = None,
) -> Parity:
    """The parity of an open domain. Without a barrier of the caller's own it follows the tail of the move.

    PlanError where the plan names a transform that does not exist.
    """
    plan = bridge.plan
    return Parity(
        source=SourceSide(bridge.source, plan),
        target=TargetSide(bridge.target, plan),
        barrier=barrier or DrainBarrier(bridge),
        store=store,
        rules={entry.collection: Rules.of(plan, entry.collection) for entry in plan.collections},
        domain=plan.domain,
        entities=[entry.collection for entry in plan.collections],
        policy=replace(policy, guarded=policy.guarded and not isinstance(barrier, NoTail)),
        invariants=plan.parity.invariants,
        plan_fingerprint=fingerprint(plan),
        details={"verified_by_same_code": verified_by_same_code(plan)},
        listener=listener,
    )


def verified_by_same_code(plan: Plan) -> list[str]:
    """Fields (`orders.name`) that a transform gives back: parity reads them with the plan's function, as the move does.

    A mistake in that function shows on neither side.
    """
    return [f"{entry.collection}.{path}" for entry in plan.collections for path in _given_back(entry, "")]


def _given_back(level: CollectionMap | Child, above: str) -> Iterator[str]:
    for transform in level.transforms:
        if transform.back is not None:
            yield from (above + path for path in transform.fields)
    for child in level.children:
        yield from _given_back(child, f"{above}{child.path}.*.")


class NoTail:
    """The barrier of stores that no tail of ours keeps alike. Implements `Barrier`.

    It waits a while and then calls the target as late as it will ever be: what still differs, unchanged, is settled.
    """

    def __init__(self, wait_seconds: float) -> None:
        self.wait_seconds = wait_seconds

    async def passed(self, within_seconds: float) -> bool:
        """Wait as long as whatever keeps the stores alike may take, at most so long."""
        await nap(min(self.wait_seconds, within_seconds))
        return self.wait_seconds <= within_seconds
