"""A setting that the libvirt in use does not know.

## What it does

With the libvirt version given, reports settings that came later or were taken out before.

## Why is this bad

libvirt ignores a setting that it does not know, without a message.

## Example

```yaml settings
libvirt-version: 8.0.0
```

```conf qemu.conf
sched_core = "vcpus"
```

## Use instead

```yaml settings
libvirt-version: 9.0.0
```

```conf qemu.conf
sched_core = "vcpus"
```

## Fix

None: install another libvirt, or remove the setting.
"""

from __future__ import annotations

from lockcfg.conf.settings import settings_of
from lockcfg.rules.rule import Rule, RuleFinding, at_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK109", "version", "warning")


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    version = options.libvirt_version
    if version is None:
        return
    known = settings_of(subject.document.kind)
    shown = ".".join(map(str, version))
    for entry in subject.document.entries:
        setting = known.get(entry.key)
        if setting is None:
            continue
        if _numbers(setting.since) > version:
            what = f"'{entry.key}' came with libvirt {setting.since}: {shown} ignores it"
            if not setting.since_certain:
                what = (
                    f"'{entry.key}' is known of libvirt {setting.since} and newer, and not for sure"
                    f" of {shown}: it may ignore it"
                )
        elif setting.removed is not None and _numbers(setting.removed) <= version:
            what = f"'{entry.key}' went with libvirt {setting.removed}: {shown} ignores it"
        else:
            continue
        yield RuleFinding(at_key(RULE, subject.document, entry, what))


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))
