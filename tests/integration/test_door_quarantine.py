"""What the target does not take ends in quarantine, in the same transaction; everything else goes in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from midflight.core.keys import key_bytes
from midflight.core.outcome import Applied, Mapped, Outcome, Refused
from midflight.errors import TargetUnavailable
from midflight.postgres.merge import Merge
from midflight.records import QuarantineEntry
from tests.integration.door_kit import DOMAIN, Shop, gone, member, open_shop, order, refused, until_blocked


@pytest.fixture
async def here(postgres_database: str) -> AsyncIterator[Shop]:
    async with open_shop(postgres_database) as opened:
        yield opened


async def entries(here: Shop, *, only_open: bool = True) -> dict[bytes, QuarantineEntry]:
    found = await here.target.ledger.quarantined(DOMAIN, only_open=only_open)
    return {entry.key: entry for entry in found}


async def entry(here: Shop, name: str) -> QuarantineEntry:
    return (await entries(here, only_open=False))[key_bytes(name)]


# --- entries --------------------------------------------------


async def test_a_refused_document_is_named_with_its_field_and_reason(here: Shop) -> None:
    ticket = await here.draw()
    applied = await here.apply([order("a", 1), refused("b")], ticket)
    assert applied == Applied(written=1, quarantined=1, rows=3)
    assert await here.guard("b") == (ticket.token, False, True, "tail")
    found = await entry(here, "b")
    assert (found.collection, found.field, found.value_type, found.column, found.reason, found.token, found.path) == (
        "orders", "born", "string", "members.born", "not a date", ticket.token, "tail",
    )  # fmt: skip


async def test_a_refused_image_takes_the_rows_of_the_older_one_with_it(here: Shop) -> None:
    await here.apply([order("a", 1)])
    await here.apply([refused("a")])
    assert await here.orders() == {}
    assert await here.skus("a") == []


async def test_a_stale_refusal_makes_no_entry(here: Shop) -> None:
    older = await here.draw()
    await here.apply([order("a", 1)])
    assert await here.apply([refused("a")], older) == Applied(stale=1)
    assert await entries(here) == {}
    assert await here.orders() == {"a": 1}


@pytest.mark.parametrize("image", [order("a", 2), gone("a")], ids=["corrected", "deleted"])
async def test_a_later_change_clears_the_entry(here: Shop, image: Outcome) -> None:
    await here.apply([refused("a"), refused("b")])
    await here.apply([image])
    assert set(await entries(here)) == {key_bytes("b")}


async def test_a_refusal_without_a_row_key_is_recorded(here: Shop) -> None:
    nowhere = Refused(key_bytes("a"), None, "_id", "document", "orders.id", "the key does not fit", b"x")
    assert (await here.apply([nowhere])).quarantined == 1
    assert (await entry(here, "a")).reason == "the key does not fit"


async def test_the_same_image_seen_again_keeps_its_waiver_and_its_first_date(here: Shop) -> None:
    await here.apply([refused("a")])
    first = await entry(here, "a")
    await here.target.ledger.waive(DOMAIN, first.number, "ann", "known typo")
    await here.apply([refused("a")])
    again = await entry(here, "a")
    assert (again.waived_by, again.waived_reason) == ("ann", "known typo")
    assert again.first_seen == first.first_seen
    assert again.last_seen > first.last_seen
    assert again.token > first.token


@pytest.mark.parametrize(
    "image", [refused("a", checksum=b"another image"), refused("a", reason="something else")], ids=["image", "reason"]
)
async def test_another_image_or_reason_needs_a_waiver_of_its_own(here: Shop, image: Outcome) -> None:
    await here.apply([refused("a")])
    await here.target.ledger.waive(DOMAIN, (await entry(here, "a")).number, "ann", "known typo")
    await here.apply([image])
    assert (await entry(here, "a")).waived_by is None


async def test_the_entry_commits_with_the_guard_row_or_not_at_all(here: Shop) -> None:
    before = await here.everything()
    async with await psycopg.AsyncConnection.connect(here.dsn) as blocker:
        await blocker.execute("lock table midflight.quarantine in share mode")
        applying = asyncio.create_task(here.apply([order("a", 1), refused("b")]))
        [pid] = await until_blocked(here.look)
        await here.look.execute("select pg_terminate_backend(%s)", (pid,))
        with pytest.raises(TargetUnavailable):
            await applying
    assert await here.everything() == before


# --- violations --------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "column", "reason"),
    [
        (order("bad", 1, total=Decimal("123456.78")), "", "out of range"),
        (order("bad", 2**40), "", "out of range"),
        (order("bad", 2**70), "", "cannot be sent"),
        (order("bad", 1, code="QWERTYUIOP"), "", "too long"),
        (order("bad", 1, code="a\0b"), "code", "character"),
        (order("bad", 1, code="\ud800"), "", "cannot be sent"),
        (order("bad", 1, extra='{"a": "\\u0000"}'), "extra", "character"),
    ],
    ids=["numeric", "integer", "beyond 64 bits", "varchar", "NUL", "surrogate", "NUL in JSON"],
)
async def test_a_value_that_its_column_does_not_take_is_quarantined_without_the_value(
    here: Shop, bad: Mapped, column: str, reason: str
) -> None:
    applied = await here.apply([order("a", 1), bad, order("c", 1)])
    assert (applied.written, applied.quarantined) == (2, 1)
    assert await here.orders() == {"a": 1, "c": 1}
    found = await entry(here, "bad")
    assert found.field == column
    assert reason in found.reason
    assert not any(value in found.reason for value in ("123456", "QWERTY", str(2**40), "a\0b"))


async def test_a_required_column_left_empty_is_quarantined(here: Shop) -> None:
    await here.apply({"members": [member("m", None), member("n", "n@x")]})
    found = await entry(here, "m")
    assert (found.field, found.column) == ("email", "members.email")
    assert "required" in found.reason


async def test_a_unique_value_that_is_taken_is_quarantined_by_the_constraints_name(here: Shop) -> None:
    await here.add_constraints()
    await here.apply({"members": [member("m", "same@x")]})
    applied = await here.apply({"members": [member("n", "same@x"), member("o", "o@x")]})
    assert (applied.written, applied.quarantined) == (1, 1)
    found = await entry(here, "n")
    assert (found.field, found.column) == ("email", "members.email")
    assert found.reason == "violates the unique constraint members_email_key"
    assert await here.ask("select id from members order by id") == [("m",), ("o",)]


async def test_a_reference_to_nothing_is_quarantined(here: Shop) -> None:
    await here.add_constraints()
    await here.apply([order("a", 1, member="nobody"), order("b", 1)])
    found = await entry(here, "a")
    assert (found.field, found.reason) == ("member", "violates the foreign key orders_member_fkey")
    assert await here.orders() == {"b": 1}


async def test_a_check_of_the_customers_own_is_quarantined(here: Shop) -> None:
    await here.look.execute("alter table orders add constraint positive check (total > 0)")
    await here.apply([order("a", 1, total=Decimal("-1")), order("b", 1)])
    found = await entry(here, "a")
    assert (found.field, found.reason) == ("total", "violates the check positive")


async def test_both_ends_of_a_reference_may_come_in_one_batch(here: Shop) -> None:
    await here.add_constraints()
    applied = await here.apply({"orders": [order("a", 1, member="m")], "members": [member("m", "m@x")]})
    assert (applied.written, applied.quarantined) == (2, 0)


async def test_two_documents_may_swap_a_unique_value(here: Shop) -> None:
    await here.add_constraints()
    await here.apply({"members": [member("m", "1@x"), member("n", "2@x"), member("o", "3@x")]})
    applied = await here.apply({"members": [member("m", "2@x"), member("n", "1@x"), member("o", "4@x")]})
    assert (applied.written, applied.quarantined) == (3, 0)
    assert await here.ask("select email from members order by id") == [("2@x",), ("1@x",), ("4@x",)]


async def test_good_documents_on_both_sides_of_a_bad_one_keep_their_references(here: Shop) -> None:
    await here.add_constraints()
    members: list[Outcome] = [member(f"m{n}", f"{n}@x") for n in range(8)]
    orders: list[Outcome] = [order(f"o{n}", 1, member=f"m{7 - n}") for n in range(8)]
    orders[3] = order("o3", 1, member="nobody")
    applied = await here.apply({"orders": orders, "members": members})
    assert (applied.written, applied.quarantined) == (15, 1)
    assert len(await here.orders()) == 7


async def test_a_delete_that_others_refer_to_keeps_its_rows_and_says_so(here: Shop) -> None:
    await here.add_constraints()
    await here.apply({"members": [member("m", "m@x")], "orders": [order("a", 1, member="m")]})
    applied = await here.apply({"members": [gone("m"), member("n", "n@x")]})
    assert (applied.written, applied.deleted, applied.quarantined) == (1, 0, 1)
    assert "could not be removed" in (await entry(here, "m")).reason
    assert await here.ask("select id from members order by id") == [("m",), ("n",)]


async def test_deletes_of_both_ends_may_come_in_one_batch(here: Shop) -> None:
    await here.add_constraints()
    await here.apply({"members": [member("m", "m@x")], "orders": [order("a", 1, member="m")]})
    assert (await here.apply({"members": [gone("m")], "orders": [gone("a")]})).deleted == 2


async def test_a_repair_checks_references_that_were_never_validated(here: Shop) -> None:
    await here.apply([order("a", 1, member="nobody")])
    await here.target.schema.create_foreign_keys(here.plan)
    assert (await here.apply([order("a", 1, member="nobody")], path="repair")).quarantined == 1
    assert await here.target.schema.orphans(here.plan, "orders_member_fkey", 10) == {}


async def test_a_few_bad_documents_among_thousands_cost_few_merges(here: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    merged: list[int] = []
    run = Merge.run

    async def counted(self: Merge, items: Any, *, replace: bool) -> Applied:
        merged.append(len(items))
        return await run(self, items, replace=replace)

    monkeypatch.setattr(Merge, "run", counted)
    outcomes: list[Outcome] = [order(f"k{n:04}", 1, lines=1) for n in range(2_000)]
    for n in (3, 1_000, 1_999):
        outcomes[n] = order(f"k{n:04}", 2**40)
    applied = await here.apply(outcomes)
    assert (applied.written, applied.quarantined) == (1_997, 3)
    assert len(merged) < 80
    assert sum(merged) < 8 * len(outcomes)


async def test_a_repair_of_a_document_that_others_refer_to_leaves_them_alone(here: Shop) -> None:
    await here.add_constraints()
    await here.apply({"members": [member("m", "m@x")], "orders": [order("a", 1, member="m")]})
    applied = await here.apply({"members": [member("m", "new@x")]}, path="repair")
    assert (applied.written, applied.quarantined) == (1, 0)
    assert await here.ask("select email from members") == [("new@x",)]
    assert await here.orders() == {"a": 1}
