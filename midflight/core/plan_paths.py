"""Checks which fields a plan takes, and that each has exactly one home."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from midflight.core.plan import Child
from midflight.core.plan_problems import Problem
from midflight.core.plan_scopes import Scope


@dataclass(frozen=True, slots=True)
class _Home:
    """A field path that something keeps, so that it can be rebuilt, and the place in the plan that says so."""

    place: str
    path: str


def path_problems(scope: Scope) -> Iterator[Problem]:
    """Paths that are malformed, taken twice, or without a home."""
    homes = list(_homes(scope))
    read = list(_only_read(scope))
    for found in (*homes, *read):
        yield from _malformed(found, scope)
    yield from _overlaps(homes)
    if scope.is_root:
        yield from (_id_mapped(home) for home in homes if home.path.split(".")[0] == "_id")
    if scope.collection.rest is None:
        yield from (_homeless(found) for found in read if not _kept(found.path, homes, scope))


def child_problems(scope: Scope) -> Iterator[Problem]:
    """What a child needs to be a table of elements."""
    child = scope.part
    if not isinstance(child, Child):
        return
    if child.array and child.map:
        yield Problem(scope.place, "this child has both `array` and `map`.", "Keep the one that the field is.")
    if not child.path:
        what = "this child names neither `array` nor `map`."
        yield Problem(scope.place, what, "Name the field that holds the elements.")
    if not (child.fields or child.transforms or child.children):
        what = "this child has no fields: nothing would hold its elements."
        yield Problem(scope.place, what, "Map the element's fields, or `.` for elements that are plain values.")


def _homes(scope: Scope) -> Iterator[_Home]:
    for number, mapped in enumerate(scope.part.fields):
        yield _Home(f"{scope.place}.fields[{number}]", mapped.field)
    for number, transform in enumerate(scope.part.transforms):
        if transform.back:
            yield from (_Home(f"{scope.place}.transforms[{number}]", path) for path in transform.fields)
    for number, child in enumerate(scope.part.children):
        yield from (_Home(f"{scope.place}.children[{number}]", path) for path in {child.path} - {""})


def _only_read(scope: Scope) -> Iterator[_Home]:
    """The fields of transforms that only compute."""
    for number, transform in enumerate(scope.part.transforms):
        if not transform.back:
            yield from (_Home(f"{scope.place}.transforms[{number}]", path) for path in transform.fields)


def _malformed(found: _Home, scope: Scope) -> Iterator[Problem]:
    if found.path == ".":
        if scope.is_root:
            yield Problem(found.place, "`.` is the element of a child; a document has named fields.", "Name the field.")
        return
    if "" in found.path.split(".") or "\0" in found.path:
        what = f"`{found.path}` is not a path."
        yield Problem(found.place, what, "Join names by single dots, like `address.city`.")


def _overlaps(homes: list[_Home]) -> Iterator[Problem]:
    for number, home in enumerate(homes):
        for earlier in homes[:number]:
            if not (_inside(home.path, earlier.path) or _inside(earlier.path, home.path)):
                continue
            yield Problem(home.place, *_overlap(home, earlier))
            break


def _overlap(home: _Home, earlier: _Home) -> tuple[str, str]:
    if home.path == earlier.path:
        return f"field `{home.path}` is mapped already by {earlier.place}.", "Map each field once."
    if "." in (home.path, earlier.path):
        what = f"`.` is the whole element, so {earlier.place} and this cannot both hold `{home.path}`."
        return what, "Map `.` alone for plain values, or named fields alone for documents."
    what = f"field `{home.path}` overlaps with `{earlier.path}` of {earlier.place}."
    return what, "Map the whole field once, or its parts one by one."


def _inside(path: str, whole: str) -> bool:
    """Whether `path` is `whole` or a part of it."""
    return whole in {".", path} or path.startswith(f"{whole}.")


def _id_mapped(home: _Home) -> Problem:
    return Problem(home.place, f"`{home.path}` is the key, not an ordinary field.", "Describe it under `key:`.")


def _kept(path: str, homes: list[_Home], scope: Scope) -> bool:
    is_key = scope.is_root and path.split(".")[0] == "_id"
    return is_key or any(_inside(path, home.path) for home in homes)


def _homeless(found: _Home) -> Problem:
    what = f"field `{found.path}` is only computed from: without `back` and without a rest column it would be lost."
    return Problem(found.place, what, "Give the transform a `back`, map the field too, or name a `rest` column.")
