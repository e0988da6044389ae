"""The driver's errors, told as ours: by kind, and with nothing in them that came out of a document.

A server's message may quote a key or a whole filter, and our errors end up in workflow histories. So its text is never
passed on: we name what we were doing, the server's code and the code's name, and what to do next.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from midflight.errors import CollectionMissing, PositionLost, SourceError, SourceRefused, SourceUnavailable

_WRONG_PASSWORD = frozenset({18, 8000})
_NOT_PERMITTED = frozenset({13, 33})
_NO_SUCH_COLLECTION = frozenset({26})
_NO_REPLICA_SET = frozenset({20, 40573})
_HISTORY_LOST = frozenset({136, 260, 280, 286})
_PASSING = frozenset(
    {6, 7, 24, 43, 46, 50, 64, 89, 91, 112, 133, 134, 175, 189, 202, 234, 237, 246, 262, 290, 384}
    | {9001, 10107, 11600, 11601, 11602, 13388, 13435, 13436}
)
"""Not the primary, shutting down, stepped down, killed, timed out, lost cursor: the same request may succeed later."""

_REFUSED_BEFORE = "AuthenticationFailed"
"""In the text of a server selection: the driver gave the server up because it did not accept our password."""

_ADDRESS_FIRST = re.compile(r"[\w.:\[\]-]+:\d+: ")

_PASSING_LABELS = ("RetryableWriteError", "TransientTransactionError", "ResumableChangeStreamError")


@contextmanager
def driver_errors(doing: str, *, privilege: str = "") -> Iterator[None]:
    """Raise ours in place of the driver's; `doing` reads on from "while", `privilege` is what the work needs."""
    before = cancellations()
    try:
        yield
        heed_cancellation(before)
    except PyMongoError as error:
        # `from None`: the cause would carry the server's text into the history.
        raise told(error, doing, privilege) from None
    except BSONError as error:
        raise SourceError(
            f"The source sent bytes that are not valid BSON ({type(error).__name__}) while {doing}.",
            next_step="Find the document with `validate` in the mongo shell and repair it.",
        ) from None


def cancellations() -> int:
    """How often the running task has been cancelled."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def heed_cancellation(before: int) -> None:
    """End the task if it was cancelled since. The driver's `wait_for` may lose a cancellation before Python 3.12."""
    if cancellations() > before:
        raise asyncio.CancelledError


def told(error: PyMongoError, doing: str, privilege: str = "") -> SourceError:
    """The driver's error as one of ours."""
    if isinstance(error, OperationFailure) and not isinstance(error, (WTimeoutError, ExecutionTimeout)):
        return _refusal(error, doing, privilege)
    if isinstance(error, ServerSelectionTimeoutError) and _REFUSED_BEFORE in str(error):
        return _wrong_password(f"while {doing}")
    if isinstance(error, (ConnectionFailure, WTimeoutError, ExecutionTimeout)):
        return SourceUnavailable(
            f"The source does not answer while {doing}: {_network_reason(error)}.",
            next_step="Check that MongoDB runs and that the worker reaches it; this is tried again.",
        )
    if isinstance(error, ConfigurationError):
        return SourceRefused(
            f"The address of the source cannot be used ({type(error).__name__}) while {doing}.",
            next_step="Correct the address of this store in the worker's settings (mongodb://… or mongodb+srv://…).",
        )
    return SourceError(f"The driver failed while {doing}: {type(error).__name__}.")


def _refusal(error: OperationFailure, doing: str, privilege: str) -> SourceError:
    said = f"while {doing} ({_code(error)})"
    if error.code in _WRONG_PASSWORD:
        return _wrong_password(said)
    if error.code in _NOT_PERMITTED:
        return SourceRefused(
            f"The source does not permit this {said}: the privilege {privilege or 'for it'} is missing.",
            next_step="Grant the roles readWrite and dbAdmin on the database to Midflight's user.",
        )
    return _state(error, said)


def _wrong_password(said: str) -> SourceRefused:
    return SourceRefused(
        f"The source does not accept our user name or password {said}.",
        next_step="Correct the address of this store in the worker's settings; mind authSource.",
    )


def _state(error: OperationFailure, said: str) -> SourceError:
    if error.code in _NO_SUCH_COLLECTION:
        return CollectionMissing(
            f"The collection does not exist in the source {said}.",
            next_step="Correct the plan, or create the collection.",
        )
    if error.code in _NO_REPLICA_SET:
        return not_a_replica_set(said)
    if error.code in _HISTORY_LOST:
        return PositionLost(
            f"The source no longer holds our position in its change feed {said}.",
            next_step="Start again from `capture` (a new position and a new backfill); enlarge the oplog first.",
        )
    if error.code in _PASSING or any(map(error.has_error_label, _PASSING_LABELS)):
        return SourceUnavailable(f"The source cannot answer now {said}.", next_step="This is tried again.")
    return SourceError(f"The source refused {said}.", next_step="Look this code up in the server's log.")


def not_a_replica_set(said: str) -> SourceRefused:
    """What to say of a standalone server: it has no change feed."""
    return SourceRefused(
        f"The source is not a replica set, so it has no change feed {said}.",
        next_step="Start mongod with --replSet and run rs.initiate(); one member is enough.",
    )


def _code(error: OperationFailure) -> str:
    name = (error.details or {}).get("codeName", "")
    return f"code {error.code} {name}".strip()


def _network_reason(error: PyMongoError) -> str:
    if isinstance(error, NetworkTimeout | ExecutionTimeout | WTimeoutError):
        return "it took too long"
    if isinstance(error, ServerSelectionTimeoutError):
        # "host:port: [Errno 111] Connection refused (configured timeouts: …), Timeout: 5s, Topology Description: …"
        text = str(error).split(" (configured", 1)[0].split(", Timeout", 1)[0]
        return text[:200] if _ADDRESS_FIRST.match(text) else "no primary was found in time"
    return f"the connection was lost ({type(error).__name__})"
