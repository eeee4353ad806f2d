"""A limit of no clients at all.

## What it does

Reports `max_clients` and `admin_max_clients` of 0.

## Why is this bad

It does not mean "no limit". virtlockd starts, answers the first connection that comes, which may
be libvirtd's own, and from then on no other, not even after that one has ended: guests hang at
their start. With `admin_max_clients` of 0, virt-admin gets one answer and never another.

## Example

```conf virtlockd.conf
max_clients = 0
```

## Use instead

```conf virtlockd.conf
max_clients = 4096
```

## Fix

Unsafe: takes the setting out, for libvirt's default: 1024, and 5000 for `admin_max_clients`.
"""

from __future__ import annotations

from lockcfg.rules.rule import Fix, Rule, RuleFinding, at_value, whole_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK302", "max-clients-zero", "error", fix="unsafe", validates=True)

#: The settings, and what virtlockd answers once and never again.
_ANSWERED: Final = {"max_clients": "connection", "admin_max_clients": "virt-admin command"}


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    document = subject.document
    if document.kind.name != "virtlockd.conf":
        return
    for key, answered in _ANSWERED.items():
        entry = document.get(key)
        # A list or a string is not 0, and libvirt does not take -0.
        if entry is None or entry.value != 0 or entry.literal.startswith("-"):
            continue
        alone = sum(1 for _ in document.all(key)) == 1
        yield RuleFinding(
            at_value(
                RULE,
                document,
                entry,
                f"'{key}' is 0, which is not 'no limit': virtlockd answers one {answered} and then"
                " no other until it is restarted",
                help="take it out for libvirt's default, or write how many there may be",
            ),
            Fix("unsafe", "take it out, for the default", whole_line(document, entry))
            if alone
            else None,
        )
