"""The Django application of the library."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register


class MidflightConfig(AppConfig):
    """Registers the system checks. Starts nothing: a server may fork after this."""

    name = "midflight.gateway.django"
    label = "midflight"
    verbose_name = "Midflight"

    def ready(self) -> None:
        """Called by Django once, when all applications are loaded."""
        from midflight.gateway.django.checks import check_middleware, check_settings

        register(check_settings, "midflight")
        register(check_middleware, "midflight")
