"""A lockspace directory that is not in its plain form.

## What it does

Reports a lockspace directory with a doubled slash, a `.` or `..`, or a blank at the end; with
nothing but a slash at the end it is an info. Only directories that are in use are looked at (see
LK203 and LK204), and LK106 reports a path that is not absolute.

## Why is this bad

The lock daemon knows a lockspace by its directory as it is written. `/srv/locks` and `/srv/locks/`
are two lockspaces to it, and it grants the same lock in both. If you tidy up the path later,
guests that started before hold their locks in the one, and guests that start afterwards in the
other.

## Example

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv//locks/files"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv/locks/files"
```

## Fix

Unsafe: writes the plain form. To a running lock daemon that is another lockspace: restart libvirt
with it while no guest is running. Behind a symbolic link, `..` leads elsewhere.
"""

from __future__ import annotations

import os
import re

from lockcfg.conf.settings import spell
from lockcfg.rules.lockspaces import lockspaces_in_use
from lockcfg.rules.rule import Fix, Replacement, Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.conf.document import Entry
    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule(
    "LK208", "lockspace-path", "warning", scope="host", fix="unsafe", needs=("driver", "lockd")
)

_SLASH_AT_END: Final = "a slash at the end"


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    for lockspace in lockspaces_in_use(subject.configuration):
        oddities = _oddities(lockspace.directory)
        if not oddities:
            continue
        yield RuleFinding(
            lockspace.finding(
                RULE,
                f"{lockspace.key} has {' and '.join(oddities)}: to the lock daemon the same"
                " directory written otherwise is another lockspace",
                help="write the plain path, and restart with it while no guest is running",
                severity="info" if oddities == [_SLASH_AT_END] else None,
            ),
            _fix(lockspace.entry, lockspace.directory),
        )


def _oddities(directory: str) -> list[str]:
    """The oddities of an absolute path, in words."""
    found = []
    if "//" in directory:
        found.append("a doubled slash")
    if re.search(r"/\.\.?(/|\Z)", directory):
        found.append("a '.' or '..'")
    if directory != directory.rstrip():
        found.append("a blank at the end")
    if re.search(r"[^/]/\Z", directory):
        found.append(_SLASH_AT_END)
    return found


def _fix(entry: Entry, directory: str) -> Fix | None:
    plain = "/" + os.path.normpath(directory.rstrip()).lstrip("/")
    if _oddities(plain):
        return None
    try:
        literal = spell(plain)
    except ValueError:
        return None  # it has both kinds of quotes
    return Fix("unsafe", "write the plain path", Replacement(entry.value_span, literal))
