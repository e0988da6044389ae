"""The driver's errors become ours by kind, and nothing that came out of a document is passed on."""

from __future__ import annotations

import traceback

import pytest
from bson.errors import InvalidBSON
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    CursorNotFound,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidURI,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from midflight.errors import CollectionMissing, PositionLost, SourceError, SourceRefused, SourceUnavailable
from midflight.mongo.driver_errors import driver_errors

SECRET = "member-4711"
REFUSED_TEXT = f"not authorized on shop to execute command {{ find: 'members', filter: {{ _id: '{SECRET}' }} }}"


def failure(code: int, *labels: str) -> OperationFailure:
    details = {"code": code, "codeName": "ItsName", "errmsg": REFUSED_TEXT, "errorLabels": list(labels)}
    return OperationFailure(REFUSED_TEXT, code, details)


KINDS: list[tuple[PyMongoError | InvalidBSON, type[SourceError], str]] = [
    (failure(18), SourceRefused, "authSource"),
    (failure(8000), SourceRefused, "settings"),
    (failure(13), SourceRefused, "Grant the roles readWrite and dbAdmin"),
    (failure(26), CollectionMissing, "Correct the plan"),
    (failure(40573), SourceRefused, "rs.initiate()"),
    (failure(286, "NonResumableChangeStreamError"), PositionLost, "capture"),
    (failure(280), PositionLost, "capture"),
    (failure(260), PositionLost, "oplog"),
    (failure(136), PositionLost, "oplog"),
    (failure(10107), SourceUnavailable, "tried again"),
    (failure(91), SourceUnavailable, "tried again"),
    (failure(99999, "RetryableWriteError"), SourceUnavailable, "tried again"),
    (failure(99999, "ResumableChangeStreamError"), SourceUnavailable, "tried again"),
    (failure(99999), SourceError, "server's log"),
    (DuplicateKeyError(SECRET, 11000), SourceError, "server's log"),
    (CursorNotFound(SECRET, 43), SourceUnavailable, "tried again"),
    (ExecutionTimeout(SECRET, 50), SourceUnavailable, "took too long"),
    (WTimeoutError(SECRET, 64), SourceUnavailable, "took too long"),
    (NetworkTimeout(SECRET), SourceUnavailable, "took too long"),
    (AutoReconnect(SECRET), SourceUnavailable, "connection was lost"),
    (NotPrimaryError(SECRET), SourceUnavailable, "connection was lost"),
    (ServerSelectionTimeoutError(f"No servers {SECRET}"), SourceUnavailable, "no primary"),
    (
        ServerSelectionTimeoutError("h.example:27017: [Errno 111] refused (configured"),
        SourceUnavailable,
        "h.example:27017",
    ),
    (ServerSelectionTimeoutError(f"{SECRET} 'codeName': 'AuthenticationFailed'"), SourceRefused, "authSource"),
    (InvalidURI(SECRET), SourceRefused, "mongodb://"),
    (ConfigurationError(SECRET), SourceRefused, "mongodb://"),
    (PyMongoError(SECRET), SourceError, "reading `members`"),
    (InvalidBSON(SECRET), SourceError, "not valid BSON"),
]


@pytest.mark.parametrize(("error", "kind", "said"), KINDS, ids=lambda value: getattr(value, "__name__", None))
async def test_each_kind_of_error_is_told_as_ours_with_a_next_step(
    error: Exception, kind: type[SourceError], said: str
) -> None:
    with pytest.raises(SourceError) as caught, driver_errors("reading `members`", privilege="find on members"):
        raise error
    assert type(caught.value) is kind
    assert said in str(caught.value)
    assert "while reading `members`" in str(caught.value)


@pytest.mark.parametrize(("error", "kind", "said"), KINDS, ids=lambda value: getattr(value, "__name__", None))
async def test_no_text_of_the_server_is_passed_on_neither_said_nor_as_the_cause(
    error: Exception, kind: type[SourceError], said: str
) -> None:
    with pytest.raises(kind) as caught, driver_errors("reading `members`"):
        raise error
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_a_missing_privilege_is_named() -> None:
    with (
        pytest.raises(SourceRefused, match="find on members") as caught,
        driver_errors("x", privilege="find on members"),
    ):
        raise failure(13)
    assert "13 ItsName" in caught.value.what


async def test_errors_of_others_pass_unchanged() -> None:
    with pytest.raises(KeyError), driver_errors("reading"):
        raise KeyError("ours")
