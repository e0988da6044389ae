"""The driver's errors become ours. Messages never carry values: only names, kinds and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from midflight.errors import (
    DomainUnknown,
    MidflightError,
    TargetError,
    TargetRefused,
    TargetUnavailable,
)

CONTENDED = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock timeout: the whole transaction may simply be tried again."""

_LEDGER_MISSING = frozenset({"3F000", "42P01"})
_REFUSED_AT_THE_DOOR = (
    "authentication failed",
    "no pg_hba.conf entry",
    "does not exist",
    "permission denied",
    "no password supplied",
    "is not permitted to log in",
)


class Contended(TargetUnavailable):
    """Others held the same rows; the transaction was undone and may be tried again."""


class Violation(Exception):
    """The target does not take a row: by which rule, without any value."""

    def __init__(
        self, rule: str, *, schema: str = "", table: str = "", constraint: str = "", columns: str = ""
    ) -> None:
        self.reason = f"{rule} {constraint}".strip()
        super().__init__(self.reason)
        self.schema = schema
        self.table = table
        self.constraint = constraint
        self.columns = columns


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors instead of the driver's."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error


@contextmanager
def violations() -> Iterator[None]:
    """Raise `Violation` where a document is at fault: a constraint, or a value that its column does not take."""
    try:
        yield
    except psycopg.Error as error:
        if (error.sqlstate or "")[:2] not in ("22", "23"):
            raise
        raise violation(error) from error


@contextmanager
def sendable() -> Iterator[None]:
    """Raise `Violation` where a value cannot even be sent: a lone surrogate, an integer beyond 64 bits."""
    try:
        yield
    except (ValueError, OverflowError, TypeError) as error:
        raise Violation(f"the value cannot be sent to the target ({type(error).__name__})") from error


def violation(error: psycopg.Error) -> Violation:
    """What a class 22 or 23 error says, without its detail (which quotes values)."""
    diag = error.diag
    rule = _RULES.get(error.sqlstate or "", f"the target refuses the value ({type(error).__name__})")
    in_copy = _COPIED_COLUMN.search(diag.context or "")
    return Violation(
        rule,
        schema=diag.schema_name or "",
        table=diag.table_name or "",
        constraint=diag.constraint_name or "",
        columns=diag.column_name or (in_copy[1] if in_copy else ""),
    )


_COPIED_COLUMN = re.compile(r"^COPY \S+, line \d+, column (\w+)", re.MULTILINE)


_RULES = {
    "23502": "a required column would be empty",
    "23503": "violates the foreign key",
    "23505": "violates the unique constraint",
    "23514": "violates the check",
    "23P01": "violates the exclusion constraint",
    "22001": "the text is too long for its column",
    "22003": "the number is out of range of its column",
    "22021": "the text holds a character that the target cannot store",
    "22P05": "the JSON holds a character that the target cannot store",
}


def translate(error: psycopg.Error) -> MidflightError:
    """The error of ours that says what happened and whether trying again can help."""
    state = error.sqlstate or ""
    if state in CONTENDED:
        return Contended("The target's rows are held by others.", next_step="Try again.")
    if state in _LEDGER_MISSING and "midflight" in _first_line(error):
        return DomainUnknown(
            "The target holds no ledger (schema midflight).", next_step="Run `prepare` for this domain first."
        )
    if state == "42501" or state.startswith("28"):
        return TargetRefused(f"The target refuses: {_first_line(error)}.", next_step="Grant the privilege.")
    if _unavailable(error, state):
        return _closed_door(error) or TargetUnavailable(
            f"The target does not answer: {_first_line(error)}", next_step="See that PostgreSQL runs, then try again."
        )
    return TargetError(f"The target failed ({state or type(error).__name__}): {_without_values(error, state)}")


def _unavailable(error: psycopg.Error, state: str) -> bool:
    connection_lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not state
    return connection_lost or state[:2] in ("08", "53", "57", "58") or state == "25006"


def _closed_door(error: psycopg.Error) -> TargetRefused | None:
    """Refusals while connecting carry no SQLSTATE, only the server's words."""
    text = _first_line(error)
    if error.sqlstate or not any(words in text for words in _REFUSED_AT_THE_DOOR):
        return None
    return TargetRefused(
        f"The target refuses the connection: {text}.", next_step="Check user, password and database of the address."
    )


def _without_values(error: psycopg.Error, state: str) -> str:
    if state[:2] not in ("22", "23"):
        return _first_line(error)
    return violation(error).reason


def _first_line(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error)
    return text.strip().partition("\n")[0].rstrip(".")
