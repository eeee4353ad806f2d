"""An entry of the baseline that is no longer found.

## What it does

Reports the entries of the baseline that no finding of this run met.

## Why is this bad

This is good news: something was corrected. But the entry would hide the same finding if it came
back.

## Example

```yaml settings
baseline: known.json
```

```json known.json
{
  "version": 1,
  "findings": [
    {
      "fingerprint": "0000000000000000000000000000000000000000000000000000000000000000",
      "path": "kvm01/qemu.conf",
      "code": "LK105",
      "message": "'max_files' takes an integer without a minus sign, not the string \\"5\\""
    }
  ]
}
```

```conf kvm01/qemu.conf
max_files = 5
```

## Use instead

```yaml settings
baseline: known.json
```

```json known.json
{ "version": 1, "findings": [] }
```

```conf kvm01/qemu.conf
max_files = 5
```

## Fix

None: `lockcfg lint --write-baseline` makes the baseline again.
"""

from __future__ import annotations

from lockcfg.findings import Finding
from lockcfg.printable import printable
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lockcfg.rules.rule import Options, RuleFinding

RULE = Rule("LK904", "baseline-stale", "info", scope="run")


def check(subject: object, options: Options) -> Iterator[RuleFinding]:
    """Find nothing: the linter itself checks its baseline. See :func:`finding`."""
    del subject, options
    yield from ()


def finding(path: str, entry: Mapping[str, str]) -> Finding:
    """The finding about an ``entry`` of the baseline at ``path``: its ``code`` and ``path``."""
    return Finding(
        RULE.name,
        RULE.severity,
        f"the baseline has {printable(entry['code'])} in {printable(entry['path'], 200)},"
        " which is no longer found",
        path=path,
        help="write the baseline again with 'lockcfg lint --write-baseline'",
    )
