"""A password that every user of the host can read.

## What it does

In a file that every user may read, reports a setting that holds a password: `vnc_password`,
`spice_password`, `rdp_password`. The rule ignores the permissions of the file's group, which may
be root's own. Nor is the mode of a file in version control, which has only one mode for files
(LK401).

## Why is this bad

Every user who can log in to the host can look at the screens of the guests and use their
keyboards. libvirt starts with any mode.

The way to keep a password in a repository is a file that is encrypted there (ansible-vault, SOPS,
git-crypt, age), or a template that takes it from somewhere else: the linter passes both over with
a note.

## Example

```yaml file
mode: "0644"
```

```conf qemu.conf
vnc_password = "hunter2"
```

## Use instead

```yaml file
mode: "0600"
```

```conf qemu.conf
vnc_password = "hunter2"
```

## Fix

None: the mode of the file is wrong, not its text.
"""

from __future__ import annotations

from lockcfg.rules.passwords import finding, passwords
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK402", "password-readable", "warning")


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    document = subject.document
    found = list(passwords(document))
    if not found or subject.tracked or subject.mode is None or not subject.mode & 0o004:
        return
    for key, span in found:
        message = f"'{key}' is a password, and every user of the host can read this file"
        advice = (
            f"let root alone read it: chmod 600 {document.kind.name}; in a repository, keep it in"
            " an encrypted file (ansible-vault, SOPS)"
        )
        yield RuleFinding(finding(RULE, document, key, span, message, advice))
