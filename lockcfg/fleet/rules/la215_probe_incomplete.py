"""A probe without the answers of all its hosts, or of all their directories.

## What it does

Reports hosts that could not hold or see locks in some directory, and probes of which snapshots of
hosts are missing. It also reports probes that are older than facts may be (`--max-age`): these do
not count.

## Why is this bad

The probe shows nothing about a directory without an answer. Such a directory may hang for the lock
daemon, too.

## Example

```yaml fleet
kvm01:
  evidence: {number: 1, hosts: 1, directories: [{path: /srv/locks/files, error: no answer}]}
```

## Use instead

```yaml fleet
kvm01:
  evidence:
    number: 1
    hosts: 1
    directories: [{path: /srv/locks/files, nonce: 5eed, marked: [1], locked: [1]}]
```

## Fix

None: repair what the message says, and make the probe again.
"""

from __future__ import annotations

from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.fleet.comparison.fleet import Fleet

RULE = Rule("LA215", "probe-incomplete", "warning", scope="fleet")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    for host, errors in fleet.probe.errors.items():
        for error in errors:
            yield Observation(
                f"the probe does not show {error}",
                hosts=[fleet.names[host]],
                help=_HELP,
                unknown=True,
            )
    if fleet.probed_long_ago:
        hours = fleet.max_age // 3600
        yield Observation(
            f"the probe is not of the last {hours} hours: what it showed may be otherwise now",
            hosts=fleet.probed_long_ago,
            help="make the probe again: 'lockcfg probe --help'",
            unknown=True,
        )
    for lacking, hosts in fleet.probe.lacking.values():
        yield Observation(
            f"of the {hosts} hosts of the probe {lacking} have no answer among these snapshots",
            help=_HELP,
            unknown=True,
        )


_HELP: Final = "repair it, and make the probe again: 'lockcfg probe --help'"
