"""An archive's files: written under another name, made durable, read back. Nothing here blocks the event loop."""

from __future__ import annotations

import asyncio
import gzip
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from midflight.core.documents import split
from midflight.errors import SourceError
from midflight.records import Archived

CHUNK_BYTES = 2**20
LARGEST_DOCUMENT = 32 * 2**20
"""More than MongoDB stores: a longer one is no document but damage."""

_FROM_PATH = "$&+=:@ "
"""What `mongodump` leaves as it is in a collection's name."""


T = TypeVar("T")


class Hands:
    """One thread that works on files: its calls run one after another, also where a cancelled one is under way."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    async def do(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call it there."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


class Damaged(Exception):
    """The file does not hold whole documents."""


@dataclass(eq=False, slots=True)
class Tally:
    """What a sequence of documents comes to; two are equal if the bytes are."""

    documents: int = 0
    size: int = 0
    _hash: Any = field(default_factory=lambda: blake2b(digest_size=32))

    def add(self, block: bytes) -> None:
        """Whole documents, concatenated."""
        self._hash.update(block)
        self.size += len(block)
        self.documents += sum(1 for _ in split(block))

    def archived(self, collection: str) -> Archived:
        """As a record."""
        return Archived(collection, self.documents, self.size, self._hash.hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and self.archived("") == other.archived("")


class Draft:
    """A file that has not got its name yet. An attempt has its own, so that two never write to one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        self.path = Path(name)
        self.tally = Tally()
        self._final = path
        self._file = os.fdopen(number, "wb")
        # No name and no time inside: the same documents give the same file.
        self._zip = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, mtime=0)

    def write(self, block: bytes) -> None:
        """Whole documents, concatenated."""
        self._zip.write(block)
        self.tally.add(block)

    def finish(self) -> None:
        """All of it is on the disk."""
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def publish(self) -> None:
        """Give it its name, over an older file of that name."""
        self.path.replace(self._final)
        folder = os.open(self._final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Leave no half file; without effect once it has its name."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError, ValueError):  # what is left in its buffers may not fit on the disk
            self._file.close()


def data_path(folder: str, collection: str) -> Path:
    """Where `mongodump` would put the documents."""
    return Path(folder) / f"{quote(collection, safe=_FROM_PATH)}.bson.gz"


def metadata_path(folder: str, collection: str) -> Path:
    """Where `mongodump` would put options and indexes."""
    return Path(folder) / f"{quote(collection, safe=_FROM_PATH)}.metadata.json.gz"


@contextmanager
def at_hand() -> Iterator[Hands]:
    """For the block. Whoever leaves it has waited for what was under way."""
    with ThreadPoolExecutor(1, thread_name_prefix="archive") as pool:
        yield Hands(pool)


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """A failure of the disk, told with the file and what to do."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"The archive {path} cannot be written or read: {error.strerror or type(error).__name__}.",
            next_step="Make room or give the worker access to this folder, then archive again; nothing was dropped.",
        ) from error


async def read_tally(path: Path, hands: Hands) -> Tally | None:
    """What the file holds, a chunk at a time; None where it is missing, cut off or damaged."""
    tally = Tally()
    try:
        file = await hands.do(gzip.open, path, "rb")
    except FileNotFoundError:
        return None
    try:
        while await hands.do(_read_some, file, tally):
            pass
    except (gzip.BadGzipFile, EOFError, zlib.error, Damaged):
        return None
    finally:
        await hands.do(file.close)
    return tally


def _read_some(file: gzip.GzipFile, tally: Tally) -> bool:
    """About a chunk of whole documents; False at the end."""
    block = bytearray()
    while len(block) < CHUNK_BYTES:
        head = file.read(4)
        if not head:
            break
        length = int.from_bytes(head, "little")
        if not 5 <= length <= LARGEST_DOCUMENT:
            raise Damaged
        body = file.read(length - 4)
        if len(body) != length - 4:
            raise Damaged
        block += head + body
    tally.add(bytes(block))
    return bool(block)
