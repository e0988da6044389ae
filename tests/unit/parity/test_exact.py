"""A run that asks for the source's very bytes: fields that say the same are not enough."""

from __future__ import annotations

from typing import Any

import pytest

from midflight.parity.exact import gives_back
from midflight.parity.harness import Parity
from midflight.parity.policy import Policy
from midflight.parity.records import Cause, EntityCounts, Entry, Level, Mismatch, State, Verdict
from tests.unit.parity.memory import MemoryRuns, Shop

LEVELS: tuple[Level, ...] = ("census", "full")
KEYS = 20


def stocked() -> Shop:
    shop = Shop()
    for number in range(KEYS):
        shop.put(key(number), total=number)
    shop.follow()
    return shop


def key(number: int) -> bytes:
    return f"k{number:04}".encode()


async def run(shop: Shop, *, exact: bool = True, mode: Any = "gate", store: MemoryRuns | None = None) -> Any:
    policy = Policy(batch_size=5, range_size=10, exact=exact)
    parity = Parity(
        shop.source, shop.target, shop, store or MemoryRuns(), {}, domain="d", entities=["orders"], policy=policy
    )
    return await parity.run(f"{mode}-{exact}", mode, LEVELS)


def counts(record: Any) -> EntityCounts:
    found: EntityCounts = record.entities[0]
    return found


async def test_rows_that_give_the_bytes_are_proven_and_without_the_question_none_are() -> None:
    assert counts(await run(stocked())).unproven == 0
    assert counts(await run(stocked(), exact=False)).unproven == KEYS


async def test_rows_that_say_the_same_in_other_bytes_are_a_mismatch() -> None:
    """Red if equal fields are enough: the way back would write another document than was there."""
    shop, store = stocked(), MemoryRuns()
    shop.target.applied["orders", key(3)] = {"total": "in another order"}
    assert (await run(shop, exact=False)).verdict is Verdict.PASS
    record = await run(shop, store=store)
    assert record.verdict is Verdict.FAIL
    (found,) = [one for of_run in store.found.values() for one in of_run.values()]
    assert isinstance(found, Mismatch)
    assert (found.key, found.state, found.cause) == (key(3), State.SETTLED, Cause.ROGUE_WRITE)
    assert [one.path for one in found.fields] == ["=image"]
    assert (counts(record).settled, counts(record).unproven) == (1, 0)


async def test_a_change_of_bytes_alone_that_the_tail_has_not_brought_yet_is_cleared() -> None:
    shop = stocked()
    entry = shop.source.entries["orders"][key(5)]
    shop.put(key(5), **entry.fields)
    shop.source.entries["orders"][key(5)] = type(entry)(key(5), entry.fields, b"the same fields in other bytes")
    record = await run(shop)
    assert (record.verdict, counts(record).cleared) == (Verdict.PASS, 1)


async def test_rows_that_the_application_wrote_itself_are_asked_too() -> None:
    """Red if the guard must vouch for them: after a way back no such key would ever be proven again."""
    written = Entry(b"k", {"total": 1}, b"its mark", 7, None, image=b"the bytes")
    assert gives_back(Entry(b"k", {"total": 1}, b"the bytes"), written)
    assert not gives_back(Entry(b"k", {"total": 1}, b"other bytes"), written)


@pytest.mark.parametrize("number", [0, 7])
async def test_rows_without_a_guard_prove_nothing(number: int) -> None:
    shop = stocked()
    entry = shop.target.entries["orders"][key(number)]
    shop.target.entries["orders"][key(number)] = type(entry)(key(number), entry.fields)
    record = await run(shop)
    assert (record.verdict, counts(record).settled) == (Verdict.FAIL, 1)
