"""A setting, or one of its values, that the libvirt in use does not know.

## What it does

With the libvirt version given, reports settings and values that came later, and settings that were
taken out before. The version is libvirt's, so files of other programs are not checked.

## Why is this bad

libvirt ignores a setting that it does not know, without a message. A value that it does not know
it takes for a mistake, some when it starts and some only when the value is used.

## Example

```yaml settings
libvirt-version: 8.0.0
```

```conf qemu.conf
sched_core = "vcpus"
save_image_format = "zstd"
```

## Use instead

```yaml settings
libvirt-version: 11.3.0
```

```conf qemu.conf
sched_core = "vcpus"
save_image_format = "zstd"
```

## Fix

None: install another libvirt, remove the setting, or write another value.
"""

from __future__ import annotations

from lockcfg.conf.settings import release_numbers, settings_of
from lockcfg.rules.rule import Rule, RuleFinding, at_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.conf.document import Value
    from lockcfg.conf.settings import Setting
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK109", "version", "warning")


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    version = options.libvirt_version
    kind = subject.document.kind
    if version is None or kind.program != "libvirt":
        return
    known = settings_of(kind)
    for entry in subject.document.entries:
        setting = known.get(entry.key)
        if setting is None:
            continue
        for what in _unknown(setting, entry.value, version):
            yield RuleFinding(at_key(RULE, subject.document, entry, what))


def _unknown(setting: Setting, value: Value, version: tuple[int, ...]) -> Iterator[str]:
    """What a libvirt does not know about a setting and its value, in words."""
    shown = ".".join(map(str, version))
    if release_numbers(setting.since) > version:
        if setting.since_certain:
            yield f"'{setting.key}' came with libvirt {setting.since}: {shown} ignores it"
        elif not setting.is_known_to(version):
            yield (
                f"'{setting.key}' came after libvirt {setting.absent}, with {setting.since} at the"
                f" latest: {shown} ignores it"
            )
        else:
            yield (
                f"'{setting.key}' is known of libvirt {setting.since} and newer, and not for sure"
                f" of {shown}: it may ignore it"
            )
    elif setting.removed is not None and release_numbers(setting.removed) <= version:
        yield f"'{setting.key}' went with libvirt {setting.removed}: {shown} ignores it"
    else:
        since = setting.choice_since.get(value, "0") if isinstance(value, str) else "0"
        if release_numbers(since) > version:
            yield f"'{setting.key}': '{value}' came with libvirt {since}: {shown} does not know it"
