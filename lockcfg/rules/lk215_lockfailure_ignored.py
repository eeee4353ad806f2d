"""A guest whose `<on_lockfailure>` has no effect.

## What it does

Reports guests that say in `<on_lockfailure>` what happens when they lose a lock (`poweroff`,
`restart` or `pause`), on a host whose lock manager is `lockd`. The linter reads the descriptions
that libvirt keeps of the guests that are defined: `qemu/NAME.xml` beside `qemu.conf`, and
`libxl/NAME.xml` beside `libxl.conf`. A description elsewhere in a repository is not read, as the
linter does not know on which host its guest runs. The rule leaves out a host with a `lockd.conf`:
there the engine lockd is in the place of virtlockd, and obeys `<on_lockfailure>`.

## Why is this bad

libvirt's lock plugin ignores `<on_lockfailure>`, and virtlockd never notices that a lock is lost.
Such a guest continues to write when its lock has gone to another host.

## Example

```conf qemu.conf
lock_manager = "lockd"
```

```xml qemu/web1.xml
<domain type="kvm">
  <name>web1</name>
  <on_lockfailure>pause</on_lockfailure>
</domain>
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

```conf lockd.conf
on_lockfailure = "report"
```

```xml qemu/web1.xml
<domain type="kvm">
  <name>web1</name>
  <on_lockfailure>pause</on_lockfailure>
</domain>
```

## Fix

None: put lockd in the place of virtlockd. If your hosts run lockd without a `lockd.conf`, put this
rule into `ignore` of your `.lockcfg.yaml`.
"""

from __future__ import annotations

from lockcfg.findings import Finding
from lockcfg.printable import printable
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK215", "lockfailure-ignored", "warning", scope="host", needs=("driver",))


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    manager = subject.configuration.documents["driver"].get("lock_manager")
    if subject.has_engine or manager is None or manager.value != "lockd":
        return
    for guest in subject.guests:
        if guest.on_lockfailure in ("poweroff", "restart", "pause"):
            yield RuleFinding(
                Finding(
                    RULE.name,
                    RULE.severity,
                    f"'{guest.on_lockfailure}' has no effect for the guest"
                    f" '{printable(guest.name)}' with virtlockd, which never notices a lost lock:"
                    " libvirt ignores it",
                    path=guest.path,
                    place=guest.place,
                    help="put lockd in the place of virtlockd ('lockd takeover' keeps all guests"
                    " running), or take <on_lockfailure> out with 'virsh edit'",
                )
            )
