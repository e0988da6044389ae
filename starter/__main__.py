"""`python -m starter`, and the script `midflight`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from temporalio.service import RPCError

from midflight.errors import MidflightError
from starter.app import app
from starter.exits import ExitCode, exit_now
from starter.session import stderr, tell_error
from workflows.client import TemporalUnavailable


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    as_json = "--json" in arguments
    try:
        app(list(arguments), prog_name="midflight")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ExitCode.UNEXPECTED
    except MidflightError as error:
        return tell_error(error, as_json=as_json)
    except RPCError as error:
        return tell_error(_of_temporal(error), as_json=as_json)
    except Exception:
        stderr().print_exception()
        return ExitCode.UNEXPECTED
    return ExitCode.OK


def main() -> NoReturn:
    """Run the command of this process, and end it."""
    exit_now(run(sys.argv[1:]))


def _of_temporal(error: RPCError) -> TemporalUnavailable:
    return TemporalUnavailable(
        f"Temporal answered {error.status.name}: {error.message}.",
        next_step="Is it up, and is the namespace right? `midflight settings` shows both.",
    )


if __name__ == "__main__":
    main()
