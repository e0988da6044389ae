"""`make demo`: start servers, play the script, tell what came of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

import embedded
from demo.play import play
from demo.writer import SOURCE, TARGET
from embedded import StateDirBusy, Workers, postgres
from midflight.errors import MidflightError
from midflight.settings import Settings

REPORT = "demo.json"
HOME = "demo"
"""The demonstration's own place in the state directory: what `up` keeps there is left alone."""


def run(keep: bool) -> int:
    """The whole demonstration; 0 when nothing is left to doubt, 1 otherwise. `keep` leaves all running."""
    console, settings = Console(), Settings.from_environment()
    home = settings.state_dir.resolve() / HOME
    try:
        _start_afresh(home)
        workers = Workers(count=1, sources=(SOURCE,), targets=(TARGET,))
        with embedded.stack(home, keep=keep, ephemeral=True, workers=workers) as servers:
            summary = play(console, home, servers)
            summary.write(settings.state_dir / REPORT)
            summary.show(console)
    except MidflightError as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 1
    if keep:
        _tell_how_to_go_on(console, settings.state_dir / HOME)
    return 0 if summary.ok else 1


def _start_afresh(home: Path) -> None:
    """Nothing of an earlier demonstration may stay, also where that one was killed."""
    if embedded.running(home) is not None:
        raise StateDirBusy(
            "A demonstration is still running.", next_step=f"Stop it: MIDFLIGHT_STATE_DIR={home} midflight down"
        )
    embedded.down(home)
    shutil.rmtree(home / "mongo", ignore_errors=True)
    shutil.rmtree(home / "journals", ignore_errors=True)
    postgres.forget(home)


def _tell_how_to_go_on(console: Console, home: Path) -> None:
    console.print("\nAll of it is still running.", highlight=False)
    for does, command in (("look", "status members"), ("look", "report members"), ("stop", "down")):
        console.print(f"  {does}: MIDFLIGHT_STATE_DIR={home} midflight {command}", highlight=False)
