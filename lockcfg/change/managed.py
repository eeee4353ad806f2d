"""Finds the comments that configuration management leaves in the files that it writes."""

from __future__ import annotations

import re

from lockcfg.conf.document import Span, decode
from lockcfg.conf.syntax import between
from lockcfg.findings import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.document import Document

#: The tools, as they call themselves.
_TOOL: Final = re.compile(
    r"(?<![A-Za-z])(vdsm|ovirt|puppet|ansible|chef|salt(?:stack)?|cf-?engine|rudder|bcfg2|foreman"
    r"|juju|maas|terraform|nixos|cloud-init|tripleo|kolla|crowbar|uyuni|cockpit|opennebula"
    r"|cloudstack|proxmox|quattor|cdist|pyinfra)(?![A-Za-z])",
    re.IGNORECASE,
)

#: How they say that they manage a file, or a part of it.
_OWNS: Final = re.compile(
    r"manage[ds]|generated|maintain|control|deployed|created|written|configured|rendered"
    r"|provisioned|installed|section|block|edit|overwrit",
    re.IGNORECASE,
)

#: Comments that say so without the name of a tool.
_OWNED: Final = re.compile(
    r"(?:do not|don't) (?:edit|modify|change|touch)\b|\bbe (?:overwritten|overridden|reverted)\b"
    r"|\bauto-?generated\b|\bautomatically (?:generated|managed|deployed|written|rendered)\b"
    r"|\bunder [\w ]*(?:control|management)\b"
    r"|\b(?:managed|generated|maintained|controlled|deployed|rendered)"
    r" (?:automatically|by|with|via|from|using)\b",
    re.IGNORECASE,
)


#: What makes the rest of a sentence no statement.
_CONDITION: Final = re.compile(r"\b(?:if|unless|whether)\b[^.;:!]*\Z", re.IGNORECASE)

#: Every such comment has one of these words: most files have none, and need no closer look.
_HINTS: Final = (
    *b"manage generated maintain control deployed rendered don't overwrit overrid reverted".split(),
    *b"vdsm ovirt puppet ansible chef salt engine rudder bcfg2 juju maas terraform nixos".split(),
    *b"cloud tripleo kolla crowbar uyuni cockpit proxmox quattor cdist pyinfra foreman".split(),
    *(b"opennebula", b"do not"),
)


def managed(document: Document) -> Finding | None:
    """The warning that a tool manages a file and may undo a change of it.

    It quotes the first comment that says so; None if there is none.
    """
    text = document.text or b""
    lowered = text.lower()
    if not any(word in lowered for word in _HINTS):
        return None
    for start, end in (*between(text), *_behind(document)):
        for match in re.finditer(rb"#[^\r\n]*", text[start:end]):
            comment = decode(match.group()[:1000])
            tool = _TOOL.search(comment)
            found = (_OWNS if tool else _OWNED).search(comment)
            if found is None or _CONDITION.search(comment[: found.start()]):
                continue
            who = f"{tool[1]} manages it" if tool else "a tool manages it"
            at = start + match.start()
            return Finding(
                "managed-file",
                "warning",
                f"a comment says that {who}: the change may be undone",
                path=document.path,
                place=document.place(Span(at, at + len(match.group()))),
                help="make the change where the file comes from as well",
            )
    return None


def _behind(document: Document) -> list[tuple[int, int]]:
    """Where the comments behind settings are: from the end of a value to that of its line."""
    text = document.text or b""
    return [
        (entry.value_span.end, text.find(b"\n", entry.value_span.end) % (len(text) + 1))
        for entry in document.entries
        if entry.comment is not None
    ]
