"""Quotes that are a part of the value.

## What it does

Reports a string that begins and ends with quotes of its own, inside those of the file. If libvirt
refuses the value because of them, LK105 or LK106 reports it instead.

## Why is this bad

libvirt's strings have no escapes: it takes the inner quotes for a part of the value, and looks
for a user or an address that is called so. It comes from a script that quotes a value and has it
quoted again.

## Example

```conf qemu.conf
vnc_listen = '"0.0.0.0"'
```

## Use instead

```conf qemu.conf
vnc_listen = "0.0.0.0"
```

## Fix

Safe: takes the inner quotes away.
"""

from __future__ import annotations

from lockcfg.conf.meant import unquoted
from lockcfg.conf.settings import settings_of, spell
from lockcfg.rules.rule import Fix, Replacement, Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.conf.document import Value
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK113", "quotes-in-value", "warning", fix="safe", validates=True)


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    known = settings_of(subject.document.kind)
    for entry in subject.document.entries:
        setting = known.get(entry.key)
        if setting is None or setting.secret or setting.objection(entry.value, entry.literal):
            continue
        value = _plain(entry.value)
        if value == entry.value or setting.objection(value, spell(value)) is not None:
            continue
        yield RuleFinding(
            at_value(
                RULE,
                subject.document,
                entry,
                f"the inner quotes are a part of what '{entry.key}' is set to",
                help=f"write {entry.key} = {spell(value)}",
            ),
            Fix("safe", "take the inner quotes away", Replacement(entry.value_span, spell(value))),
        )


def _plain(value: Value) -> Value:
    """``value`` without quotes of its own."""
    if isinstance(value, str):
        inner = unquoted(value)
        return value if inner is None or "\n" in inner else inner
    if isinstance(value, tuple):
        return tuple(each if isinstance(each, int) else str(_plain(each)) for each in value)
    return value
