"""Log filters that the lock daemon does not take.

## What it does

Reads `log_filters` of `virtlockd.conf` the way virtlockd does: filters separated by spaces, each
a level from 1 to 4, a colon, and the part of libvirt it is about. A '+' before the part is
allowed. What virtlockd takes, but what can match nothing, is a warning.

## Why is this bad

virtlockd does not start with a filter that it cannot read. Then no guest starts either, and you
notice it at the next restart.

## Example

```conf virtlockd.conf
log_filters = "debug:locking"
```

## Use instead

```conf virtlockd.conf
log_filters = "1:locking 4:object"
```

## Fix

None: only you know what was meant.
"""

from __future__ import annotations

import re

from lockcfg.printable import printable
from lockcfg.rules.rule import Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.findings import Severity
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK304", "log-filters", "error", validates=True)

#: A level as virtlockd reads it: blanks may precede it, except for spaces, which separate filters.
LEVEL: Final = r"[\t\n\v\f\r]*\+?0*[1-4]"

#: Characters that no part of libvirt has in its name and that mean nothing in a glob.
_FOREIGN: Final = r"[\s,;\"'=]"

_HELP: Final = 'write it like "1:locking 4:object": level (1 debug to 4 error), colon, part, space'


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    document = subject.document
    if document.kind.name != "virtlockd.conf":
        return
    entry = document.get("log_filters")
    if entry is None or not isinstance(entry.value, str):
        return
    objections = [found for each in entry.value.split(" ") if (found := _objection(each))]
    # The objections that keep virtlockd from starting come first.
    objections.sort(key=lambda found: found[0] != "error")
    if objections:
        severity, message = objections[0]
        yield RuleFinding(at_value(RULE, document, entry, message, help=_HELP, severity=severity))


def _objection(text: str) -> tuple[Severity, str] | None:
    """The objection to one filter; the filter between two spaces is the empty string."""
    if not text:
        return None
    level, colon, rest = text.partition(":")
    part, second, _ = rest.partition(":")
    refused = None
    if not colon:
        refused = f"the log filter '{printable(text)}' has no colon"
    elif not re.fullmatch(LEVEL, level):
        refused = f"the level of the log filter '{printable(text)}' is none of 1, 2, 3 and 4"
    elif part in ("", "+"):
        refused = f"the log filter '{printable(text)}' names no part of libvirt"
    if refused is not None:
        return "error", f"{refused}: virtlockd does not start"
    if re.search(_FOREIGN, part):
        what = f"no part of libvirt is called '{printable(part)}': this log filter does nothing"
        return "warning", what
    if second:
        what = f"virtlockd reads the log filter '{printable(text)}' up to its second colon only"
        return "warning", what
    return None
