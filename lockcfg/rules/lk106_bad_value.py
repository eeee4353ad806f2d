"""A value that the setting does not take.

## What it does

Reports a value that is none of the choices, out of range or of the wrong form, and one that does
not go with that of another setting of the file, or with its default.

## Why is this bad

With most such values the daemon refuses to start. With the others it starts, but does not do what
was meant, as with a lockspace directory that is not an absolute path.

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

from lockcfg.conf.meant import what_to_write
from lockcfg.conf.settings import integer_bounds, settings_of, spell, together_in
from lockcfg.nearest import nearest
from lockcfg.rules.lk114_list_in_string import as_list
from lockcfg.rules.rule import Fix, Replacement, Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.conf.document import Value
    from lockcfg.conf.settings import Setting, Together
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK106", "bad-value", "error", fix="unsafe", validates=True)

#: Settings whose values have rules of their own: LK304 and LK305, and for 0, LK302. LK114 is about
#: lists.
_SAID_BY_OTHERS: Final = ("log_filters", "log_outputs")
_ZERO_SAID_BY_OTHERS: Final = ("max_clients", "admin_max_clients")


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    yield from _each(subject, options)
    yield from _together(subject, options)


def _instead(setting: Setting, rule: Together, values: dict[str, Value]) -> str:
    """A value of ``setting`` that goes with the others, as the end of a help."""
    for value in setting.examples:
        if rule.broken_by({**values, setting.key: value}) is None:
            return f"; for example {setting.key} = {spell(value)}"
    return ""


def _together(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """Findings about settings in force that are valid by themselves and not together."""
    document = subject.document
    known = settings_of(document.kind)
    rules = [
        rule
        for rule in together_in(document.kind)
        if all(known[key].is_read_by(options.release) for key in rule.keys)
    ]
    keys = {key for rule in rules for key in rule.keys}
    entries = {entry.key: entry for entry in reversed(document.entries) if entry.key in keys}
    values = {
        key: entry.value
        for key, entry in reversed(entries.items())
        if known[key].objection(entry.value, entry.literal) is None
    }
    for rule in rules:
        key = rule.broken_by(values)
        if key is None or any(other in entries and other not in values for other in rule.keys):
            continue  # a value that is wrong by itself says nothing of the others
        others = (
            f"{other} = {spell(values[other])}"
            if other in values
            else f"{other} is {spell(known[other].default or 0)} by default"
            for other in rule.keys
            if other != key
        )
        yield RuleFinding(
            at_value(
                RULE,
                document,
                entries[key],
                f"'{key}' cannot be {spell(values[key])} as {', '.join(others)}:"
                " libvirt refuses to start",
                help=rule.text + _instead(known[rule.mend or key], rule, values),
            )
        )


def _each(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """Findings about values that are invalid by themselves."""
    low, high = integer_bounds(options.release)
    known = settings_of(subject.document.kind)
    reader = subject.document.kind.program
    for entry in subject.document.entries:
        if subject.document.get(entry.key) is not entry:
            continue  # the first one wins: LK104 says that this one is dead
        setting = known.get(entry.key)
        objection = (
            setting.objection(entry.value, entry.literal, options.release) if setting else None
        )
        if setting is None or objection is None or objection.rule != RULE.name:
            continue
        if isinstance(entry.value, int) and not low <= entry.value <= high:
            continue  # LK107 says more
        if entry.key in _SAID_BY_OTHERS or as_list(setting, entry.value) is not None:
            continue
        if entry.key in _ZERO_SAID_BY_OTHERS and entry.value == 0:
            continue
        near = nearest(entry.value, setting.choices) if isinstance(entry.value, str) else None
        fix = None
        if near is not None:
            fix = Fix("unsafe", f"write {near}", Replacement(entry.value_span, spell(near)))
        yield RuleFinding(
            at_value(
                RULE,
                subject.document,
                entry,
                objection.message + (f": {reader} refuses to start" if objection.refused else ""),
                help=objection.help
                if near
                else what_to_write(setting, entry.value) or objection.help,
                severity="error" if objection.refused else "warning",
            ),
            fix,
        )
