"""A whole list in one string.

## What it does

Reports a string with several paths or words in it, separated by commas or blanks, if the setting
takes a list.

## Why is this bad

libvirt takes it for one element, and looks for a device or a controller of that long name. So
guests may not use the devices that were meant, or libvirt does not use the controllers.

## Example

```conf qemu.conf
cgroup_device_acl = [ "/dev/null,/dev/kvm" ]
```

## Use instead

```conf qemu.conf
cgroup_device_acl = [ "/dev/null", "/dev/kvm" ]
```

## Fix

Unsafe: makes an element of each.
"""

from __future__ import annotations

from lockcfg.conf.meant import parts_of
from lockcfg.conf.settings import settings_of, spell
from lockcfg.printable import printable
from lockcfg.rules.rule import Fix, Replacement, Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.conf.document import Value
    from lockcfg.conf.settings import Setting
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK114", "list-in-string", "warning", fix="unsafe", validates=True)


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    known = settings_of(subject.document.kind)
    for entry in subject.document.entries:
        setting = known.get(entry.key)
        value = as_list(setting, entry.value) if setting else None
        if setting is None or value is None:
            continue
        refused = setting.objection(entry.value, entry.literal)
        if refused and refused.rule == "wrong-type":
            continue  # LK105 says more
        outcome = ": libvirt refuses to start" if refused and refused.refused else ""
        elements = entry.value if isinstance(entry.value, tuple) else (entry.value,)
        one = next(each for each in elements if isinstance(each, str) and parts_of(each))
        yield RuleFinding(
            at_value(
                RULE,
                subject.document,
                entry,
                f"'{printable(one)}' is one string: '{entry.key}' takes a list of several{outcome}",
                help=f"write {entry.key} = {spell(value)}",
                severity="error" if outcome else "warning",
            ),
            Fix("unsafe", "make an element of each", Replacement(entry.value_span, spell(value))),
        )


def as_list(setting: Setting, value: Value) -> Value | None:
    """``value`` with every string of several elements split into them; None if no string has
    several, or if ``setting`` does not take the result."""
    if not setting.takes_list:
        return None
    elements = value if isinstance(value, tuple) else (value,)
    found: list[str | int] = []
    for element in elements:
        found.extend(parts_of(element) or (element,) if isinstance(element, str) else (element,))
    if len(found) == len(elements) or setting.objection(tuple(found), "[ ]") is not None:
        return None
    return tuple(found)
