"""A read-only view of the routes for whoever watches flags with OpenFeature. Reads and writes never ask it.

    api.set_provider(GatewayProvider(gateway), "midflight")
    api.get_client("midflight").get_string_value("midflight.members.stage", "unknown")

For each domain: `.stage`, `.authority` (text), `.reads_percent`, `.dark_reads_percent` (0 to 100), `.epoch`,
`.revision` (whole numbers), `.accepting` (true or false), and `midflight.DOMAIN` itself: an object with all of these.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from midflight.core.routing import Route
from midflight.gateway.aio import AsyncGateway
from midflight.gateway.blocking import Gateway
from midflight.gateway.policy import DEFAULT

PREFIX = "midflight."
LOOK_SECONDS = 0.25
_LOG = logging.getLogger(__name__)
T = TypeVar("T")
Routes = dict[str, Route]


class GatewayProvider(AbstractProvider):
    """Shows what the gateway of this process knows. Never raises from an evaluation: the default comes back instead.

    Errors are PROVIDER_NOT_READY before the first poll, FLAG_NOT_FOUND and TYPE_MISMATCH. Changes are announced as
    PROVIDER_CONFIGURATION_CHANGED with the flags that changed, from a thread of its own.
    """

    def __init__(self, gateway: AsyncGateway | Gateway, *, start_seconds: float = DEFAULT.start_seconds) -> None:
        """`start_seconds`: how long `initialize` may wait for the first routes."""
        super().__init__()
        self._gateway = gateway
        self._start_seconds = start_seconds
        self._ended = threading.Event()
        self._watch: threading.Thread | None = None

    def get_metadata(self) -> Metadata:
        """Its name."""
        return Metadata(name="midflight")

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Wait for the first routes, but never on an event loop's thread. ProviderNotReadyError.

        Either way changes are watched from here on, and READY is announced when the routes come.
        """
        self._ended.clear()
        known = self._wait()
        self._watch = threading.Thread(target=self._look, args=(known,), name="midflight-openfeature", daemon=True)
        self._watch.start()
        if not known:
            raise ProviderNotReadyError("The routes are not known yet. Start the gateway first.")

    def shutdown(self) -> None:
        """Stop watching. The gateway stays open."""
        self._ended.set()
        if self._watch is not None and self._watch is not threading.current_thread():
            self._watch.join(LOOK_SECONDS * 4)

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """`.accepting`."""
        return self._resolve(flag_key, default_value, bool)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """`.stage` and `.authority`."""
        return self._resolve(flag_key, default_value, str)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """`.epoch` and `.revision`."""
        return self._resolve(flag_key, default_value, int)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """`.reads_percent` and `.dark_reads_percent`."""
        return self._resolve(flag_key, default_value, float)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """`midflight.DOMAIN`."""
        return self._resolve(flag_key, default_value, dict)

    def _resolve(self, key: str, default: T, kind: type) -> FlagResolutionDetails[T]:
        try:
            return self._found(key, default, kind)
        except Exception as error:  # an evaluation never raises, whatever state the gateway is in
            _LOG.warning("flag %s could not be shown: %s", key, error)
            return _default(default, ErrorCode.GENERAL, str(error))

    def _found(self, key: str, default: T, kind: type) -> FlagResolutionDetails[T]:
        routes = self._gateway.routes()
        if not routes:
            return _default(default, ErrorCode.PROVIDER_NOT_READY, "The routes are not known yet.")
        for route in routes.values():
            if key in (shown := flags(route)):
                return _shown(route, shown[key], default, kind)
        return _default(default, ErrorCode.FLAG_NOT_FOUND, f"There is no flag {key}.")

    def _wait(self) -> Routes:
        """The routes; none where there are none in time, or where waiting would stop the loop that brings them."""
        end = time.monotonic() + (0.0 if _on_a_loop() else self._start_seconds)
        while not (routes := self._gateway.routes()) and time.monotonic() < end and not self._ended.wait(0.01):
            pass
        return routes

    def _look(self, known: Routes) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            routes = self._gateway.routes()
            if routes and not known:
                self.emit_provider_ready(ProviderEventDetails())
            if changed := _changed(known, routes):
                self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=changed))
            known = routes


def flags(route: Route) -> dict[str, Any]:
    """The flags of a domain and their values."""
    values: dict[str, Any] = {
        "stage": str(route.stage),
        "authority": str(route.authority),
        "reads_percent": route.reads_bp / 100,
        "dark_reads_percent": route.dark_reads_bp / 100,
        "epoch": route.epoch,
        "revision": route.revision,
        "accepting": route.accepting,
    }
    name = PREFIX + route.domain
    return {name: values, **{f"{name}.{what}": value for what, value in values.items()}}


def _changed(before: Routes, after: Routes) -> list[str]:
    """Names of flags; the route's own moves that no flag shows (the applied mark) do not count."""
    old = {key: value for route in before.values() for key, value in flags(route).items()}
    new = {key: value for route in after.values() for key, value in flags(route).items()}
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _shown(route: Route, value: Any, default: T, kind: type) -> FlagResolutionDetails[T]:
    if type(value) is not kind:
        return _default(default, ErrorCode.TYPE_MISMATCH, f"This flag is a {type(value).__name__}.")
    facts: dict[str, bool | int | float | str] = {
        "domain": route.domain,
        "stage": str(route.stage),
        "epoch": route.epoch,
        "revision": route.revision,
    }
    return FlagResolutionDetails(
        value=cast("T", value), reason=Reason.STATIC, variant=str(route.stage), flag_metadata=facts
    )


def _default(default: T, code: ErrorCode, message: str) -> FlagResolutionDetails[T]:
    return FlagResolutionDetails(value=default, reason=Reason.ERROR, error_code=code, error_message=message)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
