"""A file that libvirt cannot parse.

## What it does

Reports the first place where libvirt's parser stops, with its own reason.

## Why is this bad

A daemon that cannot parse one of its files does not start. You notice it at the next restart,
which may be a restart of the host.

## Example

```conf qemu.conf
lock_manager = lockd
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

## Fix

None: only you know what was meant.
"""

from __future__ import annotations

from lockcfg.conf.tree import NUL_IN_STRING
from lockcfg.findings import Finding
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.errors import ConfSyntaxError
    from lockcfg.rules.rule import FileSubject, Options, RuleFinding

RULE = Rule("LK101", "syntax", "error", validates=True)

_OUTCOME: Final = ": libvirt cannot read this file and does not start"


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """Find nothing: a document exists only if its text could be parsed. See :func:`finding`."""
    del subject, options
    yield from ()


def finding(error: ConfSyntaxError) -> Finding:
    """The finding for a text that cannot be parsed."""
    return Finding(
        RULE.name,
        RULE.severity,
        error.reason + ("" if error.reason == NUL_IN_STRING else _OUTCOME),
        path=error.place.path,
        place=error.place,
        help=error.help,
    )
