"""A setting that libvirt does not know.

## What it does

Reports a setting that no libvirt release has in this kind of file, with the nearest one it has
(of a file with more than 100 unknown settings, for the first 100).
LK103 reports a setting that belongs in another of libvirt's files.

## Why is this bad

libvirt ignores it without a message. A misspelt `lock_manager` looks like protection, but protects
nothing.

## Example

```conf qemu.conf
lock_managr = "lockd"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

## Fix

Unsafe: takes the nearest known setting, which comes into force with that.
"""

from __future__ import annotations

from lockcfg.conf.elsewhere import file_elsewhere
from lockcfg.conf.settings import kinds_anywhere_with, settings_of
from lockcfg.nearest import nearest
from lockcfg.rules.rule import Fix, Replacement, Rule, RuleFinding, at_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule(
    "LK102",
    "unknown-key",
    "warning",
    fix="unsafe",
    validates=True,
    grammars=("libvirt", "sanlock"),
)


#: For how many settings of a file the nearest known one is looked for: a file with more of them was
#: not meant for libvirt.
_MOST_COMPARED: Final = 100


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    document = subject.document
    known = settings_of(document.kind)
    compared = 0
    for entry in document.entries:
        if entry.key in known or kinds_anywhere_with(entry.key) or file_elsewhere(entry.key):
            continue  # LK103 says more
        if document.kind.grammar == "sanlock" and document.place(entry.key_span).column > 1:
            continue  # the rest of a line that is too long for the daemon
        near = None
        if compared < _MOST_COMPARED:
            compared += 1
            near = nearest(entry.key, known)
            if near is None and not entry.key.islower():
                near = nearest(entry.key.lower(), known)
        fix = None
        if near is not None and document.get(near) is None:
            fix = Fix("unsafe", f"rename it to {near}", Replacement(entry.key_span, near))
        yield RuleFinding(
            at_key(
                RULE,
                document,
                entry,
                f"unknown setting '{entry.key[:100]}': {document.kind.program} ignores it",
                help=f"did you mean '{near}'?" if near else "",
            ),
            fix,
        )
