"""A value that the setting does not take.

## What it does

Reports a value that is none of the choices, out of range or of the wrong form.

## Why is this bad

Of most such values the daemon refuses to start; of the others it starts and does nothing good,
as with a lockspace directory that is no absolute path.

## Example

```conf qemu.conf
lock_manager = "lockdd"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

## Fix

Unsafe: takes the nearest of the choices.
"""

from __future__ import annotations

from lockcfg.conf.settings import integer_bounds, nearest, settings_of, spell
from lockcfg.rules.rule import Fix, Found, Replacement, Rule, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK106", "bad-value", "error", fix="unsafe", validates=True)

#: Settings whose values have rules of their own: LK302, LK304 and LK305.
_SAID_BY_OTHERS: Final = ("max_clients", "admin_max_clients", "log_filters", "log_outputs")


def check(subject: FileSubject, options: Options) -> Iterator[Found]:
    """See the manual above."""
    low, high = integer_bounds(options.release)
    known = settings_of(subject.document.kind)
    for entry in subject.document.entries:
        setting = known.get(entry.key)
        objection = setting.objection(entry.value, entry.literal) if setting else None
        if setting is None or objection is None or objection.rule != RULE.name:
            continue
        if isinstance(entry.value, int) and not low <= entry.value <= high:
            continue  # LK107 says more
        if entry.key in _SAID_BY_OTHERS:
            continue
        near = nearest(entry.value, setting.choices) if isinstance(entry.value, str) else None
        fix = None
        if near is not None:
            fix = Fix("unsafe", f"write {near}", Replacement(entry.value_span, spell(near)))
        yield Found(
            at_value(
                RULE,
                subject.document,
                entry,
                objection.message + (": libvirt refuses to start" if objection.refused else ""),
                help=objection.help,
                severity="error" if objection.refused else "warning",
            ),
            fix,
        )
