"""The library in a FastAPI application: lifespan, middleware, dependency, readiness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse

from midflight.errors import GatewayMisused
from midflight.gateway import AsyncDomain, AsyncGateway, Gateway, Policy
from midflight.gateway.fastapi import GatewayMiddleware, domain_of, lifespan, ready
from midflight.testing.override import override_stage
from tests.fixtures.rig import Rig
from tests.fixtures.stages import NOWHERE, applied, go

IMPATIENT = Policy(start_seconds=0.1, park_seconds=0.1)
Orders = Annotated[AsyncDomain[int], Depends(domain_of("orders", entity=int))]


def application(gateway: AsyncGateway, **options: Any) -> FastAPI:
    """Endpoints that go through the library; the stores are words."""
    app = FastAPI(lifespan=lifespan(gateway))
    app.add_middleware(GatewayMiddleware, gateway=gateway, **options)
    app.add_route("/ready", ready(gateway, "orders"))
    orders = gateway.domain("orders", entity=int)

    async def from_target(number: int) -> str:
        return "target"

    @orders.read(entity=lambda number: number, target=from_target)
    async def look(number: int) -> str:
        return "source"

    # It does not say which documents it touches: its shadow write cannot be made, so its session is ahead.
    @orders.write(entities=lambda number: [number], target=from_target)
    async def change(number: int) -> str:
        return "source"

    app.get("/orders/{number}")(look)
    app.post("/orders/{number}")(change)
    return app


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The application with its lifespan, and a client of it."""
    async with app.router.lifespan_context(app), answering(app) as client:
        yield client


@asynccontextmanager
async def answering(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application whose lifespan is not run: the override needs no gateway that runs."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://shop") as client:
        yield client


async def test_a_held_write_is_answered_503_with_retry_after_and_names_nothing() -> None:
    gateway = AsyncGateway(**NOWHERE)
    with override_stage(gateway.domain("orders", entity=int), "hold"):
        async with answering(application(gateway)) as client:
            answer = await client.post("/orders/1")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"] == "writes_held"
    assert "orders" not in answer.text


async def test_an_unknown_route_is_answered_503() -> None:
    async with running(application(AsyncGateway(**NOWHERE, policy=IMPATIENT))) as client:
        answer = await client.get("/orders/1")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"] == "not_ready"
    assert "127.0.0.1" not in answer.text


async def test_readiness_waits_for_the_routes() -> None:
    gateway = AsyncGateway(**NOWHERE)
    async with answering(application(gateway)) as client:
        before = await client.get("/ready")
        with override_stage(gateway.domain("orders", entity=int), "shadow"):
            after = await client.get("/ready")
    assert (before.status_code, before.json()) == (503, {"ready": False, "waiting_for": ["orders"]})
    assert "retry-after" in before.headers
    assert (after.status_code, after.json()) == (200, {"ready": True, "stages": {"orders": "shadow"}})


async def test_the_dependency_gives_the_handle_of_the_domain() -> None:
    gateway = AsyncGateway(**NOWHERE)
    app = FastAPI()
    app.add_middleware(GatewayMiddleware, gateway=gateway)

    @app.get("/stage")
    async def stage(orders: Orders) -> str:
        assert orders is gateway.domain("orders", entity=int)
        return orders.route.stage

    with override_stage(gateway.domain("orders", entity=int), "ramp"):
        async with answering(app) as client:
            assert (await client.get("/stage")).json() == "ramp"


async def test_the_dependency_says_when_the_middleware_is_missing() -> None:
    app = FastAPI()

    @app.get("/stage")
    async def stage(orders: Orders) -> str:
        return orders.name

    async with answering(app) as client:
        with pytest.raises(GatewayMisused, match="Add GatewayMiddleware"):
            await client.get("/stage")


async def test_an_error_after_the_response_has_begun_is_not_swallowed() -> None:
    gateway = AsyncGateway(**NOWHERE, policy=IMPATIENT)
    app = FastAPI()
    app.add_middleware(GatewayMiddleware, gateway=gateway)
    orders = gateway.domain("orders", entity=int)

    async def body() -> AsyncIterator[str]:
        yield "begun"
        await orders.ready()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(body())

    async with answering(app) as client:
        with pytest.raises(Exception, match="orders"):
            await client.get("/stream")
    await gateway.close()


async def test_a_lifespan_of_the_application_runs_inside_the_gateways() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        seen.append("opened")
        yield {"pool": "a pool"}
        seen.append("closed")

    gateway = AsyncGateway(**NOWHERE)
    app = FastAPI()
    async with lifespan(gateway, own)(app) as state:
        assert state == {"pool": "a pool"}
    assert seen == ["opened", "closed"]


async def test_the_sync_twin_serves_endpoints_that_are_plain_functions() -> None:
    gateway = Gateway(**NOWHERE)
    app = FastAPI(lifespan=lifespan(gateway))
    app.add_middleware(GatewayMiddleware, gateway=gateway)
    orders = gateway.domain("orders", entity=int)
    look = orders.read(entity=lambda number: number, target=lambda number: "target")(lambda number: "source")

    @app.get("/orders/{number}")
    def order(number: int) -> str:
        return str(look(number))

    with override_stage(orders, "target"):
        async with running(app) as client:
            assert (await client.get("/orders/1")).json() == "target"


# --- with servers: the floor ----------------------------------------------------------------------------------------


@asynccontextmanager
async def two_processes(rig: Rig) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Two gateways that know nothing of one another, each with its own application and client; reads are ramped."""
    go(rig.postgres_dsn, "orders", "ramp", reads_bp=10_000)
    applied(rig.postgres_dsn, "orders", 0)
    first, second = (AsyncGateway(ledger=rig.postgres_dsn, source=rig.mongo_uri) for _ in range(2))
    async with running(application(first)) as one, running(application(second)) as other:
        await first.domain("orders", entity=int).ready()
        await second.domain("orders", entity=int).ready()
        yield one, other


async def test_a_session_sees_its_own_write_in_another_process(prepared: Rig) -> None:
    async with two_processes(prepared) as (one, other):
        assert (await one.get("/orders/1")).json() == "target"
        wrote = await one.post("/orders/1")
        cookie = wrote.headers["set-cookie"]
        assert all(part in cookie for part in ("midflight_floor=", "HttpOnly", "SameSite=Lax", "Secure"))
        other.cookies.update(one.cookies)
        assert (await other.get("/orders/1")).json() == "source"
        assert (await other.get("/orders/2")).json() == "source"  # the token does not say which entities
        other.cookies.clear()
        assert (await other.get("/orders/1")).json() == "target"


async def test_a_program_carries_the_floor_in_the_header(prepared: Rig) -> None:
    async with two_processes(prepared) as (one, other):
        token = (await one.post("/orders/1")).headers["midflight-floor"]
        answer = await other.get("/orders/1", headers={"midflight-floor": token})
        assert answer.json() == "source"
        assert answer.headers["midflight-floor"] == token


async def test_the_cookie_is_taken_back_once_the_target_has_everything(prepared: Rig) -> None:
    async with two_processes(prepared) as (one, _):
        await one.post("/orders/1")
        assert "midflight_floor" in one.cookies
        applied(prepared.postgres_dsn, "orders", 2**63 - 1)
        answer = await one.get("/orders/1")
        while "midflight_floor" in one.cookies:
            await asyncio.sleep(0.01)  # the test client never lets the loop poll
            answer = await one.get("/orders/1")
        assert "midflight-floor" not in answer.headers
        assert (await one.get("/orders/1")).json() == "target"


async def test_a_made_up_token_is_ignored_and_taken_back(prepared: Rig) -> None:
    async with two_processes(prepared) as (one, _):
        one.cookies.set("midflight_floor", "%%garbage%%")
        answer = await one.get("/orders/1")
        assert answer.json() == "target"
        assert "Max-Age=0" in answer.headers["set-cookie"]


async def test_without_the_cookie_only_the_header_is_used(prepared: Rig) -> None:
    go(prepared.postgres_dsn, "orders", "ramp", reads_bp=10_000)
    gateway = AsyncGateway(ledger=prepared.postgres_dsn, source=prepared.mongo_uri)
    async with running(application(gateway, cookie=False)) as client:
        answer = await client.post("/orders/1")
        assert answer.headers["midflight-floor"]
        assert "set-cookie" not in answer.headers
