"""Log outputs that the lock daemon does not take.

## What it does

Reads `log_outputs` of `virtlockd.conf` the way virtlockd does: outputs separated by spaces, each
a level from 1 to 4 and where to, as `level:stderr`, `level:journald`, `level:syslog:name` or
`level:file:path`. A path that is not absolute, which virtlockd takes, is a warning.

## Why is this bad

virtlockd does not start with an output that it cannot read. Then no guest starts either, and you
notice it at the next restart. virtlockd of libvirt 7.0 starts, and logs where it does by default:
for it this is a warning. A path that is not absolute is one below the directory that
virtlockd happens to be started in: under systemd that is the root directory.

## Example

```conf virtlockd.conf
log_outputs = "3:syslog"
```

## Use instead

```conf virtlockd.conf
log_outputs = "3:syslog:virtlockd 1:file:/var/log/libvirt/virtlockd.log"
```

## Fix

None: only you know what was meant.
"""

from __future__ import annotations

import re

from lockcfg.nearest import nearest
from lockcfg.printable import printable
from lockcfg.rules.lk304_log_filters import LEVEL, outcome_of, refuses_bad_ones
from lockcfg.rules.rule import Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.findings import Severity
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK305", "log-outputs", "error", validates=True)

#: The destinations, as users write them, and the number of their colons.
_FORMS: Final = {
    "stderr": ("level:stderr", 1),
    "journald": ("level:journald", 1),
    "syslog": ("level:syslog:name", 2),
    "file": ("level:file:/path", 2),
}

_HELP: Final = 'write it like "3:syslog:virtlockd": level (1 debug to 4 error), colon, destination'


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    document = subject.document
    if document.kind.name != "virtlockd.conf":
        return
    entry = document.get("log_outputs")
    if entry is None or not isinstance(entry.value, str):
        return
    objections = [found for each in entry.value.split(" ") if (found := _objection(each))]
    # The objections that keep virtlockd from starting come first.
    objections.sort(key=lambda found: found[0] != "error")
    if objections:
        severity, message, advice = objections[0]
        if severity == "error":
            refuses = refuses_bad_ones(document, "log_outputs", options)
            severity, outcome = outcome_of(refuses, "log_outputs", options)
            message += outcome
        yield RuleFinding(at_value(RULE, document, entry, message, help=advice, severity=severity))


def _objection(text: str) -> tuple[Severity, str, str] | None:
    """The objection to one output, and what to do; the output between two spaces is the empty
    string."""
    if not text:
        return None
    level, *rest = text.split(":")
    if not rest:
        return _refused(f"the log output '{printable(text)}' has no colon", _HELP)
    if not re.fullmatch(LEVEL, level):
        what = f"the level of the log output '{printable(text)}' is none of 1, 2, 3 and 4"
        return _refused(what, _HELP)
    destination = rest[0]
    if destination not in _FORMS:
        near = nearest(destination, _FORMS)
        return _refused(
            f"virtlockd has no log destination '{printable(destination)}'",
            f"did you mean '{near}'?" if near else f"choices: {', '.join(_FORMS)}",
        )
    form, colons = _FORMS[destination]
    if len(rest) != colons:
        return _refused(f"the log output '{printable(text)}' is not of the form {form}", _HELP)
    if destination == "file" and not rest[1]:
        return _refused(f"the log output '{printable(text)}' names no file", _HELP)
    if destination == "file" and not rest[1].startswith("/"):
        what = (
            f"the log file '{printable(rest[1])}' is not an absolute path: it ends up in whatever"
            " directory virtlockd is started in"
        )
        return "warning", what, "for example 3:file:/var/log/libvirt/virtlockd.log"
    return None


def _refused(what: str, advice: str) -> tuple[Severity, str, str]:
    return "error", what, advice
