"""What several rules ask about passwords, and how they report a password without showing it."""

from __future__ import annotations

import re

from lockcfg.conf.settings import settings_of
from lockcfg.findings import Finding, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.conf.document import Document, Span, Value
    from lockcfg.rules.rule import Rule

#: A value that another program fills in or decrypts before libvirt sees it.
_VARIABLE: Final = (
    r"(?s)\s*(ENC\[.*\]|\{\{.*\}\}|<%.*%>|\$\{.*\}|%\{.*\}|\$\(.*\)|\$[A-Za-z_]\w*|@\w+@)\s*"
)


def passwords(document: Document) -> Iterator[tuple[str, Span]]:
    """The settings of a document that have a password, and the places of their names."""
    known = settings_of(document.kind)
    for entry in document.entries:
        setting = known.get(entry.key)
        if setting is not None and setting.secret and is_password(entry.value):
            yield entry.key, entry.key_span


def finding(
    rule: Rule, document: Document, key: str, span: Span, message: str, help: str
) -> Finding:
    """A finding about the password to which ``key``, at ``span``, is set.

    The finding shows only the name of the setting: neither a report nor anything computed from the
    line may reveal the password.
    """
    place = document.place(span)
    before = place.text[: place.column - 1]
    if before.strip("# \t"):
        before = " " * len(before)
    place = Place(place.path, place.line, place.column, f'{before}{key} = "********"', place.length)
    return Finding(
        rule.name, rule.severity, message, path=document.path, place=place, key=key, help=help
    )


def is_password(value: Value) -> bool:
    """Whether a value is a password, and neither empty nor filled in by another program."""
    if isinstance(value, str):
        return value != "" and not re.fullmatch(_VARIABLE, value)
    return value != ()
