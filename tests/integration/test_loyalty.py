"""The loyalty application's two repositories do the same, each in its own store, with no library between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from pymongo import MongoClient

import embedded
from examples.loyalty import mongo, postgres
from examples.loyalty.audit import audit, differences
from examples.loyalty.config import Config
from examples.loyalty.constrain import constrain
from examples.loyalty.holdings import Holdings, of_mongo, of_postgres
from examples.loyalty.model import IN, Earn, Line, Loyalty, NoSuchMember, NotEnough, Redeem, Settle, Transfer
from examples.loyalty.records import Operation
from examples.loyalty.seed import Document, member, member_id, opening, seed
from midflight.core.plan import Plan
from midflight.core.plan_check import find_problems
from midflight.core.plan_file import load_plan
from midflight.postgres.connection import open_target

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "loyalty"
MEMBERS = 10
ADA, BOB = member_id(1), member_id(2)
DAY = "2026-03-01"


def plan_of(database: str) -> Plan:
    plan = load_plan((EXAMPLE / "plan.yaml").read_text(encoding="utf-8"))
    return plan.model_copy(update={"source": plan.source.model_copy(update={"database": database})})


@pytest.fixture
async def config(servers: embedded.Servers, mongo_database: str, postgres_database: str) -> Config:
    """Both stores with the same members; the target is in charge of itself, as after a move."""
    config = Config(servers.mongo_uri, postgres_database, "mongo", mongo_database)
    await asyncio.to_thread(seed, config.mongo, config.database, MEMBERS)
    plan = plan_of(mongo_database)
    async with open_target(postgres_database) as target:
        await target.schema.install_ledger()
        await target.ledger.register(plan)
        await target.schema.create_tables(plan)
        await target.schema.create_indexes(plan)
        for name in await target.schema.create_foreign_keys(plan):
            await target.schema.validate_foreign_key(plan, name)
        await target.ledger.flip(plan.domain, 1)
    fill(config)
    return config


def fill(config: Config) -> None:
    with psycopg.connect(config.postgres, autocommit=True, options=f"-c search_path={config.schema}") as connection:
        for number in range(MEMBERS):
            one, first = member(number), opening(member(number))
            connection.execute(
                "insert into members (id, name, balance, tier) values (%(_id)s, %(name)s, %(balance)s, %(tier)s)", one
            )
            connection.execute(
                "insert into transactions (id, member_id, kind, points, at, status)"
                " values (%(_id)s, %(member)s, %(kind)s, %(points)s, %(at)s, %(status)s)",
                first,
            )
    for _ in range(2):  # it may be repeated
        constrain(config.postgres, config.schema)


def holdings(config: Config) -> Holdings:
    if config.mode == "mongo":
        return of_mongo(config.mongo, config.database)
    return of_postgres(config.postgres, config.schema)


@pytest.fixture(params=["mongo", "postgres"])
async def loyalty(request: pytest.FixtureRequest, config: Config) -> AsyncIterator[tuple[Loyalty, Config]]:
    chosen = Config(config.mongo, config.postgres, request.param, config.database)
    async with AsyncExitStack() as stack:
        if chosen.mode == "mongo":
            client = await stack.enter_async_context(mongo.connect(chosen.mongo))
            yield mongo.MongoLoyalty(client, client[chosen.database]), chosen
        else:
            pool = await stack.enter_async_context(postgres.connect(chosen.postgres, chosen.schema))
            yield postgres.PostgresLoyalty(pool), chosen


def test_the_plan_holds_together() -> None:
    assert find_problems(plan_of("loyalty")) == []


async def test_earning_adds_points_and_the_same_order_again_adds_nothing(loyalty: tuple[Loyalty, Config]) -> None:
    here, config = loyalty
    before = await here.balance(ADA)
    order = Earn("op-1", ADA, 70, "shop-01", DAY, (Line("coffee", 2, 30), Line("cake", 1, 40)))
    assert await here.earn(order) == before + 70
    assert await here.earn(order) == before + 70
    assert await here.balance(ADA) == before + 70
    newest = (await here.statement(ADA, 1))[0]
    assert (newest.id, newest.kind, newest.points, newest.settled) == ("op-1", "earn", 70, False)
    assert holdings(config).transactions["op-1"].lines == (("coffee", 2, 30), ("cake", 1, 40))


async def test_nobody_redeems_more_than_there_is(loyalty: tuple[Loyalty, Config]) -> None:
    here, config = loyalty
    before = await here.balance(ADA)
    with pytest.raises(NotEnough):
        await here.redeem(Redeem("op-1", ADA, before + 1, "mug"))
    assert "op-1" not in holdings(config).transactions
    assert await here.redeem(Redeem("op-2", ADA, before, "mug")) == 0
    assert await here.redeem(Redeem("op-2", ADA, before, "mug")) == 0


async def test_a_transfer_is_whole_or_not_at_all(loyalty: tuple[Loyalty, Config]) -> None:
    here, config = loyalty
    ada, bob = await here.balance(ADA), await here.balance(BOB)
    assert await here.transfer(Transfer("op-1", ADA, BOB, 10)) == ada - 10
    assert await here.transfer(Transfer("op-1", ADA, BOB, 10)) == ada - 10
    assert await here.balance(BOB) == bob + 10
    with pytest.raises(NotEnough):
        await here.transfer(Transfer("op-2", ADA, BOB, ada))
    with pytest.raises(NoSuchMember):
        await here.transfer(Transfer("op-3", ADA, "m-nobody", 1))
    assert {key for key in holdings(config).transactions if key.startswith("op-")} == {"op-1", f"op-1{IN}"}
    assert await here.balance(ADA) == ada - 10


async def test_transfers_in_circles_at_once_all_end(loyalty: tuple[Loyalty, Config]) -> None:
    here, config = loyalty
    pairs = [(ADA, BOB), (BOB, ADA)] * 6
    await asyncio.gather(*(here.transfer(Transfer(f"op-{n}", a, b, 1)) for n, (a, b) in enumerate(pairs)))
    done = [Operation(f"op-{n}", "transfer", True, a, b, 1) for n, (a, b) in enumerate(pairs)]
    assert audit(config.mode, holdings(config), done).ok


async def test_a_settlement_takes_the_open_transactions_of_a_merchants_day_once(
    loyalty: tuple[Loyalty, Config],
) -> None:
    here, _ = loyalty
    for number, shop in enumerate(("shop-01", "shop-01", "shop-02")):
        await here.earn(Earn(f"op-{number}", ADA, 5, shop, DAY))
    settled = await here.settle(Settle("op-9", "shop-01", DAY))
    assert (settled.transactions, settled.points) == (2, 10)
    assert await here.settle(Settle("op-9", "shop-01", DAY)) == settled
    assert (await here.settle(Settle("op-10", "shop-01", DAY))).transactions == 0
    assert [entry.settled for entry in await here.statement(ADA, 3)] == [False, True, True]


def test_the_teams_own_constraints_hold_whoever_writes(config: Config) -> None:
    with psycopg.connect(config.postgres, options=f"-c search_path={config.schema}") as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="members_balance_check"):
            connection.execute("update members set balance = -1")
        connection.rollback()
        unchecked = connection.execute("select count(*) from pg_constraint where contype = 'c' and not convalidated")
        assert unchecked.fetchone() == (0,)


async def test_unknown_members_are_refused(loyalty: tuple[Loyalty, Config]) -> None:
    here, _ = loyalty
    for refused in (
        here.balance("m-nobody"),
        here.earn(Earn("op-1", "m-nobody", 1, "shop-01", DAY)),
        here.redeem(Redeem("op-2", "m-nobody", 1, "mug")),
    ):
        with pytest.raises(NoSuchMember):
            await refused


async def test_the_audit_sees_what_is_lost_doubled_or_does_not_add_up(config: Config) -> None:
    before = of_mongo(config.mongo, config.database)
    assert differences(before, before) == []
    with MongoClient[Document](config.mongo) as client:
        db = client[config.database]
        db["members"].update_one({"_id": ADA}, {"$inc": {"balance": 1}})
        db["transactions"].insert_one({"_id": "ghost", "member": BOB, "kind": "earn", "points": 0, "status": "open"})
        db["transactions"].update_one({"_id": "ghost"}, {"$set": {"at": before.transactions[f"opening-{BOB}"].at}})
    after = of_mongo(config.mongo, config.database)
    found = audit("MongoDB", after, [Operation("gone", "earn", True, ADA, points=5)])
    assert found.lost == ["gone: gone is not there"]
    assert found.wrong[0] == "nobody ordered ghost"
    assert found.wrong[1].startswith(f"{ADA} has ")
    assert len(differences(before, after)) == 2
