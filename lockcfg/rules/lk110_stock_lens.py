"""What the stock Augeas lenses cannot read.

## What it does

Reports spellings that libvirt takes and the Augeas lenses that come with it do not: a comment
behind a value, single or triple quotes, a sign, a comma at the end of a list, a ';', a list for
a setting that those lenses take for a string.

## Why is this bad

A single one makes the whole file unreadable for every program that uses those lenses: Puppet's
augeas type, Salt, osquery and the `augtool -s set` of libvirt's documentation, which then fails
with "saving failed".

## Example

```conf qemu.conf
lock_manager = 'lockd'  # since last week
```

## Use instead

```conf qemu.conf
# since last week
lock_manager = "lockd"
```

## Fix

Safe: spells the value the way the lenses read it and moves the comment to a line of its own.
"""

from __future__ import annotations

import re

from lockcfg.conf.document import Span
from lockcfg.conf.settings import spell
from lockcfg.rules.rule import Fix, Replacement, Rule, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.conf.document import Document, Entry
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule("LK110", "stock-lens", "info", fix="safe")

#: Settings that may be a list for libvirt but not for its lens, up to the lens of 12.8.0.
_STRINGS_TO_LENS: Final = ("security_driver", "hugetlbfs_mount")


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    document = subject.document
    for entry in document.entries:
        troubles = list(_troubles(document, entry))
        if troubles:
            yield RuleFinding(
                at_value(
                    RULE,
                    document,
                    entry,
                    f"the stock Augeas lenses cannot read this file: {' and '.join(troubles)}",
                    help="tools that use them (Puppet, Salt, osquery) fail on the whole file",
                ),
                _fix(document, entry),
            )


def _troubles(document: Document, entry: Entry) -> Iterator[str]:
    literal = entry.literal
    if literal.startswith('"""'):
        yield "triple quotes"
    elif literal.startswith("'") or (literal.startswith("[") and _single_quoted(literal)):
        yield "single quotes"
    if literal[0] in "+-":
        yield "a sign"
    if re.search(r",\s*\]$", literal):
        yield "a comma at the end of a list"
    if literal.startswith("[") and entry.key in _STRINGS_TO_LENS:
        yield f"a list for {entry.key}"
    if _behind(document, entry).startswith(b";"):
        yield "a ';' behind a value"
    if entry.comment is not None:
        yield "a comment behind a value"


def _single_quoted(literal: str) -> bool:
    """Whether a list has a string in single quotes."""
    return "'" in re.sub(r'"[^"]*"', "", literal)


def _behind(document: Document, entry: Entry) -> bytes:
    text = document.text or b""
    return text[entry.value_span.end : entry.value_span.end + 80].lstrip(b" \t")


def _fix(document: Document, entry: Entry) -> Fix | None:
    text = document.text or b""
    if _behind(document, entry).startswith(b";") or entry.literal.startswith("-"):
        return None
    value = entry.value
    if isinstance(value, tuple) and entry.key in _STRINGS_TO_LENS:
        if len(value) != 1:
            return None
        value = value[0]  # libvirt takes a string for a list of one
    literal = spell(value)
    if not literal.startswith('"') and isinstance(value, str):
        return None  # it has a double quote, which those lenses cannot read
    replacements = []
    if entry.comment is not None:
        line_start = max(text.rfind(b"\n", 0, entry.key_span.start) + 1, 0)
        if text[line_start : entry.key_span.start].strip(b" \t"):
            return None  # not the first statement of its line
        comment = Replacement(Span(line_start, line_start), f"# {entry.comment}\n")
        end = re.compile(rb"[ \t]*#[^\r\n]*").match(text, entry.value_span.end)
        replacements.append(comment)
        if literal != entry.literal:
            replacements.append(Replacement(entry.value_span, literal))
        if end is not None:
            replacements.append(Replacement(Span(end.start(), end.end()), ""))
    else:
        replacements.append(Replacement(entry.value_span, literal))
    return Fix("safe", "spell it as those lenses read it", *replacements)
