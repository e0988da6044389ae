"""Reads YAML text strictly: duplicate keys are refused, and every place keeps the line it stands on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from midflight.core.plan_problems import Problem, place_of, plan_error
from midflight.errors import PlanError

Steps = tuple[int | str, ...]


def read_yaml(text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The mapping that the text holds, and the line (from 1) of every place in it.

    Raises PlanError for text that is empty, no YAML, no mapping, or names a key twice.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _not_yaml(error) from error
    except ValueError as error:
        raise PlanError(
            f"The plan holds a value that YAML cannot read: {error}.", next_step="Put it in quotes."
        ) from error
    except RecursionError as error:
        raise PlanError("The plan is nested too deeply to be read.", next_step="Flatten it.") from error
    if root is None or content is None:
        raise PlanError("The plan is empty.", next_step="Start from one of the examples in plans/.")
    nodes = list(_walk(root, (), set()))
    if twice := [problem for _, node in nodes for problem in _named_twice(node)]:
        raise plan_error(twice)
    if not isinstance(content, dict):
        raise PlanError(
            f"The plan must be a mapping of keys to values, not {_kind(content)}.",
            next_step="Start it with `domain: ...`, like the examples in plans/.",
        )
    return content, {place_of(steps): node.start_mark.line + 1 for steps, node in nodes}


def _walk(node: yaml.Node, steps: Steps, seen: set[int]) -> Iterator[tuple[Steps, yaml.Node]]:
    """Every node with its place; what an alias repeats is visited once, so that a cycle of aliases ends."""
    if id(node) in seen:
        return
    seen.add(id(node))
    yield steps, node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _walk(value, (*steps, str(key.value)), seen)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _walk(value, (*steps, number), seen)


def _named_twice(node: yaml.Node) -> Iterator[Problem]:
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key, _ in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in first:
            what = f"key `{name}` on line {line} stands already on line {first[name]}."
            yield Problem("", what, "Keep one of them.")
        first.setdefault(name, line)


def _not_yaml(error: yaml.YAMLError) -> PlanError:
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    if reason.startswith("but "):
        reason = f"{getattr(error, 'context', '')}, {reason}"
    return PlanError(
        f"The plan is not valid YAML{where}: {reason}.",
        next_step="Mend that place; often it is the indentation, or text that needs quotes.",
    )


def _kind(content: object) -> str:
    return "a list" if isinstance(content, list) else f"one value ({type(content).__name__})"
