"""`manage.py midflight_status`: what this application would do with reads and writes now."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from midflight.core.phase import Stage
from midflight.core.routing import Route, Side, write_side
from midflight.errors import GatewayError
from midflight.gateway.django import gateway
from midflight.gateway.django.conf import configured


class Command(BaseCommand):
    """Shows the route of each domain as the ledger has it."""

    help = "Shows, for each domain, its stage, and where reads and writes go."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which domains, and in which form."""
        parser.add_argument("domains", nargs="*", help="names; by default DOMAINS of settings.MIDFLIGHT")
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *_: Any, **options: Any) -> None:
        """CommandError where the ledger does not answer or knows no such domain."""
        names = options["domains"] or configured().domains
        if not names:
            raise CommandError("No domain is named. Give one, or set DOMAINS in settings.MIDFLIGHT.")
        routes = [_route(name) for name in names]
        if options["json"]:
            self.stdout.write(json.dumps([asdict(route) for route in routes], indent=2))
            return
        for route in routes:
            self.stdout.write(sentence(route))


def _route(name: str) -> Route:
    try:
        return gateway().domain(name, entity=object).ready()
    except GatewayError as error:
        raise CommandError(f"{name}: {error}") from error


def sentence(route: Route) -> str:
    """One line for people."""
    return (
        f"{route.domain}: stage {route.stage}; reads {_reads(route)}; writes {_writes(route)}"
        f" (authority {route.authority}, epoch {route.epoch}, revision {route.revision})"
    )


def _reads(route: Route) -> str:
    if route.authority is Side.TARGET:
        return "at the target"
    if route.stage in (Stage.RAMP, Stage.HOLD):
        return f"{route.reads_bp / 100:g} % at the target, others at the source"
    if route.stage is Stage.DARK_READ:
        return f"at the source, {route.dark_reads_bp / 100:g} % compared"
    return "at the source"


def _writes(route: Route) -> str:
    side = write_side(route)
    return "held" if side is None else f"at the {side}"
