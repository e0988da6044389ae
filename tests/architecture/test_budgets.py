"""Budgets that no linter has: how long a file and a function may be, and how many parameters it may take."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("midflight", "activities", "workflows", "starter", "embedded", "demo")
FILE_LINES = 300
FUNCTION_LINES = 40
MEDIAN_FUNCTION_LINES = 10
PARAMETERS = 6


@dataclass(frozen=True)
class Function:
    where: str
    lines: int
    parameters: int


def files() -> list[Path]:
    modules = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [*modules, ROOT / "worker.py"]


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", _lines(node), _parameters(node))


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([one for one in named if one.arg not in ("self", "cls")])


@pytest.fixture(scope="module")
def every_function() -> list[Function]:
    return [function for path in files() for function in functions(path)]


def test_no_file_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files()}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}


def test_no_function_is_too_long(every_function: list[Function]) -> None:
    assert [one for one in every_function if one.lines > FUNCTION_LINES] == []


def test_most_functions_fit_in_a_glance(every_function: list[Function]) -> None:
    assert statistics.median(one.lines for one in every_function) < MEDIAN_FUNCTION_LINES


def test_no_function_takes_too_many_parameters(every_function: list[Function]) -> None:
    """Options of a command are not parameters somebody has to pass in order."""
    long = [one for one in every_function if one.parameters > PARAMETERS]
    assert [one for one in long if not one.where.startswith("starter/")] == []
