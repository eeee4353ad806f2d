"""Configuration texts made from a seed: well-formed ones, damaged ones and very short ones.

What is made depends on nothing but the seed and the sample files found.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from typing import Final

#: What libvirt's syntax is made of, one piece each.
PIECES: Final = (
    b"a",
    b"=",
    b'"',
    b"'",
    b"[",
    b"]",
    b",",
    b"#",
    b";",
    b"1",
    b"-",
    b"\n",
    b"\r",
    b" ",
)

#: Longer pieces that random bytes would hardly ever make.
_LONG_PIECES: Final = (
    b'"""',
    b"a = 1",
    b'a="x"',
    b"\r\n",
    b"\t",
    b"b=",
    b"+",
    b"_",
    b"0",
    b"\xc3\xa9",
)

_KEYS: Final = (
    b"auto_disk_leases",
    b"require_lease_for_disks",
    b"file_lockspace_dir",
    b"lvm_lockspace_dir",
    b"scsi_lockspace_dir",
    b"lock_manager",
    b"security_driver",
    b"max_core",
    b"cgroup_controllers",
    b"log_level",
    b"log_filters",
    b"max_clients",
    b"autoballoon",
    b"a",
    b"A9_",
    b"no_such_setting",
    b"x" * 70,
)

#: None of them holds a quote or ends a line.
_WORDS: Final = (
    b"lockd",
    b"/var/lib/libvirt/lockd/files",
    b"none",
    b"1:qemu 3:security",
    b"0",
    b"-5",
    b"+",
    b"-",
    b"+7x",
    b" ",
    b"\t",
    b"#",
    b" # no comment",
    b";",
    b"a = 1",
    b"[",
    b"]",
    b",",
    b"\\",
    b"\\n",
    b"=",
    b"\x0b\x0c",
    b"\x7f\x01",
    b"\xc3\xa9t\xc3\xa9",
    b"\xe2\x82\xac",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"x" * 200,
)

_COMMENTS: Final = (
    b"",
    b"#",
    b" a comment",
    b"\tindented",
    b'lock_manager = "lockd"',
    b' file_lockspace_dir = "/x"  ',
    b'cgroup_controllers = [ "cpu",',
    b' it\'s "quoted" ; and = [ odd ]',
    b' """',
    b" caf\xc3\xa9",
    b" \xe9\xff",
)

_SAMPLE: Final = b"""\
#
# Which lock manager the driver uses. Nothing is locked unless one is set.
#
#lock_manager = "lockd"

# Locks are taken on each disk by itself, unless this is 0.
#
#auto_disk_leases = 0

# A list in a comment, over several lines.
#
#cgroup_device_acl = [
#    "/dev/null", "/dev/full", "/dev/zero",
#    "/dev/random", "/dev/urandom",
#    "/dev/ptmx", "/dev/kvm"
#]

#max_core = "unlimited"
"""

_COMMENTED_OUT: Final = re.compile(rb"^#(?=[a-z_]+ ?= ?[^\[\n]+$)", re.MULTILINE)


def samples() -> list[bytes]:
    """Whole files to start from: those of an installed libvirt, and one of ours."""
    directory = Path(os.environ.get("LIBVIRT_SAMPLES", "/etc/libvirt"))
    found = [path.read_bytes() for path in sorted(directory.glob("*.conf")) if path.is_file()]
    return [_SAMPLE, *found]


def all_texts(length: int) -> Iterator[bytes]:
    """Every text of up to ``length`` pieces."""
    for count in range(length + 1):
        for pieces in itertools.product(PIECES, repeat=count):
            yield b"".join(pieces)


class Generator:
    """Makes texts, one after another, from ``random``."""

    def __init__(self, random: random.Random) -> None:
        self._random: Final = random
        self._samples: Final = samples()

    def text(self) -> bytes:
        """A text of any kind; the kinds are balanced so that libvirt takes about half."""
        kind = self._random.random()
        if kind < 0.4:
            text = self.well_formed()
        elif kind < 0.85:
            text = self.damaged()
        else:
            text = self.short()
        return text.replace(b"\0", b"")

    def well_formed(self) -> bytes:
        """A text as a user may have written it, sometimes a whole sample file."""
        if self._chance(0.005):
            return self._sample()
        eols = self._random.choice(
            ((b"\n",), (b"\n",), (b"\r\n",), (b"\r",), (b"\n", b"\r\n", b"\r"))
        )
        lines = [self._line(eols) for _ in range(self._random.choice((0, 1, 1, 2, 3, 5, 8)))]
        text = b"".join(lines)
        if self._chance(0.3):
            text = text.rstrip(b"\r\n")
        return text

    def damaged(self) -> bytes:
        """A text with up to four pieces of damage, most often one."""
        text = self.well_formed()
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 4))):
            text = self._damage(text)
        return text

    def short(self) -> bytes:
        """A few pieces of syntax, often where a value belongs."""
        pieces = PIECES + _LONG_PIECES
        count = self._random.randint(0, 9)
        text = b"".join(self._random.choice(pieces) for _ in range(count))
        return self._random.choice((b"", b"a=", b"a=[", b'a="""', b"a = 1")) + text

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _blanks(self, usual: bytes = b"") -> bytes:
        if self._chance(0.7):
            return usual
        return self._random.choice((b"", b" ", b"\t", b"  ", b" \t "))

    def _sample(self) -> bytes:
        text = self._random.choice(self._samples)
        share = self._random.choice((0.0, 0.1, 1.0))
        text = _COMMENTED_OUT.sub(lambda _: b"" if self._chance(share) else b"#", text)
        return text.replace(b"\n", b"\r\n") if self._chance(0.1) else text

    def _line(self, eols: tuple[bytes, ...]) -> bytes:
        eol = self._random.choice(eols)
        kind = self._random.random()
        if kind < 0.1:
            return self._blanks() + eol
        if kind < 0.25:
            return self._blanks() + b"#" + self._random.choice(_COMMENTS) + eol
        return self._blanks() + self._statement(eol)

    def _statement(self, eol: bytes) -> bytes:
        key = self._random.choice(_KEYS)
        text = key + self._blanks(b" ") + b"=" + self._blanks(b" ") + self._value(eol)
        if self._chance(0.2):
            return text + self._blanks(b" ") + b"#" + self._random.choice(_COMMENTS) + eol
        text += self._blanks()
        if self._chance(0.15):
            return text + b";" + self._random.choice((b"", b" ", eol, eol * 2, b" " + eol))
        return text + eol

    def _value(self, eol: bytes) -> bytes:
        kind = self._random.random()
        if kind < 0.25:
            return self._list(eol)
        return self._scalar(eol)

    def _scalar(self, eol: bytes) -> bytes:
        kind = self._random.random()
        if kind < 0.3:
            return self._integer()
        if kind < 0.6:
            return b'"' + self._content((b"'",)) + b'"'
        if kind < 0.8:
            return b"'" + self._content((b'"', b'"""')) + b"'"
        content = self._content((b"'", b'"', b'""', eol, b"\n", b"\r", b'"]\n#\n', b'"\n\n'))
        while b'"""' in content:
            content = content.replace(b'"""', b'""')
        return b'"""' + content.rstrip(b'"') + b'"""'

    def _integer(self) -> bytes:
        sign = self._random.choice((b"", b"", b"-", b"+"))
        bits = self._random.choice((1, 1, 4, 16, 31, 63, 64, 65, 100))
        zeros = b"00" if self._chance(0.1) else b""
        return sign + zeros + b"%d" % self._random.getrandbits(bits)

    def _content(self, more: tuple[bytes, ...]) -> bytes:
        count = self._random.choice((0, 1, 1, 1, 2, 3))
        return b"".join(self._random.choice(_WORDS + more) for _ in range(count))

    def _list(self, eol: bytes) -> bytes:
        count = self._random.choice((0, 1, 1, 2, 3, 6))
        elements: list[bytes] = []
        for _ in range(count):
            nested = self._chance(0.005)
            elements.append(self._list(eol) if nested else self._scalar(eol))
        text = b"[" + self._within_list(eol)
        for at, element in enumerate(elements):
            text += element + self._within_list(eol)
            if at < len(elements) - 1 or self._chance(0.2):
                text += b"," + self._within_list(eol)
        return text + b"]"

    def _within_list(self, eol: bytes) -> bytes:
        if self._chance(0.6):
            return self._random.choice((b"", b" "))
        return self._random.choice((eol, eol + b"    ", eol * 2, b"\t", b"\r"))

    def _damage(self, text: bytes) -> bytes:
        random = self._random
        if not text:
            return random.choice(PIECES)
        at = random.randrange(len(text))
        end = min(len(text), at + random.choice((1, 1, 1, 2, 5, 20)))
        kind = random.randrange(8)
        if kind == 0:
            return text[:at] + bytes((text[at] ^ (1 << random.randrange(8)),)) + text[at + 1 :]
        if kind == 1:
            return text[:at] + text[end:]
        if kind in (2, 3):
            return text[:at] + random.choice(PIECES + _LONG_PIECES) + text[at:]
        if kind == 4:
            return text[:at]
        if kind == 5:
            lines = re.findall(rb"[^\r\n]*[\r\n]*", text)
            one, other = random.randrange(len(lines)), random.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            return b"".join(lines)
        if kind == 6:
            to = random.randrange(len(text) + 1)
            return text[:to] + text[at:end] + text[to:]
        other_text = self.well_formed()
        return text[:at] + other_text[random.randrange(len(other_text) + 1) :]
