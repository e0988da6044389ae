"""The whole protocol on real servers, driven by Hypothesis: whatever comes in what order, no accepted write is lost.

Two applications write at the store they believe in; backfill, tail, shadow writes and the reverse tail go forth and
back, are retried, lose their answers, or sleep and wake much later; authority is handed over and back, with writes,
sleepers, failures and lost answers between its steps. `MIDFLIGHT_TEST_RUNS=5000` asks for more runs,
`MIDFLIGHT_TEST_SHRINK=1` for the shortest way to a failure (minutes).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import embedded
from tests.property.world import KEYS, Intrusion, World

RUNS = int(os.environ.get("MIDFLIGHT_TEST_RUNS", "100"))
PHASES = (Phase.generate, Phase.shrink) if os.environ.get("MIDFLIGHT_TEST_SHRINK") else (Phase.generate,)
STEPS = 20

CALLS = ("ledger.set_stage", "fence.raise_fence", "fence.lower_fence", "ledger.flip", "feed.mark", "rows.last_token")
CALLS_BACK = (
    "ledger.hold",
    "ledger.close",
    "ledger.reopen",
    "ledger.flip_back",
    "fence.lower_fence",
    "marks.dirty",
    "marks.written_back",
    "reverse.write_back",
)
KINDS = ("sleeper", "write", "sync", "lost answer", "failure")

keys = st.sampled_from(KEYS)
who = st.integers(0, 1)
flags = st.booleans()
seldom = st.sampled_from([False, False, False, True])


def intrusions(calls: tuple[str, ...]) -> st.SearchStrategy[Intrusion | None]:
    """Nothing, or something between two steps."""
    return st.none() | st.builds(Intrusion, st.sampled_from(calls), st.sampled_from(KINDS))


class Runner:
    """The world and the loop it lives in; one for all runs, each of which begins with a reset."""

    def __init__(self, mongo_uri: str, database: str, dsn: str) -> None:
        self._runner = asyncio.Runner()
        self.world = World(mongo_uri, database, dsn)
        self.run(self.world.open())

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        """Run a step to its end."""
        return self._runner.run(step)

    def close(self) -> None:
        """End the world."""
        self.run(self.world.close())
        self._runner.close()


class Protocol(RuleBasedStateMachine):
    """One run: any steps in any order, then everything must settle."""

    runner: Runner

    @initialize(target_in_charge=flags)
    def begin(self, target_in_charge: bool) -> None:
        self.world = self.runner.world
        self.run(self.world.reset())
        if target_in_charge:
            self.run(self.world.backfill(stall=False))
            self.run(self.world.hand_over(None))
            self.poll(0)

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(step)

    @rule(number=who)
    def poll(self, number: int) -> None:
        self.run(self.world.poll(self.world.applications[number]))

    @rule(number=who, key=keys, delete=seldom, shadow=st.sampled_from(["done", "asleep", "crashed"]))
    def write(self, number: int, key: str, delete: bool, shadow: str) -> None:
        self.run(self._write(number, key, delete, shadow))

    async def _write(self, number: int, key: str, delete: bool, shadow: str) -> None:
        side = await self.world.write(self.world.applications[number], key, delete=delete)
        if side == "source" and shadow != "crashed":
            await self.world.shadow(key, stall=shadow == "asleep")

    @rule(number=who, key=keys, delete=seldom, stopped=flags)
    def fall_asleep_before_a_write(self, number: int, key: str, delete: bool, stopped: bool) -> None:
        application = self.world.applications[number]
        self.run(self.world.stall_write(application, key, delete=delete, stopped=stopped))

    @rule(stall=seldom)
    def backfill(self, stall: bool) -> None:
        self.run(self.world.backfill(stall=stall))

    @rule(how=st.sampled_from(["done", "done", "asleep", "lost"]))
    def tail(self, how: str) -> None:
        self.run(self.world.tail(stall=how == "asleep", lost=how == "lost"))

    @rule(how=st.sampled_from(["done", "done", "asleep", "lost"]))
    def carry_back(self, how: str) -> None:
        self.run(self.world.carry_back(stall=how == "asleep", lost=how == "lost"))

    @rule(number=st.integers(0, 9))
    def wake(self, number: int) -> None:
        self.run(self.world.wake(number))

    @rule(intrusion=intrusions(CALLS))
    def hand_over(self, intrusion: Intrusion | None) -> None:
        self.run(self.world.hand_over(intrusion))

    @rule(intrusion=intrusions(CALLS_BACK))
    def hand_back(self, intrusion: Intrusion | None) -> None:
        self.run(self.world.hand_back(intrusion))

    @rule()
    def resolve(self) -> None:
        self.run(self.world.resolve())

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.run(self.world.settle())


@pytest.fixture
def runner(servers: embedded.Servers, mongo_database: str, postgres_database: str) -> Iterator[Runner]:
    runner = Runner(servers.mongo_uri, mongo_database, postgres_database)
    yield runner
    runner.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", [1, 2])
def test_no_accepted_write_is_lost_whatever_comes_in_whatever_order(runner: Runner, part: int) -> None:
    class Machine(Protocol):
        pass

    Machine.runner = runner
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
            phases=PHASES,
            print_blob=True,
        ),
    )
