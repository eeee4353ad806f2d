"""Text out of files, which may hold anything, as a part of a message of one line."""

from __future__ import annotations


def printable(text: str, most: int = 60) -> str:
    """At most ``most`` characters of ``text``, with ``?`` for those that cannot be printed."""
    shown = "".join(c if c.isprintable() else "?" for c in text[:most])
    return shown if len(text) <= most else f"{shown}…"
