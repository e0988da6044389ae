"""The library in FastAPI, or in any other application on Starlette.

    gateway = AsyncGateway(ledger=..., source=...)
    app = FastAPI(lifespan=lifespan(gateway))
    app.add_middleware(GatewayMiddleware, gateway=gateway)
    app.add_route("/ready", ready(gateway, "loyalty"))

Both twins of the gateway fit; endpoints that are plain functions use the sync one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from midflight.errors import GatewayError, GatewayMisused, NotReady
from midflight.gateway import http
from midflight.gateway.aio import AsyncDomain, AsyncGateway
from midflight.gateway.blocking import Gateway

K = TypeVar("K")
AnyGateway = AsyncGateway | Gateway
Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]
IN_SCOPE = "midflight.gateway"


def lifespan(gateway: AnyGateway, then: Lifespan | None = None) -> Lifespan:
    """Start the gateway with the application and drain it at the end; `then` is a lifespan of the application's own.

    It does not wait for the ledger: an application that starts while the ledger is away says so on its readiness route.
    """

    @asynccontextmanager
    async def running(app: Any) -> AsyncIterator[Mapping[str, Any]]:
        await _done(gateway.start)
        try:
            if then is None:
                yield {}
            else:
                async with then(app) as state:
                    yield state
        finally:
            await _done(gateway.close)

    return running


class GatewayMiddleware:
    """Carries the floor token from one request of a session to the next, and answers 503 to what should be retried.

    A floor that is told only after the response has begun (by a streamed body, by a background task) is not carried.
    """

    def __init__(self, app: ASGIApp, *, gateway: AnyGateway, cookie: bool = True) -> None:
        """`cookie=False` leaves the header alone, for services without browsers."""
        self._app = app
        self._gateway = gateway
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Called by the server for each request, and once for the lifespan."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        scope[IN_SCOPE] = self._gateway
        connection = HTTPConnection(scope)
        sent = connection.cookies.get(http.COOKIE, "") if self._cookie else ""
        with self._gateway.with_floor(connection.headers.get(http.HEADER) or sent):
            if scope["type"] == "websocket":
                return await self._app(scope, receive, send)
            await self._respond(scope, receive, _Answer(send, self._finish(scope, sent)))

    async def _respond(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self._app(scope, receive, answer.send)
        except GatewayError as error:
            if answer.begun or not error.retryable:
                raise
            response = JSONResponse(http.refusal(error), 503, {"Retry-After": http.retry_after(error)})
            await response(scope, receive, answer.send)

    def _finish(self, scope: Scope, sent: str) -> Callable[[MutableHeaders], None]:
        def finish(headers: MutableHeaders) -> None:
            token = self._gateway.floor()
            if token:
                headers[http.HEADER] = token
            if self._cookie and token != sent:
                headers.append("set-cookie", http.set_cookie(token, secure=scope.get("scheme") == "https"))

        return finish


class _Answer:
    """The way to the client: knows whether the response has begun, and adds headers to its beginning."""

    def __init__(self, send: Send, finish: Callable[[MutableHeaders], None]) -> None:
        self._send = send
        self._finish = finish
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self._finish(MutableHeaders(scope=message))
        await self._send(message)


def domain_of(name: str, *, entity: type[K]) -> Callable[[HTTPConnection], Awaitable[AsyncDomain[K]]]:
    """A dependency: the handle of a domain. `loyalty: Annotated[AsyncDomain[str], Depends(domain_of(...))]`."""

    async def handle(connection: HTTPConnection) -> AsyncDomain[K]:
        gateway = connection.scope.get(IN_SCOPE)
        if isinstance(gateway, AsyncGateway):
            return gateway.domain(name, entity=entity)
        raise GatewayMisused(
            f"This request does not know the gateway of domain {name}.",
            next_step="Add GatewayMiddleware with an AsyncGateway to the application.",
        )

    return handle


def ready(gateway: AnyGateway, *domains: str) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for readiness probes: 503 until the routes of these domains are known, then 200 and the stages."""

    async def endpoint(_request: Request) -> Response:
        routes = gateway.routes()
        if missing := [name for name in domains if name not in routes]:
            retry = {"Retry-After": http.retry_after(NotReady("No route yet."))}
            return JSONResponse({"ready": False, "waiting_for": missing}, 503, retry)
        return JSONResponse({"ready": True, "stages": {name: routes[name].stage for name in domains}})

    return endpoint


async def _done(step: Callable[[], Awaitable[None] | None]) -> None:
    """Run `start` or `close` of either twin; the sync one must not be called on an event loop's thread."""
    if asyncio.iscoroutinefunction(step):
        await step()
    else:
        await asyncio.to_thread(step)
