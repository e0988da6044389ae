"""Servers and workers on this machine: up, down, demo, worker."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import embedded
from midflight.settings import Settings
from starter import local
from starter.session import AsJson, Session


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (up, down, demo, worker):
        app.command()(command)


@dataclass(frozen=True, slots=True)
class _Running:
    """What `up` tells."""

    servers: embedded.Servers
    exports: dict[str, str]
    home: Path

    def data(self) -> dict[str, object]:
        return {"temporal_ui": self.servers.temporal_ui, "state_dir": str(self.home), "environment": self.exports}

    def lines(self) -> list[str]:
        web = self.servers.temporal_ui or "(your own Temporal's)"
        return [
            f"Temporal Web: {web}",
            f"Logs: {self.home / 'log'}",
            "",
            "Commands in this directory find the servers by themselves. Elsewhere:",
            *(f'export {name}="{value}"' for name, value in self.exports.items()),
        ]


def up(
    source: Annotated[list[str] | None, typer.Option(help="A store name of your plans for the source.")] = None,
    target: Annotated[list[str] | None, typer.Option(help="A store name of your plans for the target.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="How many workers to run.")] = 1,
    standard_ports: Annotated[bool, typer.Option("--standard-ports", help="7233, 8233, 27017 and 5432.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start Temporal, source, target and a worker here, and leave them running."""
    settings = Settings.from_environment()
    names = local.StoreNames.given(source, target)
    options = embedded.StackOptions(
        ports=embedded.STANDARD if standard_ports else embedded.Ports(),
        workers=embedded.Workers(workers, names.sources, names.targets),
    )
    servers = embedded.up(settings.state_dir, options)
    local.remember(settings.state_dir, names)
    exports = _exports(local.environment(settings.state_dir, servers), settings)
    running = _Running(servers, exports, settings.state_dir.resolve())
    Session(settings, as_json).show(running.data(), *running.lines())


def down(as_json: AsJson = False) -> None:
    """Stop what `up`, or `demo --keep`, started. Nothing is left running; the data stays."""
    settings = Settings.from_environment()
    stopped = embedded.down(local.home(settings.state_dir))
    Session(settings, as_json).show({"stopped": stopped}, "Stopped." if stopped else "Nothing was running.")


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running.")] = False,
) -> None:
    """Move four live domains while a writer keeps writing, and check that nothing was lost."""
    # Loaded only here: it brings seeded data and a writer, which no other command needs.
    raise typer.Exit(importlib.import_module("demo.main").run(keep))


def worker() -> None:
    """Run a worker in the foreground, until SIGTERM or Ctrl-C."""
    environment = local.worker_environment()
    # Replaces this process, so that signals reach the worker itself.
    os.execve(sys.executable, [sys.executable, "-m", "worker"], environment)  # noqa: S606 - our own module


def _exports(found: dict[str, str], settings: Settings) -> dict[str, str]:
    """What other commands need. Addresses that you gave are not shown: their variables are named instead."""
    given = {"MIDFLIGHT_SOURCE_URI": settings.source_uri, "MIDFLIGHT_TARGET_DSN": settings.target_dsn}
    names = {secret.get_secret_value(): f"${name}" for name, secret in given.items() if secret is not None}
    # Those two say what `up` shall not start; exported, they would change what the next `up` does.
    return {name: names.get(value, value) for name, value in found.items() if name not in given}
