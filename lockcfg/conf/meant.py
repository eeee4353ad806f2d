"""What a person means by a value that is written as another language would write it.

``yes``, ``4k``, ``0x8000``, ``“root”``, ``(a b)``: libvirt accepts none of them, but the meaning is
plain. :func:`meant` finds the value; the caller decides whether to use it.
"""

from __future__ import annotations

import re

from lockcfg.conf.settings import spell
from lockcfg.nearest import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.conf.document import Value
    from lockcfg.conf.settings import Setting

#: Quotes that people use, each with its closing quote.
QUOTES: Final = {
    '"': '"',
    "'": "'",
    "`": "`",
    "“": "”",
    "”": "”",
    "„": "“",
    "‘": "’",
    "’": "’",
    "‚": "‘",
    "«": "»",
    "»": "«",
    "″": "″",
}

_TRUE: Final = frozenset(("1", "true", "yes", "on", "y", "t", "enabled", "enable", "always"))
_FALSE: Final = frozenset(("0", "false", "no", "off", "n", "f", "disabled", "disable", "never"))
_UNLIMITED: Final = frozenset(("unlimited", "infinity", "inf", "infinite", "max", "none", "-1"))

#: Words that stand for no value.
NOTHING: Final = frozenset(("", "null", "nil", "none", "~", "undef", "undefined", "default"))

# Patterns are compiled when they are needed first: most files have every value as libvirt takes it.
_NUMBER: Final = (
    r"(?P<sign>[+-]?)(?:0[xX](?P<hex>[0-9a-fA-F_]+)|0[oO](?P<octal>[0-7_]+)|0[bB](?P<binary>[01_]+)"
    r"|(?P<digits>[0-9]+|[0-9]{1,3}(?:[,_' .][0-9]{3})+)(?:\.0*)?"
    r"[ ]?(?P<unit>[kKmMgGtT]?)(?:[iI]?[bB](?:ytes?)?)?)"
)

#: A unit is a power of 1024, as libvirt's own sizes are.
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

_BRACKETS: Final = {"[": "]", "(": ")", "{": "}"}


def unquoted(text: str) -> str | None:
    """The text inside the quotes around ``text``, of any kind; None without quotes."""
    if len(text) < 2:
        return None
    first, last = text[0], text[-1]
    if QUOTES.get(first) == last:
        if len(text) > 5 and first in "\"'" and text[:3] == text[-3:] == first * 3:
            return text[3:-3]
        return None if first in "\"'" and first in text[1:-1] else text[1:-1]
    # A word processor does not always see which end it is at.
    odd = first in QUOTES and first not in "\"'`"
    return text[1:-1] if odd and last in QUOTES else None


def parts_of(text: str) -> tuple[str, ...]:
    """The elements of a list that was written as one string (``a,b`` or ``a b``).

    Empty if it is a single string: only paths and plain words count as elements.
    """
    parts = tuple(part for part in re.split(r"[,;\s]+", text) if part)
    if len(parts) > 1 and (
        all(part.startswith("/") for part in parts)
        or all(re.fullmatch(r"[A-Za-z][\w-]*", part) for part in parts)
    ):
        return parts
    return ()


def meant(setting: Setting | None, text: str) -> Value | None:
    """The value that ``text`` means for ``setting``, if libvirt accepts it; else None.

    ``setting`` is None for an unknown one: then the value is a number, a list or a string.
    """
    text = text.strip()
    for value in _readings(setting, text):
        if setting is None:
            return value
        try:
            literal = spell(value)
        except ValueError:
            continue
        if setting.takes(value, literal):
            return value
    return None


def what_to_write(setting: Setting, value: Value) -> str:
    """libvirt's form of a ``value`` that it does not accept; empty if the meaning is not plain, and
    for a password."""
    if setting.secret:
        return ""
    elements = value if isinstance(value, tuple) else (value,)
    found: Value | None = None
    if len(elements) == 1:
        found = meant(setting, str(elements[0]))
    elif setting.takes_list:
        found = tuple(str(element) for element in elements)
    if found is None or not setting.takes(found, spell(found)):
        return ""
    return f"write {setting.key} = {spell(found)}{weaker(setting, found)}"


def weaker(setting: Setting | None, value: Value) -> str:
    """What to say of ``value`` where with another one more disks are locked, as the end of a
    sentence."""
    known, what = setting.weaker if setting else (None, "")
    return f", which {what}" if what and value == known else ""


def _readings(setting: Setting | None, text: str) -> Iterator[Value]:
    """What ``text`` may mean, the most likely first."""
    inner = unquoted(text)
    plain = text if inner is None else inner
    if setting is None:
        if (number := _number(text)) is not None:
            yield number
        if text[:1] in _BRACKETS:
            yield tuple(_elements(text))
        yield plain
        return
    if setting.type == "bool":
        word = plain.lower()
        if word in _TRUE or word in _FALSE:
            yield int(word in _TRUE)
    if setting.takes_string and inner is not None:
        yield inner
    if setting.takes_integer and (number := _number(plain)) is not None:
        yield number
    if "unlimited" in setting.choices and plain.lower() in _UNLIMITED:
        yield "unlimited"
    if setting.takes_list and (text[:1] in _BRACKETS or inner is None or not setting.takes_string):
        elements = tuple(_elements(text))
        if len(elements) == 1 and setting.takes_string and text[:1] not in _BRACKETS:
            yield elements[0]
        yield elements
        yield tuple(nearest(each.lower(), setting.choices) or each for each in elements)
    if setting.takes_string and text[:1] not in _BRACKETS:
        yield plain
        if setting.choices and (near := nearest(plain.lower(), setting.choices)):
            yield near
        if setting.takes_list and (parts := parts_of(plain)):
            yield parts


def _number(text: str) -> int | None:
    """The integer that ``text`` spells, in any notation; None if it spells none."""
    match = re.fullmatch(_NUMBER, text[:100])
    if match is None:
        if re.fullmatch(r"[0-9]{1,3}[eE][0-9]", text):
            return int(float(text))
        return None
    for base, name in ((16, "hex"), (8, "octal"), (2, "binary")):
        if match[name]:
            number = int(match[name].replace("_", "") or "0", base)
            break
    else:
        digits = re.sub("[^0-9]", "", match["digits"])
        number = int(digits) * 1024 ** _POWERS[match["unit"].lower()]
    return -number if match["sign"] == "-" else number


_ELEMENT: Final = (
    r"[\s\[\](){}]*+(?:#[^\n]*(?:\n|\Z)\s*)*(?:-\s+)?"
    r"(?P<element>\"[^\"\n]*\"|'[^'\n]*'|[“„”][^“”\n]*[“”]|[‘‚’][^‘’\n]*[‘’]|[\"']?[^\s,;\[\](){}\"'#]+)"
    r"(?:\s*[,;])*"
)


def _elements(text: str) -> Iterator[str]:
    """The elements of a list in any notation: brackets, commas, blanks, dashes."""
    pattern = re.compile(_ELEMENT)
    at = 1 if text[:1] in _BRACKETS else 0
    while match := pattern.match(text, at):
        element = match["element"]
        inner = unquoted(element)
        yield element.strip("\"'") if inner is None else inner
        at = match.end()
