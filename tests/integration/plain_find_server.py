"""The least of a MongoDB server: hello, find without a filter, getMore. It stands for replay sources and proxies."""

from __future__ import annotations

import itertools
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bson

HEADER = struct.Struct("<iiii")
OP_QUERY, OP_REPLY, OP_MSG = 2004, 1, 2013
HELLO = {
    "isWritablePrimary": True,
    "ismaster": True,
    "maxBsonObjectSize": 16 << 20,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "ok": 1.0,
}


@contextmanager
def serving(documents: list[bytes]) -> Iterator[str]:
    """URI of a server whose every collection holds these documents; it refuses whatever else it is asked."""
    with _Server(("127.0.0.1", 0), _Connection) as server:
        server.documents = documents
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"mongodb://127.0.0.1:{server.server_address[1]}/?directConnection=true"
        server.shutdown()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    documents: list[bytes]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._cursors: dict[int, int] = {}
        self._numbers = itertools.count(1)

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        match next(iter(command)):
            case "hello" | "isMaster" | "ismaster":
                return HELLO
            case "find":
                assert not {"min", "max", "hint"} & set(command), "bounds need a real server"
                assert command["sort"] == {"_id": 1}
                return self._batch("firstBatch", 0, command["batchSize"])
            case "getMore":
                return self._batch("nextBatch", self._cursors.pop(command["getMore"]), command["batchSize"])
            case "endSessions" | "killCursors":
                return {"ok": 1.0}
        return {"ok": 0.0, "code": 59, "errmsg": "no such command"}

    def _batch(self, name: str, start: int, size: int) -> dict[str, Any]:
        end = start + size
        number = next(self._numbers) if end < len(self.documents) else 0
        if number:
            self._cursors[number] = end
        batch = [bson.decode(document) for document in self.documents[start:end]]
        return {"cursor": {"id": bson.Int64(number), "ns": "replay.any", name: batch}, "ok": 1.0}


class _Connection(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        while header := self.rfile.read(HEADER.size):
            size, request, _, kind = HEADER.unpack(header)
            body = self.rfile.read(size - HEADER.size)
            start = 5 if kind == OP_MSG else body.index(b"\0", 4) + 9
            length = int.from_bytes(body[start : start + 4], "little")
            reply = bson.encode(self.server.answer(bson.decode(body[start : start + length])))
            self.wfile.write(_message(request, kind, reply))


def _message(request: int, kind: int, reply: bytes) -> bytes:
    if kind == OP_MSG:
        return HEADER.pack(21 + len(reply), 1, request, OP_MSG) + bytes(5) + reply
    prefix = struct.pack("<iqii", 8, 0, 0, 1)
    return HEADER.pack(36 + len(reply), 1, request, OP_REPLY) + prefix + reply
