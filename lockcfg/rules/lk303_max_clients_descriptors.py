"""More clients than the lock daemon has descriptors for.

## What it does

Compares `max_clients` of `virtlockd.conf` with the number of files that virtlockd may have open:
as its systemd unit sets it, 524288 with libvirt 11.3 and newer and 40960 with older ones, or the
option `descriptor-limit`. A guest takes one descriptor for its connection and one for every disk
that is locked, so at least two; virtlockd itself takes some more.

## Why is this bad

The limit in the file is never reached. Before that, virtlockd can open no more lock files, so a
guest with many disks does not start ("Too many open files"), and then accept no more connections:
what connects waits, and its first answer may never come.

## Example

```yaml settings
libvirt-version: 9.0.0
```

```conf virtlockd.conf
max_clients = 32768
```

## Use instead

```yaml settings
libvirt-version: 9.0.0
```

```conf virtlockd.conf
max_clients = 4096
```

## Fix

None: either `max_clients` is too large or `LimitNOFILE` of the unit too small.
"""

from __future__ import annotations

from lockcfg.conf.settings import INTEGER_MAX
from lockcfg.rules.rule import Rule, RuleFinding, about_file, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK303", "max-clients-descriptors", "warning")

#: The descriptors that virtlockd 9.0 has open without a client, 11, and some for its log outputs.
_OWN: Final = 16

#: virtlockd's default.
_DEFAULT: Final = 1024


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    document = subject.document
    if document.kind.name != "virtlockd.conf":
        return
    entry = document.get("max_clients")
    clients = _DEFAULT if entry is None else entry.value
    if not isinstance(clients, int) or not 0 <= clients <= INTEGER_MAX:
        return  # other rules say more
    limit = options.descriptors
    needed = 2 * clients + _OWN
    if needed <= limit:
        return
    message = (
        f"{clients} guests{'' if entry else ', the default of max_clients,'} with one locked disk"
        f" each take {needed} open files, and virtlockd may have {limit}: it fails before"
        " max_clients is reached"
    )
    advice = (
        "raise LimitNOFILE with 'systemctl edit virtlockd.service' and say so in the option"
        f" descriptor-limit, or lower max_clients to {max((limit - _OWN) // 2, 1)}"
    )
    if entry is None:
        yield RuleFinding(about_file(RULE, document, message, help=advice))
    else:
        yield RuleFinding(at_value(RULE, document, entry, message, help=advice))
