"""Errors as people paste them: wrapped, quoted, escaped, translated."""

from __future__ import annotations

import json
import textwrap
from functools import partial
from html import escape
from typing import TYPE_CHECKING

import pytest

from lockcfg.who.clues import Clue, Reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

NAME: Final = "6f1ed002ab5595859014ebf0951522d96f1ed002ab5595859014ebf0951522d9"
DISK: Final = "/var/lib/libvirt/images/a.qcow2"
REFUSAL: Final = (
    f"error: resource busy: Lockspace resource '{NAME}' is locked by guest 'web-1'"
    " (uuid 0f3c2b1a-1111-2222-3333-444455556666, pid 4711) on host 'kvm07'"
    f" since 2026-11-30T20:00:00Z, for the disk {DISK}"
)
QEMU: Final = f"""\
error: internal error: process exited while connecting to monitor: qemu-system-x86_64: \
-drive file={DISK},if=none: Failed to get "write" lock
Is another process using the image [{DISK}]?"""


def cut(text: str, width: int, indent: str = "") -> str:
    """As a terminal of that width does, whose lines go on with an indentation."""
    parts = [text[at : at + width] for at in range(0, len(text), width)]
    return f"\n{indent}".join(parts)


MANGLED: Final[dict[str, Callable[[str], str]]] = {
    "as it is": lambda text: text,
    "after another": lambda text: f"error: Failed to start domain 'web-1'\n{text}",
    "journalctl": lambda text: f"Nov 30 20:01:02 kvm01 libvirtd[1234]: {text}",
    **{f"{width} columns": partial(cut, width=width) for width in range(60, 133, 6)},
    "blanks lost": lambda text: "\n".join(line.rstrip() for line in cut(text, 80).split("\n")),
    "indented": lambda text: cut(text, 70, "    "),
    "by words": lambda text: textwrap.fill(text, 72, break_long_words=False),
    "in a mail": lambda text: "\n".join(f"> {line}" for line in textwrap.wrap(text, 72)),
    "from Windows": lambda text: text.replace("\n", "\r\n") + "\r\n",
    "coloured": lambda text: text.replace("error:", "\x1b[31merror:\x1b[0m").replace(
        NAME, f"\x1b[1m{NAME}\x1b[0m"
    ),
    "typographic": lambda text: text.replace("'", "\u2019").replace('"', "\u201d"),
    "German": lambda text: text.replace("'", "\u00bb", 1).replace("'", "\u00ab"),
    "hard blanks": lambda text: text.replace(" ", "\u00a0"),
    "JSON": lambda text: f'{{"MESSAGE":{json.dumps(text)}}}' if '"' in text else text,
    "a page": escape,
    "syslog": lambda text: text.replace("\n", "#012"),
}


@pytest.mark.parametrize("how", MANGLED)
def test_a_refusal(how: str) -> None:
    """What it means, who holds the lock, and the names are found."""
    found = Reading(MANGLED[how](REFUSAL))
    assert [each.means for each in found.texts] == [
        "another guest or host holds the lock of this disk"
    ]
    (holder,) = found.said
    assert (holder.guest, holder.pid, holder.host, holder.disk) == ("web-1", "4711", "kvm07", DISK)
    assert {Clue("name", NAME), Clue("path", DISK), Clue("guest", "web-1")} <= {*found.clues}


@pytest.mark.parametrize("how", MANGLED)
def test_what_qemu_says(how: str) -> None:
    """Its layer and the image are found."""
    found = Reading(MANGLED[how](QEMU))
    assert {each.layer for each in found.texts} == {"qemu"}
    assert Clue("path", DISK) in found.clues


def test_several_at_once() -> None:
    """All of them are told, with the disks of all."""
    other = QEMU.replace(DISK, "/srv/b.qcow2")
    found = Reading(f"{REFUSAL}\n{other}")
    assert {each.layer for each in found.texts} == {"lock-daemon", "qemu"}
    assert {Clue("path", DISK), Clue("path", "/srv/b.qcow2")} <= {*found.clues}


def test_a_page_in_french() -> None:
    """Which has blanks within its quotes."""
    found = Reading(f"Lockspace resource \u00ab {NAME} \u00bb is locked")
    assert (len(found.texts), found.clues) == (1, [Clue("name", NAME)])


def test_a_text_in_a_language_that_nobody_knows() -> None:
    """The name is found all the same."""
    found = Reading(f"Fehler: Lockspace-Ressource \u00bb{NAME}\u00ab ist gesperrt")
    assert (found.texts, found.clues) == ([], [Clue("name", NAME)])
