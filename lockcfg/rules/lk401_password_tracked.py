"""A password in version control.

## What it does

In a file that version control has, reports a setting that holds a password: `vnc_password`,
`spice_password`, `rdp_password`. One that is commented out is reported as well, as it can be
read as well; libvirt's own samples, which are nobody's password, are not. A variable to be
filled in (`${VNC_PASSWORD}`, `@VNC_PASSWORD@`) is no password.

## Why is this bad

Whoever can read the repository, today or at any time later, can look at the screens of the
guests and use their keyboards. It cannot be taken back: the history keeps it.

## Example

```yaml file
tracked: true
```

```conf qemu.conf
vnc_password = "hunter2"
```

## Use instead

```yaml file
tracked: true
```

```conf qemu.conf
vnc_tls = 1
vnc_tls_x509_verify = 1
```

## Fix

None: the password has to be changed, which no edit of this file does.
"""

from __future__ import annotations

import re

from lockcfg.conf.document import Span, decode
from lockcfg.conf.settings import settings_of
from lockcfg.findings import Finding, Place
from lockcfg.rules.rule import Found, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.conf.document import Document, Value
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK401", "password-tracked", "warning")

#: What libvirt's samples show, commented out.
_SAMPLES: Final = ("XYZ12345", "RDP12345")

#: What something else fills in before libvirt sees it.
_VARIABLE: Final = re.compile(
    r"\s*(\{\{.*\}\}|<%.*%>|\$\{.*\}|%\{.*\}|\$\(.*\)|\$[A-Za-z_]\w*|@\w+@)\s*", re.DOTALL
)

_HELP: Final = (
    "change the password, take it out here, and let what installs the file put the new one in"
)


def check(subject: FileSubject, options: Options) -> Iterator[Found]:
    """See the manual above."""
    del options
    if not subject.tracked:
        return
    document = subject.document
    for key, span in passwords(document):
        message = f"'{key}' is a password, and this file is in version control"
        yield Found(finding(RULE, document, key, span, message, _HELP))
    for key, span in _commented_out(document):
        message = (
            f"'{key}' is commented out, but what it was set to is still in version control for"
            " all to read"
        )
        yield Found(finding(RULE, document, key, span, message, _HELP))


def passwords(document: Document) -> Iterator[tuple[str, Span]]:
    """The settings of a document that hold a password, and where their names stand."""
    known = settings_of(document.kind)
    for entry in document.entries:
        setting = known.get(entry.key)
        if setting is not None and setting.secret and _is_password(entry.value):
            yield entry.key, entry.key_span


def finding(
    rule: Rule, document: Document, key: str, span: Span, message: str, help: str
) -> Finding:
    """A finding about the password that ``key``, at ``span``, is set to.

    The line is shown with nothing of it but the name of the setting: neither a report nor what
    is computed from the line may give the password away.
    """
    place = document.place(span)
    before = place.text[: place.column - 1]
    if before.strip("# \t"):
        before = " " * len(before)
    place = Place(place.path, place.line, place.column, f'{before}{key} = "********"', place.length)
    return Finding(
        rule.name, rule.severity, message, path=document.path, place=place, key=key, help=help
    )


def _is_password(value: Value) -> bool:
    if isinstance(value, str):
        return value != "" and not _VARIABLE.fullmatch(value)
    return value != ()


def _commented_out(document: Document) -> Iterator[tuple[str, Span]]:
    text = document.text or b""
    secret = [key for key, setting in settings_of(document.kind).items() if setting.secret]
    if not secret or b"_password" not in text:
        return
    pattern = rb"#[# \t]*(%b)[ \t]*=[ \t]*(?:\"([^\"\r\n]+)\"|'([^'\r\n]+)')"
    for match in re.finditer(pattern % "|".join(secret).encode(), text):
        value = decode(match.group(2) or match.group(3))
        in_value = any(
            entry.value_span.start <= match.start() < entry.value_span.end
            for entry in document.entries
        )
        if value not in _SAMPLES and _is_password(value) and not in_value:
            yield decode(match.group(1)), Span(match.start(1), match.end(1))
