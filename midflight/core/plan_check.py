"""Says whether a plan holds together: all that is wrong with it at once, before anything is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from midflight.core.column_types import parse_type
from midflight.core.plan import CollectionMap, Plan
from midflight.core.plan_constants import constant_value
from midflight.core.plan_functions import transform_problems
from midflight.core.plan_names import name_problems
from midflight.core.plan_paths import child_problems, path_problems
from midflight.core.plan_problems import Problem, plan_error
from midflight.core.plan_references import order_of_tables, reference_problems
from midflight.core.plan_scopes import Scope, known_type, scopes
from midflight.errors import PlanError

__all__ = ["check_plan", "find_problems", "order_of_tables"]

NO_KEY_TYPES = {"boolean", "double precision", "jsonb"}


def check_plan(plan: Plan) -> None:
    """Raises PlanError that names every problem of the plan, with its place and what to do."""
    if problems := find_problems(plan):
        raise plan_error(problems)


def find_problems(plan: Plan) -> list[Problem]:
    """Every problem of the plan; empty when it holds together."""
    all_scopes = scopes(plan)
    problems = list(name_problems(plan, all_scopes))
    for scope in all_scopes:
        for check in SCOPE_CHECKS:
            problems += check(scope)
    return [*problems, *reference_problems(all_scopes), *_ramp(plan), *_window(plan)]


def _types(scope: Scope) -> Iterator[Problem]:
    own = [column for column in scope.columns() if scope.is_root or column not in scope.keys]
    for column in own:
        try:
            parse_type(column.type)
        except PlanError as error:
            yield Problem(f"{column.place}.type", error.what, error.next_step)
    if scope.is_root:
        yield from _key_type(scope)


def _key_type(scope: Scope) -> Iterator[Problem]:
    key = scope.keys[0]
    parsed = known_type(key.type)
    if parsed and parsed.name in NO_KEY_TYPES:
        what = f"{key.type} cannot be a key: equal keys would not always be equal there."
        yield Problem(f"{key.place}.type", what, "Use `any`, which takes keys of every type.")


def _constants(scope: Scope) -> Iterator[Problem]:
    if not isinstance(scope.part, CollectionMap):
        return
    for number, constant in enumerate(scope.part.constants):
        parsed = known_type(constant.type)
        try:
            if parsed:
                constant_value(parsed, constant.value)
        except ValueError as error:
            what = f"the value does not fit {constant.type}: {error}."
            yield Problem(f"{scope.place}.constants[{number}].value", what, "Change the value or the type.")


def _ramp(plan: Plan) -> Iterator[Problem]:
    steps = plan.ramp.steps
    if not steps or steps[-1] != 100:
        yield Problem("ramp.steps", "the ramp does not end at 100.", "Let the last step be 100.")
    if any(not 0 < step <= 100 for step in steps):
        yield Problem("ramp.steps", "a step is not a percentage above 0 and up to 100.", "Keep steps within that.")
    if list(steps) != sorted(set(steps)):
        yield Problem("ramp.steps", "the steps do not rise.", "Write them in ascending order, each once.")


def _window(plan: Plan) -> Iterator[Problem]:
    window = plan.pacing.window
    if window and window.start == window.end:
        what = "the window is empty: it ends when it starts."
        yield Problem("pacing.window", what, "Leave the window out to run all day.")


SCOPE_CHECKS: tuple[Callable[[Scope], Iterator[Problem]], ...] = (
    child_problems,
    path_problems,
    transform_problems,
    _types,
    _constants,
)
