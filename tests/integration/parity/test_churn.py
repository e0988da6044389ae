"""Parity beside live writes, hot keys and a tail that is late: nothing false is settled, nothing real is missed.

`MIDFLIGHT_TEST_CHURN_PASSES`, `_RATE` (writes a second) and `_LAG` (seconds) ask for more than the usual.
"""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from midflight.core.plan import KeyMap
from midflight.parity.policy import Policy
from midflight.parity.ports import RunStore
from midflight.parity.records import Mismatch, State, Verdict
from tests.fixtures.fix_rig import prepare
from tests.fixtures.rig import ORDERS, Rig
from tests.integration.parity.churn_kit import HOT, under_load
from tests.integration.parity.parity_kit import opened

PASSES = int(os.environ.get("MIDFLIGHT_TEST_CHURN_PASSES", "2"))
RATE = float(os.environ.get("MIDFLIGHT_TEST_CHURN_RATE", "200"))
LAG_SECONDS = float(os.environ.get("MIDFLIGHT_TEST_CHURN_LAG", "1"))
POLICY = Policy(batch_size=300, range_size=1_000, parallel=2, barrier_seconds=60)


async def mismatches(store: RunStore, domain: str, run: str) -> list[Mismatch]:
    return await store.mismatches(domain, run, at_most=100_000)


@pytest.fixture(params=["any", "objectid"])
async def shop_of(request: pytest.FixtureRequest, rig: Rig) -> Rig:
    """ObjectIds are compared by spans of keys that both sides sort alike, all others by lists of keys."""
    key = KeyMap(column="id", type=request.param)
    rig.plan = rig.plan.model_copy(update={"collections": (ORDERS.model_copy(update={"key": key}),)})
    await prepare(rig)
    return rig


@pytest.mark.slow
@pytest.mark.timeout(120 + 60 * PASSES)
async def test_beside_churn_nothing_false_is_settled_and_nothing_real_is_missed(shop_of: Rig) -> None:
    domain, states = shop_of.plan.domain, Counter[str]()
    load = under_load(shop_of, per_second=RATE, lag_seconds=LAG_SECONDS, seed=7)
    async with opened(shop_of, POLICY) as (parity, store), load as shop:
        await shop.warm()
        began = time.monotonic()
        for number in range(PASSES):
            key, cause = await shop.vandal.plant()
            record = await parity.run(f"pass-{number}", levels=("census", "full"))
            shop.alive()
            found = await mismatches(store, domain, record.run)
            settled = [(one.key, one.cause) for one in found if one.state is State.SETTLED]
            assert settled == [(key, cause)], f"pass {number}"
            assert record.verdict is Verdict.FAIL
            assert State.SUSPECT not in {one.state for one in found}
            states.update(one.state.value for one in found)
            await shop.vandal.mend(key)
        seconds = time.monotonic() - began
        print(f"{PASSES} passes in {seconds:.0f} s, {shop.churn.written / seconds:.0f} writes/s, {dict(states)}")
        assert states[State.CLEARED] > PASSES * HOT, "the target was hardly ever late: this showed nothing"
        assert states[State.HOT] > 0, "no key was hot: this showed nothing"
        await shop.calm()
        record = await parity.run("at rest", levels=("census", "full"))
        assert record.verdict is Verdict.PASS, record.levels
        frozen = await parity.run("frozen", levels=("census", "full"), frozen=True)
        assert frozen.verdict is Verdict.PASS, frozen.levels
        watched = await parity.run("watch", mode="watch", levels=("full",))
        assert watched.verdict is Verdict.PASS
        assert watched.entities[0].compared == 0
