"""docker-compose.yml: valid, closed to other machines, pinned, and in step with the code. No engine is needed."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from midflight.contracts.search_attributes import SEARCH_ATTRIBUTES
from midflight.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
SCRIPTS = Path(sysconfig.get_path("scripts"))


def run(program: str, *arguments: str) -> str:
    done = subprocess.run([SCRIPTS / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def resolved() -> dict[str, Any]:
    """The file as Docker Compose itself understands it."""
    text = run("docker-compose", "-f", str(COMPOSE), "config", "--format", "json")
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def services(resolved: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = resolved["services"]
    return found


def shell_of(service: dict[str, Any]) -> str:
    """The script of a one-shot job; `config` doubles the dollars again."""
    return str(service["command"][0]).replace("$$", "$")


def test_it_follows_the_compose_specification() -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE))


def test_it_offers_every_part(services: dict[str, Any]) -> None:
    assert {"source", "target", "temporal", "temporal-init", "temporal-ui", "worker"} <= set(services)
    assert services["source"]["image"].startswith("mongo:8")
    assert services["target"]["image"].startswith("postgres:18")
    assert "--replSet" in services["source"]["command"]


def test_every_port_is_open_to_this_machine_only(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_every_image_is_pinned(services: dict[str, Any]) -> None:
    images = [service["image"] for service in services.values() if "build" not in service]
    assert all(re.search(r":\d+(\.\d+)*$", image) for image in images), images


def test_whoever_is_awaited_as_healthy_says_when_it_is(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, awaited in service.get("depends_on", {}).items():
            if awaited["condition"] == "service_healthy":
                assert "healthcheck" in services[name], name


@pytest.mark.parametrize("job", ["temporal-schema", "temporal-init"])
def test_the_jobs_scripts_parse(services: dict[str, Any], job: str) -> None:
    subprocess.run(["/bin/sh", "-n"], input=shell_of(services[job]), text=True, check=True)


def test_its_search_attributes_are_those_of_the_code(services: dict[str, Any]) -> None:
    listed = re.findall(r"^(Midflight\w+) (\w+)$", shell_of(services["temporal-init"]), re.MULTILINE)
    assert dict(listed) == SEARCH_ATTRIBUTES


def test_its_temporal_is_the_release_that_the_embedded_one_bundles(services: dict[str, Any]) -> None:
    version = run("temporal", "--version")
    server = services["temporal"]["image"].rpartition(":")[2]
    ui = services["temporal-ui"]["image"].rpartition(":")[2]
    assert f"Server {server}" in version
    assert f"UI {ui}" in version


def test_the_new_postgres_image_keeps_its_data_in_the_volume(services: dict[str, Any]) -> None:
    """From 18 on the image refuses the mount point that older ones wanted."""
    assert services["target"]["volumes"][0]["target"] == "/var/lib/postgresql"


def test_the_workers_settings_are_settings(services: dict[str, Any]) -> None:
    settings = Settings.from_environment(services["worker"]["environment"])
    assert settings.source("mongo-main")
    assert settings.target("pg-main")


def test_the_worker_has_longer_to_stop_than_its_activities(services: dict[str, Any]) -> None:
    grace = float(services["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace > Settings().graceful_shutdown_seconds


def test_what_the_workers_image_copies_is_there() -> None:
    copied = re.findall(r"^COPY (\S+)", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert all((ROOT / path).exists() for path in copied), copied
