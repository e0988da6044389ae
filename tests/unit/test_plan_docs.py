"""The reference in docs/plan.md names all that a plan may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from midflight.core import plan as shapes
from midflight.core.column_types import NAMES
from midflight.core.plan_file import load_plan
from midflight.core.transforms import REGISTRY

TEXT = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")
MODELS = [part for part in vars(shapes).values() if isinstance(part, type) and issubclass(part, BaseModel)]
KEYS = sorted({field.alias or name for model in MODELS for name, field in model.model_fields.items()})


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_in_the_reference(key: str) -> None:
    assert f"`{key}`" in TEXT


@pytest.mark.parametrize("name", NAMES)
def test_every_type_is_in_the_reference(name: str) -> None:
    assert re.search(rf"^\|.*`{name}(\(\w\))?`", TEXT, re.MULTILINE)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_transform_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_the_worked_example_is_a_plan() -> None:
    examples = re.findall(r"```yaml\n(midflight: 1\n.*?)```", TEXT, re.DOTALL)
    assert [load_plan(example).domain for example in examples] == ["shop"]
