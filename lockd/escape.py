"""Escapes text from outside that people read in a log, an error or a table.

The name of a guest can be anything. It may contain sequences that control a terminal, line feeds
that forge lines, marks that change the direction of writing, and it may be 64 KiB long.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_CUT: Final = "…"


def escaped(text: str, limit: int) -> str:
    """The text with what cannot be printed as ``\\x1b``, ``\\u202e`` or ``\\U000e0001``, and bytes
    that are not UTF-8, which come as surrogates, as ``\\xff``; of one that is longer than ``limit``
    characters the beginning and the end."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[: limit - half]}{_CUT}{text[-half:]}"
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(ord(each)) for each in text)


def _escape(number: int) -> str:
    if 0xDC80 <= number <= 0xDCFF:
        number -= 0xDC00
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
