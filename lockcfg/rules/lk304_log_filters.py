"""Log filters that the lock daemon does not take.

## What it does

Reads `log_filters` of `virtlockd.conf` the way virtlockd does: filters separated by spaces, each
a level from 1 to 4, a colon, and the part of libvirt it is about. A '+' before the part is
allowed. A filter that virtlockd takes but that can match nothing is a warning.

## Why is this bad

virtlockd does not start with a filter that it cannot read. Then no guest starts either, and you
notice it at the next restart. virtlockd of libvirt 7.0 starts, and uses none of the filters: for it
this is a warning, and a filter with two colons is one that it cannot read.

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

from lockcfg.conf.settings import settings_of
from lockcfg.printable import printable
from lockcfg.rules.rule import Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.conf.document import Document
    from lockcfg.findings import Severity
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK304", "log-filters", "error", validates=True)

#: A level as virtlockd reads it: blanks may precede it, except for spaces, which separate filters.
LEVEL: Final = r"[\t\n\v\f\r]*\+?0*[1-4]"

#: Characters that no part of libvirt has in its name and that mean nothing in a glob.
_FOREIGN: Final = r"[\s,;\"'=]"

#: The last libvirt whose virtlockd was seen to start with a bad setting of the log. That of 9.0
#: does not; those between them were not tried.
LAST_TO_START: Final = (7, 0)

_HELP: Final = 'write it like "1:locking 4:object": level (1 debug to 4 error), colon, part, space'


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    document = subject.document
    if document.kind.name != "virtlockd.conf":
        return
    entry = document.get("log_filters")
    if entry is None or not isinstance(entry.value, str):
        return
    refuses = refuses_bad_ones(document, "log_filters", options)
    objections = [found for each in entry.value.split(" ") if (found := _objection(each, refuses))]
    # The objections that keep virtlockd from starting come first.
    objections.sort(key=lambda found: found[0] != "error")
    if objections:
        severity, message = objections[0]
        if severity == "error":
            severity, outcome = outcome_of(refuses, "log_filters", options)
            message += outcome
        yield RuleFinding(at_value(RULE, document, entry, message, help=_HELP, severity=severity))


def refuses_bad_ones(document: Document, key: str, options: Options) -> bool:
    """Whether virtlockd does not start with a setting of the log that it cannot read."""
    return settings_of(document.kind)[key].is_refused(options.release)


def outcome_of(refuses: bool, key: str, options: Options) -> tuple[Severity, str]:
    """How bad such a setting is, and what comes of it."""
    if refuses:
        return "error", ": virtlockd does not start"
    if options.release[:2] > LAST_TO_START:
        return "error", f": virtlockd {options.release_text} may not start"
    return "warning", (
        f": virtlockd {options.release_text} starts as if there were no {key},"
        " and a newer one does not start"
    )


def _objection(text: str, refuses: bool) -> tuple[Severity, str] | None:
    """The objection to one filter, by a virtlockd that ``refuses`` bad ones or not; the filter
    between two spaces is the empty string."""
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
        return "error", refused
    if second and not refuses:
        what = f"the log filter '{printable(text)}' has two colons: virtlockd uses no filter at all"
        return "warning", what
    if re.search(_FOREIGN, part):
        what = f"no part of libvirt is called '{printable(part)}': this log filter does nothing"
        return "warning", what
    if second:
        what = f"virtlockd reads the log filter '{printable(text)}' up to its second colon only"
        return "warning", what
    return None
