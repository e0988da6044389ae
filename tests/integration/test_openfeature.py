"""The OpenFeature provider: a read-only view of the routes that never raises."""

from __future__ import annotations

import asyncio
import inspect
import queue
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.provider import FeatureProvider, ProviderStatus

from midflight.gateway import AsyncGateway
from midflight.gateway.openfeature import GatewayProvider
from midflight.testing.override import override_stage
from tests.fixtures.rig import Rig
from tests.fixtures.stages import NOWHERE, go

SECONDS = 10.0
NAME = "midflight-test"


@pytest.fixture
def gateway() -> AsyncGateway:
    made = AsyncGateway(**NOWHERE)
    made.domain("members", entity=str)
    return made


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    api.clear_providers()


@contextmanager
def shown(gateway: AsyncGateway) -> Iterator[OpenFeatureClient]:
    """A client of a provider that is ready."""
    provider = GatewayProvider(gateway)
    api.set_provider_and_wait(provider, NAME)
    yield api.get_client(NAME)
    provider.shutdown()


def test_it_shows_stage_percentages_epoch_and_whether_writes_are_accepted(gateway: AsyncGateway) -> None:
    with override_stage(gateway, "ramp", reads_percent=12.5, dark_reads_percent=5), shown(gateway) as client:
        assert client.get_string_value("midflight.members.stage", "?") == "ramp"
        assert client.get_string_value("midflight.members.authority", "?") == "source"
        assert client.get_float_value("midflight.members.reads_percent", -1.0) == 12.5
        assert client.get_float_value("midflight.members.dark_reads_percent", -1.0) == 5.0
        assert client.get_integer_value("midflight.members.epoch", -1) == 1
        assert client.get_boolean_value("midflight.members.accepting", True) is False
        everything = client.get_object_value("midflight.members", {})
    assert everything["stage"] == "ramp"  # type: ignore[call-overload]


async def test_the_async_half_answers_the_same(gateway: AsyncGateway) -> None:
    with override_stage(gateway, "target"), shown(gateway) as client:
        assert await client.get_string_value_async("midflight.members.authority", "?") == "target"


def test_details_carry_epoch_and_revision(gateway: AsyncGateway) -> None:
    with override_stage(gateway, "target"), shown(gateway) as client:
        details = client.get_string_details("midflight.members.stage", "?")
    assert details.flag_metadata == {"domain": "members", "stage": "target", "epoch": 2, "revision": 1}
    assert details.error_code is None


@pytest.mark.parametrize(
    "key", ["midflight.members.stages", "midflight.members", "midflight.orders.stage", "stage", ""]
)
def test_an_unknown_flag_or_another_type_gives_the_default(gateway: AsyncGateway, key: str) -> None:
    with override_stage(gateway, "ramp"), shown(gateway) as client:
        details = client.get_string_details(key, "the default")
    assert details.value == "the default"
    assert details.error_code in (ErrorCode.FLAG_NOT_FOUND, ErrorCode.TYPE_MISMATCH)


def test_a_truth_value_is_no_number(gateway: AsyncGateway) -> None:
    with override_stage(gateway, "ramp"), shown(gateway) as client:
        assert client.get_integer_value("midflight.members.accepting", -1) == -1


def test_it_is_not_ready_before_the_first_poll(gateway: AsyncGateway) -> None:
    provider = GatewayProvider(gateway, start_seconds=0.05)
    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(provider, NAME)
    details = api.get_client(NAME).get_string_details("midflight.members.stage", "the default")
    assert (details.value, details.error_code) == ("the default", ErrorCode.PROVIDER_NOT_READY)


async def test_it_never_waits_on_an_event_loop(gateway: AsyncGateway) -> None:
    provider = GatewayProvider(gateway, start_seconds=3_600)
    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(provider, NAME)


def test_it_becomes_ready_by_itself_when_the_routes_come(gateway: AsyncGateway) -> None:
    client, heard = api.get_client(NAME), queue.Queue[EventDetails]()
    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(GatewayProvider(gateway, start_seconds=0), NAME)
    client.add_handler(ProviderEvent.PROVIDER_READY, heard.put)
    with override_stage(gateway, "shadow"):
        assert heard.get(timeout=SECONDS).provider_name == "midflight"
        assert client.get_provider_status() is ProviderStatus.READY
        assert client.get_string_value("midflight.members.stage", "?") == "shadow"


def test_an_evaluation_never_raises(gateway: AsyncGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    with override_stage(gateway, "shadow"), shown(gateway):
        provider = GatewayProvider(gateway)
        monkeypatch.setattr(gateway, "routes", lambda: 1 / 0)
        details = provider.resolve_string_details(flag_key="midflight.members.stage", default_value="the default")
        assert (details.value, details.error_code) == ("the default", ErrorCode.GENERAL)
        monkeypatch.undo()


def test_changes_are_announced_with_the_flags_that_changed(gateway: AsyncGateway) -> None:
    with override_stage(gateway, "ramp", reads_percent=1) as stage, shown(gateway) as client:
        heard = queue.Queue[EventDetails]()
        client.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, heard.put)
        stage.move("ramp", reads_percent=10)
        changed = heard.get(timeout=SECONDS).flags_changed
    assert changed == ["midflight.members", "midflight.members.reads_percent", "midflight.members.revision"]


def test_parameters_are_named_as_the_sdk_calls_them() -> None:
    """A provider that names them otherwise fails into defaults, silently."""
    for kind in ("boolean", "string", "integer", "float", "object"):
        name = f"resolve_{kind}_details"
        ours = inspect.signature(getattr(GatewayProvider, name)).parameters
        assert list(ours) == list(inspect.signature(getattr(FeatureProvider, name)).parameters)


@pytest.fixture
async def started(prepared: Rig) -> AsyncIterator[AsyncGateway]:
    async with AsyncGateway(ledger=prepared.postgres_dsn, source=prepared.mongo_uri) as gateway:
        await gateway.domain("orders", entity=int).ready()
        yield gateway


async def test_it_follows_the_ledger(prepared: Rig, started: AsyncGateway) -> None:
    with shown(started) as client:
        heard = queue.Queue[EventDetails]()
        client.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, heard.put)
        go(prepared.postgres_dsn, "orders", "dark_read", dark_reads_bp=500)
        changed = (await asyncio.to_thread(heard.get, timeout=SECONDS)).flags_changed
        assert changed is not None
        assert "midflight.orders.stage" in changed
        assert client.get_float_value("midflight.orders.dark_reads_percent", -1.0) == 5.0
