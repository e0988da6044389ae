"""System checks (`manage.py check`): settings.MIDFLIGHT, and the middleware."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from midflight.gateway.django.conf import problems

MIDDLEWARE = "midflight.gateway.django.middleware.GatewayMiddleware"


def check_settings(**_: Any) -> list[CheckMessage]:
    """E001 missing, E002 unknown key, E003 wrong type or value, E004 instance name."""
    found = problems(getattr(settings, "MIDFLIGHT", None))
    return [Error(problem.what, hint=problem.hint, id=f"midflight.E{problem.number:03}") for problem in found]


def check_middleware(**_: Any) -> list[CheckMessage]:
    """W001: without the middleware a session may not see its own writes, and held writes become errors 500."""
    if MIDDLEWARE in settings.MIDDLEWARE:
        return []
    hint = f"Add {MIDDLEWARE!r}, after the middleware for sessions if there is one."
    return [Warning("Midflight's middleware is not in MIDDLEWARE.", hint=hint, id="midflight.W001")]
