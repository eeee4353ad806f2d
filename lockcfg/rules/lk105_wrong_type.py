"""A value of a type that the setting does not have.

## What it does

Reports a string where libvirt reads an integer, an integer where it reads a string, and the
like. libvirt's booleans are the integers 0 and 1, without quotes and without a sign.

## Why is this bad

The daemon refuses to start, at the next restart.

## Example

```conf qemu-lockd.conf
auto_disk_leases = "1"
```

## Use instead

```conf qemu-lockd.conf
auto_disk_leases = 1
```

## Fix

Safe: takes the quotes off an integer, puts them on a string, or makes a string a list, where that
makes the value one that the setting takes.
"""

from __future__ import annotations

import re

from lockcfg.conf.meant import parts_of, what_to_write
from lockcfg.conf.settings import release_numbers, settings_of, spell
from lockcfg.rules.rule import Fix, Replacement, Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.conf.document import Entry, Value
    from lockcfg.conf.settings import Setting
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK105", "wrong-type", "error", fix="safe", validates=True)


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    known = settings_of(subject.document.kind)
    for entry in subject.document.entries:
        if subject.document.get(entry.key) is not entry:
            continue  # the first one wins: LK104 says that this one is dead
        setting = known.get(entry.key)
        objection = (
            setting.objection(entry.value, entry.literal, options.release) if setting else None
        )
        if setting is None or objection is None or objection.rule != RULE.name:
            continue
        outcome = "refuses to start"
        if not objection.refused:
            gone = setting.removed and release_numbers(setting.removed) <= options.release
            other = "an older" if gone else "a newer"
            outcome = f"{options.release_text} does not know it, and {other} one refuses to start"
            if setting.ignored and setting.is_known_to(options.release):
                outcome = f"{options.release_text} has it in its sample and does not read it"
        finding = at_value(
            RULE,
            subject.document,
            entry,
            f"{objection.message}: {subject.document.kind.program} {outcome}",
            help=what_to_write(setting, entry.value) or objection.help,
            severity="error" if objection.refused else "warning",
        )
        yield RuleFinding(finding, _fix(setting, entry))


def _fix(setting: Setting, entry: Entry) -> Fix | None:
    meant: Value
    if isinstance(entry.value, str) and re.fullmatch("[0-9]{1,18}", entry.value):
        meant = int(entry.value)
    elif isinstance(entry.value, str):
        meant = parts_of(entry.value) or (entry.value,)
    elif isinstance(entry.value, int) and not entry.literal.startswith("-"):
        meant = entry.literal
    else:
        return None
    literal = spell(meant)
    if setting.objection(meant, literal) is not None:
        return None
    return Fix("safe", "write it as the type it should be", Replacement(entry.value_span, literal))
