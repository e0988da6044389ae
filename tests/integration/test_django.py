"""The library in a Django project: settings and their checks, middleware for views of both kinds, the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import AsyncClient, Client, override_settings

from midflight.gateway import Policy
from tests.fixtures.rig import Rig
from tests.fixtures.stages import applied, go
from tests.integration import django_shop

django_shop.set_up()

from midflight.gateway import django as integration  # noqa: E402 (it asks for settings)
from midflight.gateway.django.checks import check_middleware, check_settings  # noqa: E402
from midflight.gateway.django.conf import configured  # noqa: E402
from midflight.testing.override import override_stage  # noqa: E402

ROOT = Path(__file__).parents[2]
FRAMEWORKS = ("fastapi", "starlette", "django", "openfeature")
KINDS = ("/orders/1/", "/async/orders/1/")


@pytest.fixture(autouse=True)
def _own_gateway() -> Iterator[None]:
    """Each test makes the process's gateway anew."""
    integration.gateway.cache_clear()
    yield
    integration.gateway.cache_clear()


# --- settings --------------------------------------------------------------------------------------------------------


@contextmanager
def midflight(value: object) -> Iterator[None]:
    """settings.MIDFLIGHT for a while."""
    with override_settings(MIDFLIGHT=value):
        yield


def found(value: object) -> list[tuple[str | None, str, str | None]]:
    with midflight(value):
        return [(each.id, str(each.msg), each.hint) for each in check_settings()]


def good(**more: object) -> dict[str, object]:
    return {**django_shop.NOWHERE, **more}


def test_good_settings_pass_the_checks() -> None:
    assert found(good(INSTANCE="web-1", DOMAINS=["orders"], POLICY={"park_seconds": 10, "dark_at_once": 2})) == []
    assert found(good(LEDGER="host=db dbname=shop", POLICY=Policy(park_seconds=1.0))) == []
    assert check_middleware() == []


def test_a_missing_setting_is_named() -> None:
    assert [number for number, _, _ in found(None)] == ["midflight.E001"]
    ((number, what, _),) = found({"LEDGER": "postgresql://db/shop"})
    assert (number, "SOURCE" in what) == ("midflight.E001", True)


@pytest.mark.parametrize(
    ("key", "nearest"), [("LEGDER", "LEDGER"), ("instances", "INSTANCE"), ("Policies", "POLICY"), ("DOMAIN", "DOMAINS")]
)
def test_an_unknown_key_is_told_with_the_nearest_one(key: str, nearest: str) -> None:
    ((number, what, hint),) = found(good(**{key: ""}))
    assert (number, repr(key) in what, hint) == ("midflight.E002", True, f"Did you mean {nearest}?")


def test_an_unknown_field_of_the_policy_is_told_with_the_nearest_one() -> None:
    ((number, _, hint),) = found(good(POLICY={"park_second": 3}))
    assert (number, hint) == ("midflight.E002", "Did you mean park_seconds?")


@pytest.mark.parametrize(
    "value",
    [
        ["a", "list"],
        good(LEDGER="mysql://db/shop"),
        good(SOURCE=17),
        good(INSTANCE=17),
        good(DOMAINS="orders"),
        good(DOMAINS=[1]),
        good(POLICY="fast"),
        good(POLICY={"park_seconds": "15"}),
        good(POLICY={"park_seconds": 0}),
        good(POLICY={"dark_at_once": 1.5}),
        good(POLICY={"dark_at_once": True}),
        good(POLICY={"keep_values": 1}),
    ],
    ids=repr,
)
def test_a_wrong_type_is_told(value: object) -> None:
    assert [number for number, _, _ in found(value)] == ["midflight.E003"]


@pytest.mark.parametrize("name", ["has space", "ünï", "a/b", "-x", "x" * 64])
def test_an_instance_is_named_simply(name: str) -> None:
    assert [number for number, _, _ in found(good(INSTANCE=name))] == ["midflight.E004"]


def test_no_check_shows_an_address() -> None:
    wrong = {"LEDGER": "mysql://user:secret@db", "SOURCE": "http://user:secret@db", "INSTANCE": "web"}
    assert "secret" not in repr(found(wrong))


def test_wrong_settings_stop_the_first_use() -> None:
    with midflight({"LEDGER": "postgresql://db/shop"}), pytest.raises(ImproperlyConfigured, match="SOURCE"):
        integration.gateway()


def test_settings_become_values() -> None:
    with midflight(good(DOMAINS=["orders"], POLICY={"park_seconds": 3})):
        conf = configured()
    assert conf.domains == ("orders",)
    assert conf.policy == Policy(park_seconds=3)


def test_a_project_without_the_middleware_is_warned() -> None:
    with override_settings(MIDDLEWARE=[]):
        assert [each.id for each in check_middleware()] == ["midflight.W001"]


def test_the_checks_are_part_of_manage_py_check() -> None:
    with midflight({}), pytest.raises(Exception, match=r"midflight\.E001"):
        call_command("check")


# --- requests --------------------------------------------------------------------------------------------------------


class Both:
    """One session that asks views through the WSGI or the ASGI handler of Django."""

    def __init__(self) -> None:
        self.wsgi, self.asgi = Client(), AsyncClient()
        self.asgi.cookies = self.wsgi.cookies

    async def __call__(self, method: str, path: str, **headers: Any) -> Any:
        if path.startswith("/async"):
            return await getattr(self.asgi, method)(path, headers=headers)
        return await asyncio_to_thread(getattr(self.wsgi, method), path, headers=headers)


async def asyncio_to_thread(function: Any, *args: Any, **options: Any) -> Any:
    """A request in a thread without an event loop, as a WSGI server's."""
    import asyncio

    return await asyncio.to_thread(function, *args, **options)


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize(("stage", "side"), [("shadow", "source"), ("target", "target")])
async def test_views_of_both_kinds_go_where_the_stage_says(path: str, stage: str, side: str) -> None:
    with override_stage(integration.domain("orders", entity=int), stage):
        ask = Both()
        assert (await ask("get", path)).json() == {"side": side}
        assert (await ask("post", path)).json() == {"side": side}


@pytest.mark.parametrize("path", KINDS)
async def test_a_held_write_is_answered_503_with_retry_after_and_names_nothing(path: str) -> None:
    with override_stage(integration.domain("orders", entity=int), "hold"):
        answer = await Both()("post", path)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["error"] == "writes_held"
    assert b"orders" not in answer.content


@pytest.mark.parametrize("path", KINDS)
async def test_an_unknown_route_is_answered_503(path: str) -> None:
    answer = await Both()("get", path)
    assert (answer.status_code, answer.json()["error"]) == (503, "not_ready")
    await asyncio_to_thread(integration.gateway().close)


async def test_errors_of_the_application_stay_its_own() -> None:
    with pytest.raises(ValueError, match="not ours"):
        await Both()("get", "/broken/")


async def test_readiness_waits_for_the_routes() -> None:
    ask = Both()
    before = await ask("get", "/ready/")
    assert (before.status_code, before.json()) == (503, {"ready": False, "waiting_for": ["orders"]})
    with override_stage(integration.domain("orders", entity=int), "ramp"):
        after = await ask("get", "/ready/")
    assert (after.status_code, after.json()) == (200, {"ready": True, "stages": {"orders": "ramp"}})


@pytest.fixture
def on_servers(prepared: Rig) -> Iterator[Rig]:
    """The project on real stores, reads ramped to the target; closed at the end."""
    go(prepared.postgres_dsn, "orders", "ramp", reads_bp=10_000)
    applied(prepared.postgres_dsn, "orders", 0)
    with midflight({"LEDGER": prepared.postgres_dsn, "SOURCE": prepared.mongo_uri, "DOMAINS": ["orders"]}):
        yield prepared
        integration.gateway().close()


@pytest.mark.parametrize("path", KINDS)
async def test_a_session_sees_its_own_write_in_another_process(on_servers: Rig, path: str) -> None:
    ask = Both()
    assert (await ask("get", path)).json() == {"side": "target"}
    token = (await ask("post", path)).headers["midflight-floor"]
    assert ask.wsgi.cookies["midflight_floor"].value == token
    await asyncio_to_thread(integration.gateway().close)
    integration.gateway.cache_clear()  # another process: it knows only what the request brings
    assert (await ask("get", path)).json() == {"side": "source"}
    assert (await Both()("get", path)).json() == {"side": "target"}
    assert (await Both()("get", path, **{"midflight-floor": token})).json() == {"side": "source"}


async def test_the_cookie_is_taken_back_once_the_target_has_everything(on_servers: Rig) -> None:
    ask = Both()
    await ask("post", "/orders/1/")
    applied(on_servers.postgres_dsn, "orders", 2**63 - 1)
    while ask.wsgi.cookies["midflight_floor"].value:
        answer = await ask("get", "/orders/1/")
    assert "midflight-floor" not in answer.headers
    assert answer.json() == {"side": "target"} or (await ask("get", "/orders/1/")).json() == {"side": "target"}


# --- manage.py midflight_status --------------------------------------------------------------------------------------


def status(*arguments: str) -> str:
    out = StringIO()
    call_command("midflight_status", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("off", "reads at the source; writes at the source"),
        ("dark_read", "reads at the source, 5 % compared; writes at the source"),
        ("ramp", "reads 10 % at the target, others at the source; writes at the source"),
        ("hold", "reads 10 % at the target, others at the source; writes held"),
        ("target", "reads at the target; writes at the target"),
    ],
)
def test_the_command_says_where_reads_and_writes_go(stage: str, said: str) -> None:
    with override_stage(integration.domain("orders", entity=int), stage, reads_percent=10, dark_reads_percent=5):
        assert f"orders: stage {stage}; {said} (authority" in status()


def test_the_command_speaks_json() -> None:
    with override_stage(integration.domain("orders", entity=int), "target"):
        (route,) = json.loads(status("orders", "--json"))
    assert (route["domain"], route["stage"], route["authority"]) == ("orders", "target", "target")


def test_the_command_fails_where_the_ledger_is_away() -> None:
    with pytest.raises(CommandError, match="orders"):
        status()
    integration.gateway().close()


def test_the_command_asks_the_ledger_of_the_settings(on_servers: Rig) -> None:
    assert "orders: stage ramp" in status()


def test_the_command_wants_a_domain() -> None:
    with midflight(good()), pytest.raises(CommandError, match="DOMAINS"):
        status()


# --- processes -------------------------------------------------------------------------------------------------------

FORKS = """
import os, sys
from tests.integration import django_shop
from django.conf import settings
django_shop.set_up()
settings.MIDFLIGHT = {"LEDGER": sys.argv[1], "SOURCE": sys.argv[2], "DOMAINS": ["orders"]}
print(django_shop.look(1), flush=True)
child = os.fork()
if child == 0:
    print(django_shop.look(1), flush=True)
    sys.exit(0)
_, code = os.waitpid(child, 0)
print(django_shop.look(1), flush=True)
import psycopg
with psycopg.connect(sys.argv[1]) as ledger:
    print(ledger.execute("select count(*) from midflight.instances where lease_until > now()").fetchone()[0], code)
"""


def test_a_process_that_forks_after_use_goes_on_in_both_halves_and_leaves_when_it_ends(prepared: Rig) -> None:
    go(prepared.postgres_dsn, "orders", "ramp", reads_bp=10_000)
    ran = subprocess.run(
        [sys.executable, "-c", FORKS, prepared.postgres_dsn, prepared.mongo_uri],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stdout.split() == ["target", "target", "target", "1", "0"], ran.stdout + ran.stderr
    with psycopg.connect(prepared.postgres_dsn) as ledger:
        assert ledger.execute("select count(*) from midflight.instances").fetchone() == (0,)


def test_no_framework_is_imported_by_the_library_itself() -> None:
    script = f"import sys, midflight.gateway; print([name for name in {FRAMEWORKS!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
