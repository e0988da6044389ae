"""A view for readiness probes: `path("ready/", midflight.gateway.django.views.ready)`."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse

from midflight.errors import NotReady
from midflight.gateway import http
from midflight.gateway.django import gateway
from midflight.gateway.django.conf import configured


def ready(_request: HttpRequest) -> JsonResponse:
    """503 until the routes of DOMAINS are known, then 200 and the stages."""
    routes, domains = gateway().routes(), configured().domains
    if missing := [name for name in domains if name not in routes]:
        retry = {"Retry-After": http.retry_after(NotReady("No route yet."))}
        return JsonResponse({"ready": False, "waiting_for": missing}, status=503, headers=retry)
    return JsonResponse({"ready": True, "stages": {name: routes[name].stage for name in domains}})
