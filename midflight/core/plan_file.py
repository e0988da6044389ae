"""Reads a plan from YAML text, and publishes the JSON Schema that editors check plans with."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from midflight.core.column_types import NAMES
from midflight.core.plan import Plan
from midflight.core.plan_check import find_problems
from midflight.core.plan_problems import Problem, plan_error
from midflight.core.plan_wording import shape_problems
from midflight.core.plan_yaml import read_yaml

COLUMN_TYPE = {
    "anyOf": [
        {"enum": [name for name in NAMES if name != "varchar"]},
        {"pattern": r"^varchar\([1-9][0-9]*\)$"},
        {"pattern": r"^numeric\([1-9][0-9]*, ?[0-9]+\)$"},
    ]
}


def load_plan(text: str) -> Plan:
    """The checked plan that the YAML text describes; PlanError names every problem with place, line and next step."""
    content, lines = read_yaml(text)
    try:
        plan = Plan.model_validate(content)
    except ValidationError as error:
        raise plan_error(shape_problems(error), lines) from error
    except RecursionError as error:
        raise plan_error([Problem("", "an alias of the plan contains itself.", "Write that part out.")]) from error
    if problems := find_problems(plan):
        raise plan_error(problems, lines)
    return plan


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a plan file, as published in `plans/plan.schema.json`."""
    schema = Plan.model_json_schema(by_alias=True)
    for part in schema["$defs"].values():
        if "type" in part.get("properties", {}):
            part["properties"]["type"] |= COLUMN_TYPE
    schema["title"] = "Midflight plan"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
