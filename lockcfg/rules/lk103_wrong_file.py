"""A setting in the wrong file.

## What it does

Reports a setting that belongs in another of libvirt's files, even in one that the linter does not
check: `listen_tcp` of `libvirtd.conf`, `max_size` of `virtlogd.conf`.

## Why is this bad

libvirt ignores it without a message. `lock_manager` belongs in `qemu.conf`, but much of what is
written about lockd is about `qemu-lockd.conf`: there it protects nothing.

## Example

```conf qemu-lockd.conf
lock_manager = "lockd"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

## Fix

None: it would be a change of two files.
"""

from __future__ import annotations

from lockcfg.conf.elsewhere import file_elsewhere
from lockcfg.conf.settings import kinds_anywhere_with, settings_of
from lockcfg.rules.rule import Rule, RuleFinding, at_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK103", "wrong-file", "warning", validates=True, grammars=("libvirt", "sanlock"))


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    document = subject.document
    known = settings_of(document.kind)
    for entry in document.entries:
        if entry.key in known:
            continue
        others = kinds_anywhere_with(entry.key)
        same_driver = [k for k in others if set(k.drivers) & set(document.kind.drivers)]
        names = sorted((kind.name for kind in same_driver or others), key=_qemu_first)
        if not names and (elsewhere := file_elsewhere(entry.key)):
            names = [elsewhere]
        if names:
            yield RuleFinding(
                at_key(
                    RULE,
                    document,
                    entry,
                    f"'{entry.key}' is a setting of {' and '.join(names)}:"
                    f" in {document.kind.name} it does nothing",
                    help=f"move it to {names[0]}",
                )
            )


def _qemu_first(name: str) -> tuple[bool, str]:
    return not name.startswith("qemu"), name
