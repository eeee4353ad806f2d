"""A password in version control.

## What it does

In a file that version control has, reports a setting that holds a password: `vnc_password`,
`spice_password`, `rdp_password`. It reports a password in a comment, too, because it can
be read as well; it does not report libvirt's own samples. A variable to be filled in
(`${VNC_PASSWORD}`, `@VNC_PASSWORD@`) is not a password, and neither is one that is encrypted by
itself (`ENC[…]`). A file that is encrypted as a whole is passed over with a note.

## Why is this bad

All who can read the repository, today or at any time later, can look at the screens of the
guests and use their keyboards. You cannot take the password back: the history keeps it.

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

None: change the password; an edit of this file does not do that.
"""

from __future__ import annotations

import re

from lockcfg.conf.document import Span, decode
from lockcfg.conf.settings import settings_of
from lockcfg.rules.passwords import finding, is_password, passwords
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.conf.document import Document
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK401", "password-tracked", "warning")

#: The commented values in libvirt's samples.
_SAMPLES: Final = ("XYZ12345", "RDP12345")

_HELP: Final = (
    "change the password, take it out here, and let what installs the file put the new one in"
)


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    document = subject.document
    found = [
        (key, span, f"'{key}' is a password, and this file is in version control")
        for key, span in passwords(document)
    ]
    commented_out = (
        "'{}' is commented out, but what it was set to is still in version control for all to read"
    )
    found += [(key, span, commented_out.format(key)) for key, span in _commented_out(document)]
    # The rule asks whether version control has the file only if the file has a password.
    if found and subject.tracked:
        for key, span, message in found:
            yield RuleFinding(finding(RULE, document, key, span, message, _HELP))


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
        if value not in _SAMPLES and is_password(value) and not in_value:
            yield decode(match.group(1)), Span(match.start(1), match.end(1))
