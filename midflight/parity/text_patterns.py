"""What happened to a text on its way: cut, or written and read by two that did not mean the same. Pure."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote

_DOTS = ("...", "\u2026")
_MARKS = "?\ufffd"
_NO_MARKS = dict.fromkeys(map(ord, _MARKS))
_UNDEFINED_IN_WINDOWS = (0x81, 0x8D, 0x8F, 0x90, 0x9D)
_LENIENT_WINDOWS = "".join(
    chr(byte) if byte in _UNDEFINED_IN_WINDOWS else bytes((byte,)).decode("cp1252") for byte in range(256)
)


def is_text_cut(whole: str, part: str) -> bool:
    """Whether it is the beginning, perhaps with dots that say so, or all but the blanks around it. Not: nothing."""
    if _begins(part, whole) or any(part.endswith(dots) and _begins(part.removesuffix(dots), whole) for dots in _DOTS):
        return True
    return part != "" and part == whole.strip() != whole


def _begins(part: str, whole: str) -> bool:
    return 0 < len(part) < len(whole) and whole.startswith(part)


def is_encoded_otherwise(source: str, target: str) -> bool:
    """Whether it is the same text normalised, escaped, garbled, or with characters replaced."""
    if unicodedata.normalize("NFC", source) == unicodedata.normalize("NFC", target):
        return True
    if any(one in _rewritten(other) for one, other in ((target, source), (source, target))):
        return True
    if source.isascii() and target.isascii():
        return False
    garbled = target in _garbled(source) or source in _garbled(target)
    return garbled or _characters_were_replaced(source, target) or target in (_ascii(source), _plain_letters(source))


def _rewritten(text: str) -> Iterator[str]:
    """As web pages, JSON and addresses write it; with the ends of lines, and the beginning, of another system."""
    yield html.escape(text)
    yield html.escape(text, quote=False)
    yield json.dumps(text)[1:-1]
    yield quote(text, safe="", errors="replace")
    yield text.replace("\r\n", "\n").removeprefix("\ufeff")


def _garbled(text: str) -> Iterator[str]:
    """The text's UTF-8 read as if it were of another encoding, once and twice."""
    for misread in (_as_latin, _as_windows, _as_lenient_windows):
        once = misread(text)
        yield once
        yield misread(once)


def _as_latin(text: str) -> str:
    return _utf8(text).decode("latin-1")


def _as_windows(text: str) -> str:
    return _utf8(text).decode("cp1252", "replace")


def _as_lenient_windows(text: str) -> str:
    """As browsers do: what has no character there becomes a control character."""
    return _as_latin(text).translate(_LENIENT_WINDOWS)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _characters_were_replaced(source: str, target: str) -> bool:
    """Characters beyond ASCII became question marks or replacement characters, each one or several."""
    if len(source) == len(target):
        return all(a == b or (b in _MARKS and not a.isascii()) for a, b in zip(source, target, strict=True))
    if source.isascii() or _marks(target) <= _marks(source):
        return False
    return set(target.translate(_NO_MARKS)) <= set(source) and _bare(source) == _bare(target)


def _marks(text: str) -> int:
    return sum(map(text.count, _MARKS))


def _bare(text: str) -> str:
    return _ascii(text).translate(_NO_MARKS)


def _ascii(text: str) -> str:
    return text.encode("ascii", "ignore").decode("ascii")


def _plain_letters(text: str) -> str:
    return _ascii(unicodedata.normalize("NFKD", text))
