"""Where the servers' programs are: beside our interpreter, or on the PATH."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

from midflight.errors import MidflightError


class ProgramMissing(MidflightError):
    """A server's wheel is not installed."""


def find(program: str, wheel: str, variable: str) -> str:
    """Path of `program`. Raises ProgramMissing naming the wheel and the setting to use instead."""
    beside = Path(sysconfig.get_path("scripts")) / program
    path = str(beside) if beside.exists() else shutil.which(program)
    if path is None:
        raise missing(program, wheel, variable)
    return path


def missing(program: str, wheel: str, variable: str) -> ProgramMissing:
    """The error for a wheel that is not there."""
    return ProgramMissing(
        f"The program '{program}' of {wheel} is not installed.",
        next_step=f"Install midflight[embedded], or set {variable} to a server of your own.",
    )
