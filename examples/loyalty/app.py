"""The web application: endpoints over whatever carries out the orders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from examples.loyalty.model import (
    Earn,
    Entry,
    Line,
    Loyalty,
    NoSuchMember,
    NotEnough,
    Redeem,
    Refused,
    Settle,
    Settlement,
    Transfer,
)

STATUS: dict[type[Refused], int] = {NotEnough: 409, NoSuchMember: 404}
Points = Annotated[int, Field(gt=0, le=1_000_000)]


class LineBody(BaseModel):
    sku: str
    quantity: Annotated[int, Field(gt=0)]
    points: int


class EarnBody(BaseModel):
    operation: str
    member: str
    points: Points
    merchant: str
    day: str
    lines: list[LineBody] = []


class RedeemBody(BaseModel):
    operation: str
    member: str
    points: Points
    reward: str


class TransferBody(BaseModel):
    operation: str
    member: str
    to: str
    points: Points


class SettleBody(BaseModel):
    operation: str
    merchant: str
    day: str


class Balance(BaseModel):
    member: str
    balance: int


def create(opened: Callable[[FastAPI], AbstractAsyncContextManager[Loyalty]]) -> FastAPI:
    """The application. `opened` opens the stores for as long as it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(app) as loyalty:
            app.state.loyalty = loyalty
            yield

    app = FastAPI(title="Loyalty", lifespan=lifespan)
    app.add_exception_handler(Refused, _refused)
    _add_orders(app)
    _add_reads(app)
    return app


def _loyalty(request: Request) -> Loyalty:
    found: Loyalty = request.app.state.loyalty
    return found


Here = Annotated[Loyalty, Depends(_loyalty)]


def _add_orders(app: FastAPI) -> None:
    @app.post("/earn")
    async def earn(body: EarnBody, loyalty: Here) -> Balance:
        lines = tuple(Line(**line.model_dump()) for line in body.lines)
        order = Earn(body.operation, body.member, body.points, body.merchant, body.day, lines)
        return Balance(member=body.member, balance=await loyalty.earn(order))

    @app.post("/redeem")
    async def redeem(body: RedeemBody, loyalty: Here) -> Balance:
        return Balance(member=body.member, balance=await loyalty.redeem(Redeem(**body.model_dump())))

    @app.post("/transfer")
    async def transfer(body: TransferBody, loyalty: Here) -> Balance:
        return Balance(member=body.member, balance=await loyalty.transfer(Transfer(**body.model_dump())))

    @app.post("/settle")
    async def settle(body: SettleBody, loyalty: Here) -> Settlement:
        return await loyalty.settle(Settle(**body.model_dump()))


def _add_reads(app: FastAPI) -> None:
    @app.get("/members/{member}/balance")
    async def balance(member: str, loyalty: Here) -> Balance:
        return Balance(member=member, balance=await loyalty.balance(member))

    @app.get("/members/{member}/statement")
    async def statement(member: str, loyalty: Here, last: Annotated[int, Query(ge=1, le=200)] = 20) -> list[Entry]:
        return await loyalty.statement(member, last)

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    status = STATUS.get(type(error), 400) if isinstance(error, Refused) else 400
    return JSONResponse({"error": type(error).__name__, "about": str(error)}, status)
