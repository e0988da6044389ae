"""`midflight plan`: look at a plan before it is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from midflight.core.fingerprint import fingerprint
from midflight.core.plan import Plan
from midflight.core.plan_file import json_schema, load_plan
from midflight.core.tables import tables
from midflight.errors import PlanError
from starter.session import AsJson, Session, show_json

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan file (YAML).")]

app = typer.Typer(name="plan", help="Look at a plan before it is started.", no_args_is_help=True)


def read_plan(path: Path) -> Plan:
    """The checked plan in a file. PlanError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PlanError(f"There is no plan at {path}.", next_step="Check the path; plans/ has examples.") from None
    except IsADirectoryError:
        raise PlanError(f"{path} is a directory.", next_step="Name a plan file in it.") from None
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}.", next_step="Check its permissions.") from None
    except UnicodeDecodeError:
        raise PlanError(f"{path} is not UTF-8 text.", next_step="Save it as UTF-8.") from None
    return load_plan(text)


@app.command()
def check(path: PlanFile, as_json: AsJson = False) -> None:
    """Check a plan; every problem is named with its place and what to do."""
    plan = read_plan(path)
    about = _about(plan)
    lines = [f"{name}: {', '.join(of_one)}" for name, of_one in about["tables"].items()]
    Session.begin(as_json).show(about, f"{path} is a good plan of domain {plan.domain}.", *lines)


@app.command()
def schema(as_json: AsJson = False) -> None:  # noqa: ARG001 - it is JSON either way
    """Print the JSON Schema that editors check plans with."""
    show_json(json_schema())


def _about(plan: Plan) -> dict[str, Any]:
    return {
        "domain": plan.domain,
        "fingerprint": fingerprint(plan),
        "tables": {entry.collection: [table.name for table in tables(entry)] for entry in plan.collections},
        "approvals": list(plan.approvals),
    }
