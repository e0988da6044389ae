"""The repository as it always was: MongoDB, the asynchronous driver, transactions where two documents must agree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from pymongo import AsyncMongoClient, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from examples.loyalty.model import (
    IN,
    MOST_SETTLED,
    Earn,
    Entry,
    Line,
    NoSuchMember,
    NotEnough,
    Redeem,
    Settle,
    Settlement,
    Transfer,
    now,
)

Document = dict[str, Any]
R = TypeVar("R")
Touched = Callable[..., None]
SELECTION_MS = 5_000


def connect(uri: str) -> AsyncMongoClient[Document]:
    """The application's client."""
    return AsyncMongoClient(uri, tz_aware=True, w="majority", serverSelectionTimeoutMS=SELECTION_MS)


def _untold(_collection: str, *_keys: Any) -> None:
    """Nobody wants to know."""


class MongoLoyalty:
    """Loyalty in MongoDB. `touched` is told the keys of documents that a caller cannot know beforehand."""

    def __init__(
        self, client: AsyncMongoClient[Document], database: AsyncDatabase[Document], touched: Touched = _untold
    ) -> None:
        self._client, self._touched = client, touched
        self._members = database["members"]
        self._transactions = database["transactions"]
        self._settlements = database["settlements"]

    async def earn(self, order: Earn) -> int:
        """A transaction with its lines, and the points."""
        lines = [_line(line) for line in order.lines]
        document = _transaction(order.operation, order.member, "earn", order.points)
        document |= {"merchant": order.merchant, "day": order.day, "status": "open", "lines": lines}

        async def work(session: AsyncClientSession) -> int:
            await self._transactions.insert_one(document, session=session)
            return await self._add(order.member, order.points, session)

        return await self._once(work, lambda: self.balance(order.member))

    async def redeem(self, order: Redeem) -> int:
        """A transaction, and fewer points."""
        document = _transaction(order.operation, order.member, "redeem", -order.points)
        document |= {"status": "closed", "reward": {"name": order.reward}}

        async def work(session: AsyncClientSession) -> int:
            await self._transactions.insert_one(document, session=session)
            return await self._take(order.member, order.points, session)

        return await self._once(work, lambda: self.balance(order.member))

    async def transfer(self, order: Transfer) -> int:
        """Two transactions and two members, all or nothing."""
        given = _transaction(order.operation, order.member, "transfer", -order.points)
        taken = _transaction(order.operation + IN, order.to, "transfer", order.points)
        documents = [
            given | {"status": "closed", "other": order.to},
            taken | {"status": "closed", "other": order.member},
        ]

        async def work(session: AsyncClientSession) -> int:
            for document in documents:
                await self._transactions.insert_one(document, session=session)
            balance = await self._take(order.member, order.points, session)
            await self._add(order.to, order.points, session)
            return balance

        return await self._once(work, lambda: self.balance(order.member))

    async def settle(self, order: Settle) -> Settlement:
        """The merchant's open transactions of the day, marked; and what they come to."""

        async def work(session: AsyncClientSession) -> Settlement:
            wanted = {"merchant": order.merchant, "status": "open", "day": order.day}
            found = self._transactions.find(wanted, {"points": 1}, session=session).sort("_id").limit(MOST_SETTLED)
            points = {document["_id"]: document["points"] async for document in found}
            self._touched("transactions", *points)
            settled = {"$set": {"status": "settled", "settlement": order.operation}}
            await self._transactions.update_many({"_id": {"$in": list(points)}}, settled, session=session)
            settlement = Settlement(order.operation, order.merchant, order.day, len(points), sum(points.values()))
            await self._settlements.insert_one(_settlement(settlement), session=session)
            return settlement

        return await self._once(work, lambda: self._settled(order.operation))

    async def balance(self, member: str) -> int:
        """The balance."""
        document = await self._members.find_one({"_id": member}, {"balance": 1})
        if document is None:
            raise NoSuchMember(member)
        return int(document["balance"])

    async def statement(self, member: str, last: int) -> list[Entry]:
        """The newest transactions."""
        found = self._transactions.find({"member": member}).sort([("at", -1), ("_id", -1)]).limit(last)
        return [_entry(document) async for document in found]

    async def _once(self, work: Callable[[AsyncClientSession], Awaitable[R]], again: Callable[[], Awaitable[R]]) -> R:
        """Carried out in a transaction; an operation that was carried out before is only looked up."""
        try:
            async with self._client.start_session() as session:
                return await session.with_transaction(work)
        except DuplicateKeyError:
            return await again()

    async def _add(self, member: str, points: int, session: AsyncClientSession) -> int:
        return await self._change({"_id": member}, points, session)

    async def _take(self, member: str, points: int, session: AsyncClientSession) -> int:
        try:
            return await self._change({"_id": member, "balance": {"$gte": points}}, -points, session)
        except NoSuchMember:
            if await self._members.find_one({"_id": member}, {"_id": 1}, session=session) is None:
                raise
            raise NotEnough(member) from None

    async def _change(self, which: Document, points: int, session: AsyncClientSession) -> int:
        document = await self._members.find_one_and_update(
            which,
            {"$inc": {"balance": points}},
            projection={"balance": 1},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if document is None:
            raise NoSuchMember(which["_id"])
        return int(document["balance"])

    async def _settled(self, operation: str) -> Settlement:
        document = await self._settlements.find_one({"_id": operation})
        if document is None:
            raise NoSuchMember(operation)
        of = document["of"]
        return Settlement(operation, of["merchant"], of["day"], document["transactions"], document["points"])


def _transaction(operation: str, member: str, kind: str, points: int) -> Document:
    return {"_id": operation, "member": member, "kind": kind, "points": points, "at": now()}


def _line(line: Line) -> Document:
    return {"sku": line.sku, "quantity": line.quantity, "points": line.points}


def _settlement(settlement: Settlement) -> Document:
    return {
        "_id": settlement.id,
        "of": {"merchant": settlement.merchant, "day": settlement.day},
        "transactions": settlement.transactions,
        "points": settlement.points,
        "at": now(),
    }


def _entry(document: Mapping[str, Any]) -> Entry:
    return Entry(document["_id"], document["kind"], document["points"], document["at"], document["status"] == "settled")
