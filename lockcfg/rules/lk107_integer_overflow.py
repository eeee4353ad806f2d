"""An integer of more than 64 bits.

## What it does

Reports an integer that does not fit into what libvirt's parser keeps.

## Why is this bad

The parser does not notice: it reads another number than the one that is written there.

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

from lockcfg.conf.settings import INTEGER_MAX, INTEGER_MIN
from lockcfg.rules.rule import Found, Rule, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK107", "integer-overflow", "error", validates=True)


def check(subject: FileSubject, options: Options) -> Iterator[Found]:
    """See the manual above."""
    del options
    for entry in subject.document.entries:
        elements = entry.value if isinstance(entry.value, tuple) else (entry.value,)
        integers = [element for element in elements if isinstance(element, int)]
        if any(not INTEGER_MIN <= integer <= INTEGER_MAX for integer in integers):
            yield Found(
                at_value(
                    RULE,
                    subject.document,
                    entry,
                    f"'{entry.key}' is an integer of more than 64 bits:"
                    " libvirt reads another number without a word",
                )
            )
