"""Checking one document against what libvirt knows: no I/O, findings in the order of the file.

The rules:

``unknown-key``       warning  libvirt ignores the setting without a word
``wrong-file``        warning  so it does with a setting of another file
``duplicate-key``     warning  the first one wins, this one is dead
``wrong-type``        error    libvirt refuses to start
``bad-value``         error    it refuses to start; a warning where it starts and does nothing good
``integer-overflow``  error    it reads another number than is written there
``not-utf8``          warning  the value holds bytes that are not UTF-8

A text that cannot be parsed has one finding, ``syntax``, an error: :func:`syntax_finding`.
"""

from __future__ import annotations

from lockcfg.conf.settings import (
    INTEGER_MAX,
    INTEGER_MIN,
    kinds_anywhere_with,
    nearest,
    settings_of,
)
from lockcfg.findings import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.conf.document import Document, Entry
    from lockcfg.errors import ConfSyntaxError


def check(document: Document) -> list[Finding]:
    """What is wrong with ``document``."""
    findings: list[Finding] = []
    first: dict[str, Entry] = {}
    for entry in document.entries:
        winner = first.setdefault(entry.key, entry)
        if winner is entry:
            findings.extend(_check_key(document, entry))
        else:
            line = document.place(winner.key_span).line
            findings.append(
                _finding(
                    document,
                    entry,
                    "duplicate-key",
                    f"'{entry.key}' is set before, in line {line}, and the first one wins:"
                    " this one is dead",
                    help="delete one of the two",
                    at_key=True,
                )
            )
        findings.extend(_check_value(document, entry))
    return findings


def syntax_finding(error: ConfSyntaxError) -> Finding:
    """The finding for a text that cannot be parsed."""
    return Finding(
        "syntax",
        "error",
        f"{error.reason}: libvirt cannot read this file and does not start",
        path=error.place.path,
        place=error.place,
        help=error.help,
    )


def _check_key(document: Document, entry: Entry) -> Iterator[Finding]:
    known = settings_of(document.kind)
    if entry.key in known:
        return
    others = kinds_anywhere_with(entry.key)
    same_driver = [k for k in others if set(k.drivers) & set(document.kind.drivers)]
    elsewhere = [kind.name for kind in same_driver or others]
    if elsewhere:
        yield _finding(
            document,
            entry,
            "wrong-file",
            f"'{entry.key}' is a setting of {' and '.join(elsewhere)}:"
            f" in {document.kind.name} it does nothing",
            help=f"move it to {elsewhere[0]}",
            at_key=True,
        )
        return
    near = nearest(entry.key, known)
    yield _finding(
        document,
        entry,
        "unknown-key",
        f"unknown setting '{entry.key[:100]}': libvirt ignores it",
        help=f"did you mean '{near}'?" if near else "",
        at_key=True,
    )


def _check_value(document: Document, entry: Entry) -> Iterator[Finding]:
    if "\udc80" <= max(entry.literal, default="") <= "\udcff":
        yield _finding(
            document,
            entry,
            "not-utf8",
            f"the value of '{entry.key}' is not UTF-8: libvirt uses its bytes as they are",
        )
    for number in entry.value if isinstance(entry.value, tuple) else (entry.value,):
        if isinstance(number, int) and not INTEGER_MIN <= number <= INTEGER_MAX:
            yield _finding(
                document,
                entry,
                "integer-overflow",
                f"'{entry.key}' is an integer of more than 64 bits:"
                " libvirt reads another number without a word",
            )
            return
    setting = settings_of(document.kind).get(entry.key)
    objection = setting.objection(entry.value, entry.literal) if setting else None
    if objection is not None:
        yield _finding(
            document,
            entry,
            objection.rule,
            objection.message + (": libvirt refuses to start" if objection.refused else ""),
            help=objection.help,
            harmless=not objection.refused,
        )


def _finding(
    document: Document,
    entry: Entry,
    rule: str,
    message: str,
    *,
    help: str = "",
    at_key: bool = False,
    harmless: bool = False,
) -> Finding:
    fatal = rule in {"wrong-type", "bad-value", "integer-overflow"} and not harmless
    return Finding(
        rule,
        "error" if fatal else "warning",
        message,
        path=document.path,
        place=document.place(entry.key_span if at_key else entry.value_span),
        key=entry.key,
        help=help,
    )
