"""HTML made from values: what is not `Markup` already is escaped, wherever it stands. There is no way round."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from midflight.parity.report.wording import printable

_VOID = frozenset({"br", "meta"})


class Markup(str):
    """Text that is HTML already. Only this module makes it; joining or formatting it gives a plain `str` again."""

    __slots__ = ()


Node = str | None | Iterable["Node"]
"""Markup, text to escape, nothing, or several of these."""


def tag(name: str, /, *children: Node, **attributes: str | float | bool | None) -> Markup:
    """One element. `class_` is written `class`, `aria_label` is `aria-label`; False and None leave an attribute out."""
    opening = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: Node) -> Markup:
    """Several nodes as one."""
    return Markup("".join(_text(child) for child in children))


def style(css: str) -> Markup:
    """A style element with a sheet of our own, as it is: its hash is named by the page."""
    return Markup(f"<style>{css}</style>")


def page(*children: Node) -> str:
    """A whole document."""
    return f"<!doctype html>\n{tag('html', *children, lang='en')}\n"


def _text(child: Node) -> str:
    if child is None or isinstance(child, Markup):
        return child or ""
    return escape(printable(child)) if isinstance(child, str) else join(*child)


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {written}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f' {written}="{escape(printable(text))}"'
