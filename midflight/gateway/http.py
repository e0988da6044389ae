"""What HTTP clients see of the library, the same with every framework: the floor token and the answer 503."""

from __future__ import annotations

from math import ceil

from midflight.errors import GatewayError, WritesHeld

HEADER = "midflight-floor"
"""Requests and responses of programs carry the floor token here; a client sends back the last one it was given."""
COOKIE = "midflight_floor"
"""Browsers carry it here by themselves."""
RETRY_SECONDS = 1.0


def retry_after(error: GatewayError) -> str:
    """The header Retry-After: whole seconds, at least one."""
    seconds = error.retry_after if isinstance(error, WritesHeld) else RETRY_SECONDS
    return str(max(1, ceil(seconds)))


def refusal(error: GatewayError) -> dict[str, str]:
    """The body of a 503. It names no domain, store or instance: clients need none of them."""
    if isinstance(error, WritesHeld):
        return {"error": "writes_held", "detail": "Writes are held for a moment. Try again."}
    return {"error": "not_ready", "detail": "This cannot be answered for a moment. Try again."}


def set_cookie(token: str, *, secure: bool) -> str:
    """The header Set-Cookie: for this browser session, or, without a token, to forget it."""
    parts = [f"{COOKIE}={token}", "Path=/", "HttpOnly", "SameSite=Lax"]
    return "; ".join([*parts, *([] if token else ["Max-Age=0"]), *(["Secure"] if secure else [])])
