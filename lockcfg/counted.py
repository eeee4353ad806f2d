"""A number with its noun, for people."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """``1 disk``, ``2 disks``: the number, and the noun with its plural."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
