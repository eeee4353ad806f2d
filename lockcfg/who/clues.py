"""Finds names to look for in the clue that a person has. Pure.

A clue is one word (a SHA-256, a path, an LVM UUID, a SCSI id, a guest) or a whole error text. In a
text, patterns recognise the same names, and lockd's own wording tells the holder.
"""

from __future__ import annotations

import posixpath
import re

from lockcfg.frozen import Frozen
from lockcfg.who.pasted import readings
from lockcfg.who.texts import texts_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, Literal

    from lockcfg.who.texts import KnownText

    #: name: the name of a resource, in any lockspace. path: the path of a disk or of a lock file.
    #: guest: a name or a UUID.
    ClueKind = Literal["name", "path", "guest"]

#: How many characters of a text are read, and how many names are taken from it.
MOST: Final = 256 * 1024
_MOST_CLUES: Final = 20

_SHA256: Final = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])")
_LVM: Final = re.compile(
    r"(?<![0-9A-Za-z-])[0-9A-Za-z]{6}(?:-[0-9A-Za-z]{4}){5}-[0-9A-Za-z]{6}(?![0-9A-Za-z-])"
)
_UUID: Final = re.compile(r"(?<![0-9a-f-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f-])")
_SCSI: Final = re.compile(r"(?<![0-9A-Za-z])[23][0-9a-f]{16}(?:[0-9a-f]{16})?(?![0-9A-Za-z])")
_RESOURCE: Final = re.compile(r"[Rr]esource '([^']+)'")
#: A path ends at a blank, or before the end of a sentence; a quoted path ends at the quote.
_QUOTED: Final = re.compile(r"['\"](/[^'\"\n]+)['\"]")
_PATH: Final = re.compile(r"(?:^|[\s=,(])(/[^\s'\",;)]+)")
#: QEMU writes the path of an image in brackets.
_BRACKETED: Final = re.compile(r"\[(/[^\]\n]+)\]")
_FILE: Final = re.compile(r"(?:for the disk|resource|file=|filename['\"]?:) ?['\"]?(/[^'\"\n,]+)")

_GUEST: Final = re.compile(r"guest '([^'\n]+)'")
_HOLDER: Final = re.compile(
    r" by guest '(?P<guest>[^'\n]+)' \((?:uuid (?P<uuid>[0-9a-f-]{36}))?,? ?(?:pid (?P<pid>\d+))?\)"
    r" on (?:host '(?P<host>[^'\n]+)'|(?P<here>this host))(?: since (?P<since>[0-9T:Z-]+))?"
    r"(?:, for the disk (?P<disk>[^\n]+?))?(?:, under its other name '(?P<other>[^'\n]+)')?"
    r"(?:: one guest has this disk twice)?\s*$",
    re.M,
)

#: Paths in a text that are not paths of disks.
_NO_DISKS: Final = ("/usr/", "/proc/", "/var/log/", "/etc/", "/var/run/libvirt/", "/run/libvirt/")


class Clue(Frozen):
    """A name to look for."""

    __slots__ = ("kind", "value")

    def __init__(self, kind: ClueKind, value: str) -> None:
        self.kind: Final[ClueKind] = kind
        self.value: Final = value


class Said(Frozen):
    """What a text says about the holder: guest, UUID and pid (empty if the text has none), the host
    (empty: the host that the text is from), the time since when, and the disk."""

    __slots__ = ("disk", "guest", "host", "pid", "since", "uuid")

    def __init__(self, guest: str, uuid: str, pid: str, host: str, since: str, disk: str) -> None:
        self.guest: Final = guest
        self.uuid: Final = uuid
        self.pid: Final = pid
        self.host: Final = host
        self.since: Final = since
        self.disk: Final = disk


class Reading:
    """The content of a text: the ``clues``, the known ``texts``, and the holders that it names
    (``said``)."""

    def __init__(self, text: str) -> None:
        self.text: Final = text[:MOST].strip()
        is_one = not re.search(r"\s", self.text)
        self.texts: list[KnownText] = []
        self.said: list[Said] = []
        self.clues: list[Clue] = []
        if is_one:
            self.clues = [*_of_word(self.text)]
        else:
            self._read(readings(self.text))

    def _read(self, texts: list[str]) -> None:
        """Take from each of what a text may have been what those before it do not tell."""
        best = texts[0]
        for text in texts:
            if not self.texts:
                self.texts = texts_in(text)
                best = text if self.texts else best
            said = [*_holders(text)]
            if _told(said) > _told(self.said):
                self.said, best = said, text
        found = dict.fromkeys(_of_text(best))
        if not any(clue.kind == "name" for clue in found):
            for text in texts:
                found.update(dict.fromkeys(clue for clue in _of_text(text) if clue.kind == "name"))
        ends = (*(f"{clue.value}\n" for clue in found if clue.kind == "path"),)
        begun = tuple(each[:-1] for each in ends if each in best)
        if begun:
            # A path may go on in the next line.
            for text in texts:
                found.update(
                    dict.fromkeys(clue for clue in _of_text(text) if clue.value.startswith(begun))
                )
        self.clues = [*found][:_MOST_CLUES]


def _told(said: list[Said]) -> tuple[int, int]:
    """How much is said: of how many holders, and how many facts."""
    return len(said), sum(bool(getattr(each, name)) for each in said for name in Said.__slots__)


def _of_word(word: str) -> Iterable[Clue]:
    if word.startswith("/"):
        return [Clue("path", posixpath.normpath(word) if "//" in word else word)]
    # A guest or a <lease> may have a name of any form, so every word may also be one of these.
    return [Clue("name", word), Clue("guest", word)]


def _of_text(text: str) -> Iterable[Clue]:
    for said in _holders(text):
        if said.disk:
            yield Clue("path", said.disk)
    for match in _RESOURCE.finditer(text):
        yield Clue("path" if match[1].startswith("/") else "name", match[1])
    for pattern in (_SHA256, _LVM, _SCSI):
        for match in pattern.finditer(text):
            yield Clue("name", match[0])
    for pattern in (_FILE, _QUOTED, _BRACKETED, _PATH):
        for match in pattern.finditer(text):
            path = match[1].rstrip(".:")
            if not path.startswith(_NO_DISKS) and len(path) > 1:
                yield Clue("path", path)
    for match in _GUEST.finditer(text):
        yield Clue("guest", match[1])
    for match in _UUID.finditer(text):
        yield Clue("guest", match[0])


def _holders(text: str) -> Iterable[Said]:
    for match in _HOLDER.finditer(text):
        found = match.groupdict(default="")
        yield Said(
            found["guest"],
            found["uuid"],
            found["pid"],
            found["host"],
            found["since"],
            found["disk"] or found["other"],
        )
