"""An integer that libvirt's parser does not take as it is written.

## What it does

Reports an integer that does not fit into what libvirt's parser keeps: more than 64 bits for libvirt
9.0, beyond plus or minus 9223372036854775807 for libvirt 11.3 and newer. The option
`libvirt-version` says which one reads the file; by default it is the one that is installed, and
the newest where none is.

## Why is this bad

libvirt 9.0 does not notice, and reads another number than the one that is written there. libvirt
11.3 refuses the file, and the daemon does not start.

## Example

```conf qemu.conf
max_files = 99999999999999999999
```

## Use instead

```conf qemu.conf
max_files = 65536
```

## Fix

None.
"""

from __future__ import annotations

from lockcfg.conf.settings import (
    INTEGER_MAX,
    INTEGER_MIN,
    TAKEN_MAX,
    TAKEN_MIN,
    integer_bounds,
    settings_of,
)
from lockcfg.rules.rule import Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK107", "integer-overflow", "error", validates=True)


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    low, high = integer_bounds(options.release)
    known = settings_of(subject.document.kind)
    dead_ones_count = high == TAKEN_MAX  # a parser that refuses one integer refuses the file
    for entry in subject.document.entries:
        if not dead_ones_count and subject.document.get(entry.key) is not entry:
            continue  # the first one wins: LK104 says that this one is dead
        elements = entry.value if isinstance(entry.value, tuple) else (entry.value,)
        for integer in elements:
            if isinstance(integer, int) and not low <= integer <= high:
                message = f"'{entry.key}' {_too_much(integer)}"
                setting = known.get(entry.key)
                advice = setting.example if setting else ""
                if not advice:
                    advice = f"write no more than 18 digits, for example {entry.key[:100]} = 1"
                yield RuleFinding(at_value(RULE, subject.document, entry, message, help=advice))
                break


def _too_much(integer: int) -> str:
    if not INTEGER_MIN <= integer <= INTEGER_MAX:
        return (
            "is an integer of more than 64 bits: libvirt 9.0 reads another number without a"
            " warning, and 11.3 refuses to start"
        )
    bound = f"below {TAKEN_MIN}" if integer < 0 else f"above {TAKEN_MAX}"
    return f"is {bound}: libvirt 9.0 takes it, and 11.3 refuses to start"
