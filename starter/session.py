"""What every command shares: settings, Temporal, who is asking, and where output goes."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console, RenderableType
from rich.text import Text
from temporalio.client import Client

from midflight.errors import MidflightError, SettingsError
from midflight.settings import Settings
from starter import local
from starter.exits import ExitCode, code_of
from workflows.client import connect

R = TypeVar("R")
PIPE_COLUMNS = 300

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
Person = Annotated[str, typer.Option("--as", metavar="PERSON", help="Who is asking. Default: the login name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]
Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="The plan's domain.")]


@dataclass(frozen=True)
class Session:
    """One command's surroundings. Results go to stdout; remarks and errors to stderr."""

    settings: Settings
    as_json: bool = False

    @classmethod
    def begin(cls, as_json: bool) -> Session:
        """Settings from the environment, or from servers that `up` left running here. SettingsError."""
        return cls(local.settings(), as_json)

    async def client(self) -> Client:
        """Temporal. TemporalUnavailable."""
        return await connect(self.settings.temporal_address, self.settings.temporal_namespace)

    def show(self, data: Any, *people: RenderableType) -> None:
        """The result of the command: `data` for machines, the rest for people."""
        if self.as_json:
            show_json(data)
        else:
            for part in people:
                # Lines of text are left whole, for `grep`; tables fit the terminal.
                stdout().print(part, markup=False, soft_wrap=isinstance(part, str | Text))

    def note(self, text: str) -> None:
        """A remark, on stderr."""
        stderr().print(text, markup=False, soft_wrap=True)


def run(work: Coroutine[Any, Any, R]) -> R:
    """Run a command's coroutine."""
    return asyncio.run(work)


def who(given: str) -> str:
    """The person to record. SettingsError where the system knows no login name."""
    try:
        return given or getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise SettingsError("This system does not say who you are.", next_step="Say it with --as NAME.") from None


def stop(code: ExitCode) -> None:
    """End the command with this code; its result has been shown."""
    if code is not ExitCode.OK:
        raise typer.Exit(code)


def show_json(data: Any, *, one_line: bool = False) -> None:
    """One JSON document on stdout."""
    text = json.dumps(data, indent=None if one_line else 2)
    stdout().print(text, markup=False, highlight=False, soft_wrap=True)


def tell_error(error: MidflightError, *, as_json: bool) -> ExitCode:
    """Say what happened and what to do next; returns the exit code."""
    code = code_of(error)
    if as_json:
        problem = {"kind": type(error).__name__, "what": error.what, "next_step": error.next_step, "exit_code": code}
        show_json({"error": problem})
    console = stderr()
    console.print(error.what, markup=False, highlight=False, soft_wrap=True, style="red")
    if error.next_step:
        console.print(error.next_step, markup=False, highlight=False, soft_wrap=True)
    return code


def stdout() -> Console:
    """Made anew each time, because tests exchange the stream. Tables stay whole where no terminal limits them."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def stderr() -> Console:
    """As `stdout`."""
    return Console(stderr=True, highlight=False)
