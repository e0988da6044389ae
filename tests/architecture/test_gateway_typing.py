"""What a type checker says to those who use the library: a wrong entity key, other parameters, another answer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BEGINNING = """
from collections.abc import Iterable
from midflight.gateway import AsyncGateway, Gateway

members = AsyncGateway(ledger="", source="").domain("members", entity=str)
orders = Gateway(ledger="", source="").domain("orders", entity=int)

class Repository:
    async def balance(self, member: str, kind: int) -> int: return 0
    async def short(self, member: str) -> int: return 0
    async def text(self, member: str, kind: int) -> str: return ""
    def total(self, order: int) -> float: return 0.0

a, b = Repository(), Repository()
"""
GOOD = """
balance = members.read(entity=lambda member, kind: member, target=b.balance)(a.balance)
earn = members.write(
    entities=lambda member, kind: [member], target=b.balance, keys=lambda member, kind: {"members": [member]}
)(a.balance)
total = orders.read(entity=lambda order: order, target=b.total)(a.total)

@orders.write(entities=lambda order: [order], target=b.total)
def pay(order: int) -> float: return 0.0

async def use() -> int:
    paid: float = pay(1) + total(1)
    async with members.unit_of_work() as route:
        return await balance("m", 1) + await earn("m", kind=route.epoch)
"""
BAD = {
    "a wrong entity key": "members.read(entity=lambda member, kind: kind, target=b.balance)(a.balance)",
    "a wrong key of several": "members.write(entities=lambda member, kind: [kind], target=b.balance)(a.balance)",
    "a wrong key, sync": "orders.read(entity=lambda order: str(order), target=b.total)(a.total)",
    "other parameters": "members.read(entity=lambda member, kind: member, target=b.balance)(a.short)",
    "another answer": "members.read(entity=lambda member, kind: member, target=b.balance)(a.text)",
    "a plain function for asyncio": "members.read(entity=lambda order: '', target=b.total)(a.total)",
    "a call with a wrong type": "pending = balance(1, 1)",
}


def complaints(folder: Path, code: str) -> set[int]:
    """The lines of which mypy complains."""
    snippet = folder / "snippet.py"
    snippet.write_text(code)
    # Silent about the library itself, as it is about every installed package.
    options = ["--strict", "--config-file=", "--follow-imports=silent"]
    command = [sys.executable, "-m", "mypy", *options, snippet.name]
    environment = {"MYPYPATH": str(ROOT), "PATH": "", "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache" / "gateway")}
    said = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    assert said.returncode in (0, 1), said.stderr
    return {int(line) for line in re.findall(r"^snippet\.py:(\d+): error", said.stdout, re.MULTILINE)}


@pytest.mark.timeout(300)
def test_a_type_checker_takes_what_is_right_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    good = BEGINNING + GOOD
    bad = {good.count("\n") + 1 + place: what for place, what in enumerate(BAD)}
    found = complaints(tmp_path, good + "\n".join(BAD.values()) + "\n")
    assert {what for line, what in bad.items() if line not in found} == set(), "accepted"
    assert found - bad.keys() == set(), "refused"
