"""Exit codes, and which error ends with which. Listed for people in `docs/cli.md`."""

from __future__ import annotations

import os
import sys
from enum import IntEnum
from typing import NoReturn

from embedded import ServerFailed, StateDirBusy
from embedded.programs import ProgramMissing
from midflight import errors
from workflows.client import TemporalUnavailable


class ExitCode(IntEnum):
    """What a script can tell apart."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    PLAN = 3
    REFUSED = 4
    UNKNOWN_DOMAIN = 5
    NO_TEMPORAL = 6
    PROBLEM_FOUND = 7
    SETTINGS = 8
    STORE = 9
    SERVERS = 10
    NO_WORKER = 11
    INTERRUPTED = 130


class Refused(errors.MidflightError):
    """Not allowed now."""


class UnknownDomain(errors.MidflightError):
    """No move of that domain is known."""


class ProblemFound(errors.MidflightError):
    """A check found what stands in the way, in the source or in the target."""


class NoWorker(errors.MidflightError):
    """No worker answered: what was asked is not done yet, or cannot be known."""


# The first that fits counts: a class stands before those it derives from.
_CODES: tuple[tuple[type[errors.MidflightError], ExitCode], ...] = (
    (errors.PlanError, ExitCode.PLAN),
    (Refused, ExitCode.REFUSED),
    (errors.AuthorityMoved, ExitCode.REFUSED),
    (errors.RunUnknown, ExitCode.REFUSED),
    (StateDirBusy, ExitCode.REFUSED),
    (UnknownDomain, ExitCode.UNKNOWN_DOMAIN),
    (errors.DomainUnknown, ExitCode.UNKNOWN_DOMAIN),
    (TemporalUnavailable, ExitCode.NO_TEMPORAL),
    (ProblemFound, ExitCode.PROBLEM_FOUND),
    (errors.SettingsError, ExitCode.SETTINGS),
    (errors.SourceError, ExitCode.STORE),
    (errors.TargetError, ExitCode.STORE),
    (ServerFailed, ExitCode.SERVERS),
    (ProgramMissing, ExitCode.SERVERS),
    (NoWorker, ExitCode.NO_WORKER),
)


def code_of(error: errors.MidflightError) -> ExitCode:
    """The exit code of an error of ours."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.UNEXPECTED)


def exit_now(code: int) -> NoReturn:
    """End the process without the interpreter's finalisation, which the Temporal SDK does not always survive."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
