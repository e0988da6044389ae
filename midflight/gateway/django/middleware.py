"""Carries the floor token from one request of a session to the next, and answers 503 to what should be retried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from midflight.errors import GatewayError
from midflight.gateway import http
from midflight.gateway.django import gateway

Response = HttpResponseBase
Handler = Callable[[HttpRequest], Response] | Callable[[HttpRequest], Awaitable[Response]]


class GatewayMiddleware:
    """For views of both kinds. A floor told after the response has begun (by a streamed body) is not carried."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Response | Awaitable[Response]:
        """Called by Django for each request."""
        if self._is_async:
            return self._later(request)
        with gateway().with_floor(_floor_of(request)):
            return _finish(request, cast("Response", self._get_response(request)))

    async def _later(self, request: HttpRequest) -> Response:
        with gateway().with_floor(_floor_of(request)):
            return _finish(request, await cast("Awaitable[Response]", self._get_response(request)))

    def process_exception(self, _request: HttpRequest, error: Exception) -> Response | None:
        """Django asks here what to make of a view's error."""
        if not (isinstance(error, GatewayError) and error.retryable):
            return None
        return JsonResponse(http.refusal(error), status=503, headers={"Retry-After": http.retry_after(error)})


def _floor_of(request: HttpRequest) -> str:
    return request.headers.get(http.HEADER) or request.COOKIES.get(http.COOKIE, "")


def _finish(request: HttpRequest, response: Response) -> Response:
    token = gateway().floor()
    if token:
        response.headers[http.HEADER] = token
    if token and token != request.COOKIES.get(http.COOKIE):
        response.set_cookie(http.COOKIE, token, httponly=True, samesite="Lax", secure=request.is_secure())
    elif not token and http.COOKIE in request.COOKIES:
        response.delete_cookie(http.COOKIE, samesite="Lax")
    return response
