"""A Django project for tests: settings, two domain functions, and their views of both kinds."""

from __future__ import annotations

from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import path

NOWHERE = {"LEDGER": "postgresql://127.0.0.1:1/none", "SOURCE": "mongodb://127.0.0.1:1/none"}
MIDDLEWARE = "midflight.gateway.django.middleware.GatewayMiddleware"


def set_up() -> None:
    """Once a process."""
    if settings.configured:
        return
    settings.configure(
        SECRET_KEY="for tests",
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["midflight.gateway.django"],
        MIDDLEWARE=[MIDDLEWARE],
        ALLOWED_HOSTS=["testserver"],
        MIDFLIGHT={**NOWHERE, "DOMAINS": ["orders"], "POLICY": {"start_seconds": 0.1, "park_seconds": 0.1}},
    )
    django.setup()


def look(number: int) -> str:
    """What a read of an order gives: the side that answered."""
    return str(_orders().read(entity=lambda n: n, target=lambda n: "target")(lambda n: "source")(number))


def change(number: int) -> str:
    """It names no documents: its shadow write cannot be made, so its session is ahead."""
    return str(_orders().write(entities=lambda n: [n], target=lambda n: "target")(lambda n: "source")(number))


def _orders() -> Any:
    from midflight.gateway.django import domain

    return domain("orders", entity=int)


def order(request: HttpRequest, number: int) -> JsonResponse:
    work = change if request.method == "POST" else look
    return JsonResponse({"side": work(number)})


async def async_order(request: HttpRequest, number: int) -> JsonResponse:
    work = change if request.method == "POST" else look
    return JsonResponse({"side": await sync_to_async(work)(number)})


def broken(_request: HttpRequest) -> JsonResponse:
    raise ValueError("not ours")


def ready(request: HttpRequest) -> JsonResponse:
    from midflight.gateway.django import views

    return views.ready(request)


urlpatterns = [
    path("orders/<int:number>/", order),
    path("async/orders/<int:number>/", async_order),
    path("broken/", broken),
    path("ready/", ready),
]
