"""A read-only MongoDB server over documents in memory: it takes the source's own speed out of the measurement.

It knows one collection, `find` over all of it in the order of `_id` or by a list of `_id`s, whole or the `_id` alone,
`getMore`, and the small talk of a driver.

    python -m benchmarks.replay --documents 300000 --seed 7 --port 27117
"""

from __future__ import annotations

import argparse
import socketserver
import struct
import threading
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate, chain, count
from typing import Any

import bson
from bson import Int64

from benchmarks.documents import COLLECTION, purchases

DATABASE = "shop"
NAMESPACE = f"{DATABASE}.{COLLECTION}"

_HEADER = struct.Struct("<iiii")
_INT32 = struct.Struct("<i")
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_MORE_TO_COME = 2
_OBJECT_ID = slice(9, 21)
"""Where a document that begins with `_id` has its ObjectId."""
_FIRST_BATCH = 101
_REPLY_BYTES = 16 * 1024 * 1024
_HELLO = {
    "ismaster": True,
    "isWritablePrimary": True,
    "maxBsonObjectSize": 16 * 1024 * 1024,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "readOnly": True,
    "ok": 1.0,
}
_SMALL_TALK = frozenset({"ping", "endSessions", "killCursors"})


def address(port: int) -> str:
    """The URI of a replay server on this machine."""
    return f"mongodb://127.0.0.1:{port}/?directConnection=true"


class View:
    """Documents that one query gives, in order."""

    def __init__(self, documents: Sequence[bytes], names: Sequence[bytes]) -> None:
        self.size = len(documents)
        self._documents = documents
        self._names = names
        self._ends = list(accumulate(map(len, documents), initial=0))

    def end_of(self, start: int, most: int) -> int:
        """Like the real server: a reply ends where the next document would not fit, and holds at least one."""
        fits = bisect_right(self._ends, self._ends[start] + _REPLY_BYTES) - 1
        return min(start + most, self.size, max(fits, start + 1))

    def array(self, start: int, end: int) -> bytes:
        """A BSON array of the documents from `start` on, before `end`."""
        documents = self._documents[start:end]
        return _document(b"".join(chain.from_iterable(zip(self._names, documents, strict=False))))


class Replay:
    """Answers commands from documents in memory; many connections may ask at once."""

    def __init__(self, documents: Iterable[bytes]) -> None:
        self._documents = list(documents)
        # The elements of a BSON array are named by their index: type byte, name, zero.
        self._names = [b"\x03%d\x00" % number for number in range(len(self._documents))]
        self._whole = View(self._documents, self._names)
        self._cursors: dict[int, tuple[View, int]] = {}
        self._numbers = count(1)

    def answer(self, command: dict[str, Any]) -> bytes:
        """The BSON bytes of the reply."""
        name = next(iter(command))
        if name in ("find", "getMore"):
            return self._read(name, command)
        return bson.encode(self._small(name))

    def _small(self, name: str) -> dict[str, Any]:
        if name.lower() in ("hello", "ismaster"):
            return _HELLO
        if name == "count":
            return {"n": len(self._documents), "ok": 1.0}
        if name in _SMALL_TALK:
            return {"ok": 1.0}
        return _refusal(f"the replay server does not know {name}")

    def _read(self, name: str, command: dict[str, Any]) -> bytes:
        if name == "getMore":
            found = self._cursors.pop(command["getMore"], None)
            return (
                bson.encode(_refusal("no such cursor")) if found is None else self._batch("nextBatch", found, command)
            )
        view = self._view(command)
        if view is None or {"min", "max", "skip", "limit"} & set(command):
            return bson.encode(_refusal("the replay server reads its whole collection only, or a list of keys"))
        return self._batch("firstBatch", (view, 0), command)

    def _view(self, command: dict[str, Any]) -> View | None:
        wanted, keys_only = command.get("filter") or {}, bool(command.get("projection"))
        if not wanted:
            return self._ids if keys_only else self._whole
        if list(wanted) != ["_id"] or not isinstance(wanted["_id"], dict) or list(wanted["_id"]) != ["$in"]:
            return None
        places = sorted(self._places[key.binary] for key in wanted["_id"]["$in"] if key.binary in self._places)
        found = [self._documents[place] for place in places]
        return View([_id_alone(document) for document in found] if keys_only else found, self._names)

    @cached_property
    def _ids(self) -> View:
        return View([_id_alone(document) for document in self._documents], self._names)

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {document[_OBJECT_ID]: place for place, document in enumerate(self._documents)}

    def _batch(self, label: str, found: tuple[View, int], command: dict[str, Any]) -> bytes:
        view, start = found
        size = command.get("batchSize") or (_FIRST_BATCH if label == "firstBatch" else view.size)
        end = view.end_of(start, size)
        number = 0
        if end < view.size:
            number = next(self._numbers)
            self._cursors[number] = view, end
        return _cursor_reply(label, number, view.array(start, end))


def _id_alone(document: bytes) -> bytes:
    """Of a document that begins with an ObjectId as its `_id`: that field, of 17 bytes."""
    return _document(document[4 : _OBJECT_ID.stop])


def _cursor_reply(label: str, number: int, array: bytes) -> bytes:
    rest = bson.encode({"id": Int64(number), "ns": NAMESPACE})[4:-1]
    cursor = _document(b"".join((b"\x04", label.encode(), b"\0", array, rest)))
    return _document(b"".join((b"\x03cursor\0", cursor, bson.encode({"ok": 1.0})[4:-1])))


def _document(elements: bytes) -> bytes:
    return b"".join((_INT32.pack(len(elements) + 5), elements, b"\0"))


def _refusal(why: str) -> dict[str, Any]:
    return {"ok": 0.0, "code": 115, "codeName": "CommandNotSupported", "errmsg": why}


class ReplayServer(socketserver.ThreadingTCPServer):
    """Serves `replay` on 127.0.0.1; port 0 takes a free one."""

    daemon_threads = True
    allow_reuse_address = True
    disable_nagle_algorithm = True

    def __init__(self, replay: Replay, port: int) -> None:
        self.replay = replay
        super().__init__(("127.0.0.1", port), _Connection)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _Connection(socketserver.StreamRequestHandler):
    server: ReplayServer
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while len(header := self.rfile.read(_HEADER.size)) == _HEADER.size:
            size, request, _, kind = _HEADER.unpack(header)
            body = self.rfile.read(size - _HEADER.size)
            reply = self.server.replay.answer(_command(kind, body))
            if kind == _OP_QUERY:
                self._send(request, _OP_REPLY, struct.pack("<iqii", 8, 0, 0, 1), reply)
            elif not body[0] & _MORE_TO_COME:
                self._send(request, _OP_MSG, bytes(5), reply)

    def _send(self, request: int, kind: int, prefix: bytes, reply: bytes) -> None:
        size = _HEADER.size + len(prefix) + len(reply)
        self.wfile.write(b"".join((_HEADER.pack(size, 1, request, kind), prefix, reply)))


def _command(kind: int, body: bytes) -> dict[str, Any]:
    """An OP_MSG has flags and a section byte before its document; an OP_QUERY flags, a name and two numbers."""
    start = 5 if kind == _OP_MSG else body.index(b"\0", 4) + 9
    end = start + _INT32.unpack_from(body, start)[0]
    return bson.decode(body[start:end])


def serve_in_thread(server: ReplayServer) -> threading.Thread:
    """For tests: serve until `server.shutdown()`."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    return thread


def main() -> None:
    """Make the documents, then serve until killed."""
    parser = argparse.ArgumentParser(description="Serve seeded documents read-only over MongoDB's protocol.")
    parser.add_argument("--documents", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--port", type=int, default=27117)
    chosen = parser.parse_args()
    with ReplayServer(Replay(purchases(chosen.documents, chosen.seed)), chosen.port) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
