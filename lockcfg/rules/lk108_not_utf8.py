r"""A value that is not UTF-8.

## What it does

Reports a value with bytes that are not UTF-8 text. In comments they do no harm.

## Why is this bad

libvirt uses the bytes as they are: a path or name that looks right in one editor may not be the
one on the disk.

## Example

```bytes qemu.conf
user = "caf\xe9"
```

## Use instead

```conf qemu.conf
user = "café"
```

## Fix

None: only you know which encoding was meant.
"""

from __future__ import annotations

from lockcfg.rules.rule import Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK108", "not-utf8", "warning", validates=True)


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    for entry in subject.document.entries:
        # What does not decode stands as one of these characters.
        if not entry.literal.isascii() and any("\udc80" <= c <= "\udcff" for c in entry.literal):
            yield RuleFinding(
                at_value(
                    RULE,
                    subject.document,
                    entry,
                    f"the value of '{entry.key}' is not UTF-8: libvirt uses its bytes as they are",
                    help="save the file as UTF-8, unless it names a file with just these bytes",
                )
            )
