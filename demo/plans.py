"""The example plans, hurried: soaks of seconds instead of days, and databases and schemas of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from demo.domains import SHAPES
from demo.domains.shape import Shape
from midflight.core.plan import DarkReads, Pacing, Plan, Ramp
from midflight.core.plan_file import load_plan

PLANS = Path(__file__).resolve().parent.parent / "plans"
DATABASE = "loyalty_demo"
SCHEMA = "loyalty_demo"
SLOW = "members"
"""Copied at a limited rate, so that the pause falls into the backfill."""
SLOW_SECONDS = 5
SOAK_SECONDS = 1.0
SHOP_SOAK_SECONDS = 3.0
RAMP_STEPS = (1.0, 10.0, 50.0, 100.0)
SHOP = "loyalty_shop"
"""Database and schema of the loyalty application."""
SHOP_PLAN = Path(__file__).resolve().parent.parent / "examples" / "loyalty" / "plan.yaml"
SHOP_LIMITS = {
    "feed_window_seconds": 0,
    "cutover_seconds": 10.0,
    "minimum_sample": 40,
    "mismatch_rate": 0.05,
    # All servers, clients and the worker share a few cores here: their latencies say little of a real target's.
    "error_rate_difference": 0.05,
    "p95_difference_ms": 1_000.0,
    "p99_difference_ms": 3_000.0,
}


def demo_plans(shapes: Mapping[str, Shape] = SHAPES) -> dict[str, Plan]:
    """The plans of these domains."""
    return {name: _hurried(_plan(name), shape) for name, shape in shapes.items()}


def shop_plan(soak_seconds: float = SHOP_SOAK_SECONDS) -> Plan:
    """The loyalty application's plan."""
    plan = load_plan(SHOP_PLAN.read_text(encoding="utf-8"))
    return plan.model_copy(
        update={
            "source": plan.source.model_copy(update={"database": SHOP}),
            "target": plan.target.model_copy(update={"schema_": SHOP}),
            "pacing": Pacing(batch_size=500, parallel=1),
            "limits": plan.limits.model_copy(update=SHOP_LIMITS),
            "dark_reads": DarkReads(percent=20, soak_seconds=soak_seconds),
            "ramp": Ramp(steps=RAMP_STEPS, soak_seconds=soak_seconds),
            "soak_seconds": soak_seconds,
            "retention_seconds": soak_seconds,
            "approvals": ("ramp", "cutover", "retire", "decommission"),
        }
    )


def _plan(domain: str) -> Plan:
    return load_plan((PLANS / f"{domain}.yaml").read_text(encoding="utf-8"))


def _hurried(plan: Plan, shape: Shape) -> Plan:
    rate = shape.size // SLOW_SECONDS if plan.domain == SLOW else None
    limits = {"feed_window_seconds": 0, "cutover_seconds": 15.0}
    return plan.model_copy(
        update={
            "source": plan.source.model_copy(update={"database": DATABASE}),
            "target": plan.target.model_copy(update={"schema_": SCHEMA}),
            "pacing": Pacing(documents_per_second=rate, batch_size=1_000, parallel=1),
            "limits": plan.limits.model_copy(update=limits),
            "dark_reads": DarkReads(percent=5, soak_seconds=SOAK_SECONDS),
            "ramp": Ramp(steps=RAMP_STEPS, soak_seconds=SOAK_SECONDS),
            "soak_seconds": SOAK_SECONDS,
            "retention_seconds": SOAK_SECONDS,
        }
    )
