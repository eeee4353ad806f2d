"""A setting that is there twice.

## What it does

Reports every entry of a setting but the first.

## Why is this bad

The first one wins. A person who appends a line to change a setting changes nothing, and one who
reads the file from its end believes what is not in force.

## Example

```conf qemu.conf
lock_manager = "lockd"
lock_manager = "sanlock"
```

## Use instead

```conf qemu.conf
lock_manager = "lockd"
```

## Fix

Safe: removes the entry that has no effect. The settings in force do not change.
"""

from __future__ import annotations

from lockcfg.rules.rule import Fix, Rule, RuleFinding, at_key, whole_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.conf.document import Document, Entry
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule(
    "LK104",
    "duplicate-key",
    "warning",
    fix="safe",
    validates=True,
    grammars=("libvirt", "sanlock"),
)


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    document = subject.document
    if document.kind.grammar == "sanlock":
        yield from _of_sanlock(document)
        return
    first: dict[str, Entry] = {}
    for entry in document.entries:
        winner = first.setdefault(entry.key, entry)
        if winner is entry:
            continue
        line = document.place(winner.key_span).line
        yield RuleFinding(
            at_key(
                RULE,
                document,
                entry,
                f"'{entry.key}' is set before, in line {line}, and the first one wins:"
                " this line has no effect",
                help="delete one of the two",
            ),
            Fix("safe", "delete the line that has no effect", whole_line(document, entry)),
        )


def _of_sanlock(document: Document) -> Iterator[RuleFinding]:
    """Find duplicates in sanlock's own file: the sanlock daemon uses the last one, and adds up the
    settings about logged commands."""
    for entry in document.entries:
        winner = document.get(entry.key)
        if winner is None or winner is entry or entry.key == "debug_cmd":
            continue
        line = document.place(winner.key_span).line
        yield RuleFinding(
            at_key(
                RULE,
                document,
                entry,
                f"'{entry.key}' is set again in line {line}, and to sanlock the last one wins:"
                " this line has no effect",
                help="delete one of the two",
            )
        )
