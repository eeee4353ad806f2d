"""A line that the sanlock daemon reads otherwise than a person does.

## What it does

Reports the parts of `sanlock.conf` that the daemon ignores or misreads: in place of a number, a
word or a number in quotes or out of range; a line with a blank before the name, or without a value;
a string with a blank or in quotes; and the rest of a line behind its 127th byte.

## Why is this bad

The daemon refuses nothing and says nothing. `use_watchdog = yes` is 0 to it and switches the
watchdog off; a name without a value gets whatever was read last.

## Example

```conf sanlock.conf
use_watchdog = yes
```

```conf sanlock.conf
our_host_name = "kvm01"
```

## Use instead

```conf sanlock.conf
use_watchdog = 1
```

```conf sanlock.conf
our_host_name = kvm01
```

## Fix

None: only you know what was meant.
"""

from __future__ import annotations

import re

from lockcfg.conf.document import Span, decode
from lockcfg.conf.meant import QUOTES, meant
from lockcfg.conf.sanlock import WIDTH, lines_of, name_in, number_in, seen_as, taken
from lockcfg.conf.settings import settings_of
from lockcfg.findings import Finding
from lockcfg.nearest import nearest
from lockcfg.printable import printable
from lockcfg.rules.rule import Rule, RuleFinding, at_value, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lockcfg.conf.document import Document, Entry
    from lockcfg.conf.settings import Setting
    from lockcfg.rules.rule import FileSubject, Options

RULE = Rule(
    "LK505", "sanlock-misread", "warning", scope="file", validates=True, grammars=("sanlock",)
)


def check(subject: FileSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    del options
    document = subject.document
    settings = settings_of(document.kind)
    entries = {entry.key_span.start: entry for entry in document.entries}
    text = document.text or b""
    for start, end in lines_of(text):
        entry = entries.get(start)
        message = advice = ""
        if start and text[start - 1 : start] != b"\n":
            if entry is not None and entry.key in settings:
                message = (
                    f"what follows {WIDTH} bytes of a line is another line to sanlock: this sets"
                    f" {entry.key}"
                )
                advice = "make the line above shorter"
        elif entry is None:
            message, advice = _ignored(text[start:end], settings)
        if message:
            yield _of_line(document, Span(start, end), message, advice)
        elif entry is not None and (setting := settings.get(entry.key)) is not None:
            yield from _of_value(document, setting, entry, end)


def _ignored(line: bytes, settings: Mapping[str, Setting]) -> tuple[str, str]:
    """The objection to a line that is not a setting, and what to do; empty for a comment."""
    line = seen_as(line)
    bare = line.strip(b" \t\r")
    if not bare or line.startswith(b"#") or bare.startswith(b"#"):
        return "", ""
    name = name_in(line)
    if name in settings:
        return (
            f"'{name}' has no value here: sanlock takes for it what it read last, or nothing",
            f"write {_example(settings[name])}, or remove the line",
        )
    known = name_in(bare)
    if known in settings:
        return (
            "sanlock passes over a line that begins with a blank",
            f"begin the line with {known}",
        )
    near = nearest(known.rstrip(":"), settings)
    advice = "remove the line, or put '#' before it"
    if near:
        value = meant(settings[near], decode(bare[len(known) :]).lstrip(":=> \t"))
        usable = isinstance(value, int) or (isinstance(value, str) and re.fullmatch(r"\S+", value))
        advice = f"write {near} = {value}" if usable else f"write {_example(settings[near])}"
    return "sanlock passes over this line: it is no 'name = value'", advice


def _of_value(
    document: Document, setting: Setting, entry: Entry, end: int
) -> Iterator[RuleFinding]:
    """How the daemon misreads the value of a setting, and what to do."""
    rest = text_of(document, Span(entry.value_span.end, end)).strip(" \t\r\0")
    if setting.takes_string:
        message, advice = _of_string(setting, entry.literal, rest)
    else:
        message, advice = _of_number(setting, entry)
    if message:
        word = "for example" if setting.takes_string else "write"
        instead = f"{word} {_example(setting)}"
        yield RuleFinding(at_value(RULE, document, entry, message, help=advice or instead))


def _of_string(setting: Setting, word: str, rest: str) -> tuple[str, str]:
    key = setting.key
    if word[0] in QUOTES:
        bare = word.strip("".join(QUOTES))
        advice = f"write it without quotes, for example {_example(setting)}"
        if bare and not rest and setting.objection(bare, "") is None:
            advice = f"write {key} = {printable(bare)}"
        return f"to sanlock quotes are a part of {key}, and its first blank is its end", advice
    if rest and not rest.startswith("#"):
        advice = f"write one word, and '#' before a comment: for example {_example(setting)}"
        return f"of {key} sanlock takes the first word, {printable(word)}, and no more", advice
    objection = setting.objection(word, "")
    return (objection.message, "") if objection is not None else ("", "")


def _of_number(setting: Setting, entry: Entry) -> tuple[str, str]:
    key, word = setting.key, entry.literal
    number = number_in(word)
    if not re.fullmatch("[+-]?[0-9]+", word, re.ASCII):
        value = meant(setting, word)
        advice = f"write {key} = {value}" if isinstance(value, int) else ""
        return (
            f"'{key}' takes {setting.expected}, and sanlock reads {printable(word)} as {number}",
            advice,
        )
    low, high = setting.schema["minimum"], setting.schema["maximum"]
    if low <= number <= high:
        return "", ""
    took = taken(setting, entry)
    what = ", and sanlock keeps what it had" if took is None else ""
    if took not in (None, number):
        what = f", and sanlock takes {took}"
    return f"'{key}' must be from {low} to {high}, not {printable(word)}{what}", ""


def _example(setting: Setting) -> str:
    """A setting as the daemon reads it."""
    return f"{setting.key} = {setting.schema['x-libvirt'].get('sample', setting.default)}"


def _of_line(document: Document, span: Span, message: str, advice: str) -> RuleFinding:
    return RuleFinding(
        Finding(
            RULE.name,
            RULE.severity,
            message,
            path=document.path,
            place=document.place(span),
            help=advice,
        )
    )
