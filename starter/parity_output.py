"""Where a report of parity goes, and in which form."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from midflight.clock import utc_now
from midflight.core.plan import ParityRules
from midflight.errors import SettingsError
from midflight.parity.report import Asked, Report, gather
from midflight.parity.report.as_html import render as as_html
from midflight.parity.report.as_json import render as as_json
from midflight.parity.report.as_jsonl import stream
from midflight.parity.report.as_text import render as as_text
from starter.parity_desk import Shelf
from starter.session import Session

Form = Literal["text", "json", "jsonl", "html"]
AsForm = Annotated[Form, typer.Option("--format", help="jsonl: every mismatch, one a line.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the report there, not to stdout.")]
Values = Annotated[
    bool, typer.Option("--values", help="Show values too: only of the fields that the plan's `parity.show` lists.")
]
_RENDER = {"text": as_text, "json": as_json, "html": as_html}


def asked_of(found: Shelf, values: bool) -> Asked:
    """What a report may show."""
    rules = found.plan.parity if found.plan is not None else ParityRules()
    return Asked(utc_now(), rules, values)


async def write_report(session: Session, found: Shelf, report: Report, form: Form, out: Path | None) -> None:
    """To the file or to stdout; with a file, a remark says where it is and how it ends. SettingsError."""
    if form == "jsonl":
        record = report.record
        asked = asked_of(found, bool(report.shown_fields))
        await _write(out, stream(found.runs, record.domain, record.run, asked))
    else:
        await _write(out, _once(_RENDER[form](report)))
    if out is not None:
        session.note(f"{report.record.verdict.value.upper()}: {report.headline} The report is in {out}.")


async def gather_report(found: Shelf, domain: str, run: str, values: bool) -> Report:
    """The report of a run. RunUnknown."""
    return await gather(found.runs, domain, run, asked_of(found, values), entities=found.entities)


async def _once(text: str) -> AsyncIterator[str]:
    yield text


async def _write(out: Path | None, parts: AsyncIterator[str]) -> None:
    if out is None:
        async for part in parts:
            sys.stdout.write(part)
        return
    try:
        with out.open("w", encoding="utf-8") as file:
            async for part in parts:
                file.write(part)
    except OSError as error:
        raise SettingsError(
            f"{out} cannot be written: {error.strerror}.", next_step="Name another file; the run is kept."
        ) from None
