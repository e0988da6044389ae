"""Checks that the functions a plan's transforms name are there, and take as many values as they would get."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from midflight.core.plan_problems import Problem, nearest
from midflight.core.plan_scopes import Scope
from midflight.core.transforms import REGISTRY, Transform, find_transform
from midflight.errors import PlanError


def transform_problems(scope: Scope) -> Iterator[Problem]:
    """Unknown functions, and functions of another number of values: they would refuse every single document."""
    for number, transform in enumerate(scope.part.transforms):
        place = f"{scope.place}.transforms[{number}]"
        if len(set(transform.fields)) < len(transform.fields):
            yield Problem(f"{place}.fields", "a field is named twice.", "Name each once.")
        yield from _function(f"{place}.forward", transform.forward, len(transform.fields), "field")
        if transform.back is not None:
            yield from _function(f"{place}.back", transform.back, len(transform.columns), "column")


def _function(place: str, name: str, values: int, of: str) -> Iterator[Problem]:
    if ":" not in name and name not in REGISTRY:
        advice = f"{nearest(name, REGISTRY)} Or name a function of your own, as `package.module:function`."
        yield Problem(place, f"there is no transform `{name}`.", advice)
        return
    try:
        function = find_transform(name)
    except PlanError as error:
        yield Problem(place, error.what, error.next_step)
        return
    if not _takes(function, values):
        what = f"`{name}` does not take {values} values, one a {of}."
        yield Problem(place, what, f"Choose another function, or change the {of}s.")


def _takes(function: Transform, values: int) -> bool:
    try:
        inspect.signature(function).bind(*range(values))
    except TypeError:
        return False
    except ValueError:
        # Some functions written in C do not say what they take.
        return True
    return True
