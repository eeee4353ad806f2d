"""Advises what to write in place of a statement that libvirt's parser refuses.

People write these files like files of other programs: YAML, JSON, INI, shell, systemd. If the
meaning is plain, :func:`advise` gives libvirt's form: typed like that, the statement is right. It
never repeats passwords.
"""

from __future__ import annotations

import re
from itertools import islice, pairwise

from lockcfg.conf.document import decode
from lockcfg.conf.foreign import encrypted_by, is_template
from lockcfg.conf.meant import NOTHING, QUOTES, meant, weaker
from lockcfg.conf.settings import kinds_anywhere_with, settings_of, spell
from lockcfg.nearest import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.document import Value
    from lockcfg.conf.files import FileKind
    from lockcfg.conf.settings import Setting

#: Longer advice does not help.
_MOST: Final = 400

#: Names that may be of a password.
_SECRET: Final = re.compile(r"pas|pwd|psw|secret", re.IGNORECASE)

#: Characters that are invisible and that libvirt does not take for blanks.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\xa0\xad\u1680\u2000-\u200f\u2028-\u202f\u205f\u2060\u3000\ufeff]"
)

#: How comments begin in other formats.
_COMMENT: Final = re.compile(
    r"\s*(?://+|;+|--+(?=\s)|/\*+|\*+(?=\s)|<!--|!+|%+|(?i:rem|dnl)\s)\s*(.*)"
)

_SECTION: Final = re.compile(r"\s*\[[^\]]*\]\s*[;#]?.*")

#: A line with only brackets, which enclose something in other formats.
_ENCLOSURE: Final = re.compile(
    r"\s*(?:[{}()\[\],;]+|---+|\.\.\.+|===+|</?[\w:-]+/?>|%YAML.*|\?>|(?:```|~~~)\s*\w*)\s*"
)

_CONFLICT: Final = re.compile(r"(?:<{7}|={7}|>{7}|\|{7})(?: |$)")

_INCLUDE: Final = re.compile(
    r"\s*(?:[!@%.]?\s*include\w*|source|import|\.)\s*[\s\"'<(=:]", re.IGNORECASE
)

_SHELL: Final = re.compile(
    r"\s*(?:\$\s+\S|(?:if|then|else|elif|fi|for|do|done|while|case|esac|echo|cat|EOF|unset|sudo"
    r"|return|exit|sed|augtool|virsh|systemctl|service)\b(?!\s*[=:]))"
)

_ELEMENT: Final = re.compile(r"\s*<([A-Za-z_]\w*)>([^<]*)</\1>\s*")

#: Words before a name in other formats, which mean nothing here.
_PREFIX: Final = re.compile(
    r"(?:export|set|setenv|let|local|declare|typeset|readonly|var|const|my|our|env|default|option"
    r"|define|global)\s+(?:-\w+\s+)*(?=[$A-Za-z_])",
    re.IGNORECASE,
)

#: A name and its value, in any format.
_ASSIGNMENT: Final = re.compile(
    r"(?P<left>(?:\"[^\"=:]*\"|'[^'=:]*'|[^=:\"'({#])+?)\s*"
    r"(?P<operator>:=|==+|=>|->|\+=|\?=|<-|=|:)>?\s*(?P<value>.*)"
)
_JUXTAPOSITION: Final = re.compile(r"(?P<left>[\w.$-]+)(?:\s+|(?=[\"'\[({“‘]))(?P<value>\S.*)")


def advise(text: bytes, kind: FileKind, offset: int) -> str:
    """What to do about ``text``, which libvirt's parser refuses at ``offset``; empty if that is not
    plain."""
    if text.startswith((b"\xff\xfe", b"\xfe\xff")) or (b"\0" in text and not text.isascii()):
        return "save the file as UTF-8: it looks like UTF-16, or like no text at all"
    if encryption := encrypted_by(text):
        return f"decrypt the file first: {encryption} has encrypted it"
    if is_template(text):
        return "this is a template: fill it in, and use the file that comes out"
    if text.count(b'"""', 0, offset) % 2:
        return ""  # the rest of an unclosed string may be anything
    if text.startswith(b"\xef\xbb\xbf") and offset < 3:
        return "take out the byte order mark (BOM) at the start of the file: save it without one"
    advice = _Statement(text, kind, offset).advice()
    return advice if len(advice) <= _MOST else ""


class _Statement:
    """The lines of a statement that is refused."""

    def __init__(self, text: bytes, kind: FileKind, offset: int) -> None:
        self._kind = kind
        self._known = settings_of(kind)
        start = text.rfind(b"\n", 0, offset) + 1
        opening = _list_around(text, offset, start)
        if opening is not None:
            start = text.rfind(b"\n", 0, opening) + 1
        lines = decode(text[start : start + 100_000]).split("\n")
        self._line = lines[0].rstrip("\r")
        self._below = [line.rstrip("\r") for line in lines[1:]]

    def advice(self) -> str:
        line = self._line
        if _CONFLICT.match(line):
            return "remove git's marks of a conflict here, and keep one of the two sides"
        if found := _INVISIBLE.search(line):
            visible = _INVISIBLE.sub(" ", line).strip()
            name = f"U+{ord(found[0]):04X}"
            if self._is_secret(line):
                return f"take out the invisible character {name}"
            return f"take out the invisible character {name}: {self._write(visible)}"
        return self._structure(line) or self._write(line)

    def _structure(self, line: str) -> str:
        """Advice about text that is not a setting at all."""
        if _INCLUDE.match(line):
            return "remove the line: libvirt includes no other file"
        if comment := _COMMENT.fullmatch(line):
            rest = comment[1].removesuffix("*/").removesuffix("-->").strip()
            return "begin a comment with '#'" if self._is_secret(rest) else _comment(rest)
        if _SECTION.fullmatch(line):
            return "remove the line: the file has no sections"
        if _ENCLOSURE.fullmatch(line):
            return "remove the line: the file is a plain list of settings, 'name = value'"
        if _SHELL.match(line):
            return "remove the line: libvirt runs no shell"
        if self._is_prose(line):
            return "begin a comment with '#'" if self._is_secret(line) else _comment(line.strip())
        return ""

    def _is_prose(self, line: str) -> bool:
        """Whether a line is a sentence, such as one of a comment that has lost its mark."""
        if len(line.split()) < 4 or re.search(r"[=\"'\[{<>|$]", line):
            return False
        # Some settings are called as things are: 'user' may begin a sentence.
        for each in (line, _PREFIX.sub("", line.strip())):
            pair = self._exact_pair(each)
            if pair is not None and ("_" in pair[0] or len(_bare(pair[1]).split()) < 2):
                return False
        return not any(map(self._exact, re.findall(r"\w+(?:[_-]\w+)+", line)))

    def _write(self, line: str) -> str:
        """libvirt's form of ``line``, with the lines that belong to it."""
        pair = self._pair(line)
        if pair is None:
            return ""
        key, raw = pair
        setting = self._known.get(key)
        if self._is_secret(line) or self._is_secret(key):
            return f"write '{key} = \"…\"', with what it is set to between the quotes"
        if more := self._more_than_one(line):
            return f"write '{more}'"
        raw = self._whole(raw)
        may_be_none = setting is not None and setting.choices  # one of the choices is "none"
        if _bare(raw).lower() in NOTHING - {"none"} and not may_be_none:
            return _without(setting or self._elsewhere(key))
        if setting is not None and _bare(raw).startswith("$"):
            return f"libvirt fills in no variables: {setting.example}"
        value = meant(setting, _bare(raw))
        if value is None and setting is not None and setting.takes_list:
            value = meant(setting, raw)
        if value is None:
            if setting is None:
                return ""
            return _without(setting) if _bare(raw).lower() in NOTHING else setting.example
        statement = _statement(key, value)
        return f"write '{statement}'{weaker(setting, value)}" if statement else ""

    def _more_than_one(self, line: str) -> str:
        """libvirt's form of the statements of a line that holds several; empty if it holds one."""
        starts = [0]
        for match in re.finditer(r"[;,\s]\s*([A-Za-z]\w*)\s*[=:]", line):
            before = line[: match.start()]
            whole = not (before.count('"') % 2 or before.count("'") % 2)
            if whole and re.search("[=:]", before) and (";" in match[0] or match[1] in self._known):
                starts.append(match.start(1))
        if len(starts) < 2:
            return ""
        parts = [line[start:end].rstrip(" ,;\t") for start, end in pairwise([*starts, len(line)])]
        found: list[str] = []
        for part in parts:
            pair = self._pair(part)
            value = meant(self._known.get(pair[0]), _bare(pair[1])) if pair else None
            statement = _statement(pair[0], value) if pair and value is not None else ""
            if not statement:
                return ""
            found.append(statement)
        return "; ".join(found)

    def _pair(self, line: str) -> tuple[str, str] | None:
        """The name and the value on a line, the name as libvirt spells it."""
        if element := _ELEMENT.fullmatch(line):
            key = self._key(element[1])
            return (key, element[2]) if key else None
        line = re.sub(r"^\s*[-+*]*\s*", "", line).lstrip("{").strip()
        if pair := self._exact_pair(line):
            return pair
        line = _PREFIX.sub("", line)
        if pair := self._exact_pair(line):
            return pair
        match = _ASSIGNMENT.fullmatch(line) or _JUXTAPOSITION.fullmatch(line)
        if match is not None:
            key = self._key(match["left"])
            return (key, match["value"]) if key else None
        key = self._key(line)
        return (key, "") if key else None

    def _exact_pair(self, line: str) -> tuple[str, str] | None:
        """The same, where the line begins with a name that is spelled right, if not as libvirt
        does."""
        match = _ASSIGNMENT.fullmatch(line)
        if match is not None and (key := self._exact(match["left"])):
            return key, match["value"]
        for match in reversed(list(islice(re.finditer(r"[\s\"'\[({“‘]+", line), 6))):
            if key := self._exact(line[: match.start()]):
                return key, line[match.start() :].removeprefix('" ').removeprefix("' ").strip()
        return None

    def _exact(self, left: str) -> str:
        """The name of a setting that ``left`` is, in whatever way it joins words; else empty."""
        name = re.sub(r"[^A-Za-z0-9.]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", left))
        name = name.strip("_").rpartition(".")[2]
        for each in (name, name.lower()):
            if each in self._known or (each and kinds_anywhere_with(each)):
                return each
        return ""

    def _key(self, left: str) -> str:
        """The name of the setting that ``left`` means; empty if there is none."""
        words = [word for word in re.split(r"[^A-Za-z0-9_.-]+", left) if word.strip("-.$")]
        if not words or len(words) > 6:
            return ""
        for name in ("_".join(words), words[-1], words[-1].rpartition(".")[2]):
            snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
            candidate = re.sub(r"[^A-Za-z0-9]+", "_", snake).strip("_")
            for each in (candidate, candidate.lower()):
                if each in self._known or kinds_anywhere_with(each):
                    return each
        near = nearest(candidate.lower(), self._known)
        if near:
            return near
        return (
            candidate
            if len(words) == 1 and re.fullmatch("[A-Za-z][A-Za-z0-9_]*", candidate)
            else ""
        )

    def _whole(self, raw: str) -> str:
        """A value with the lines below that belong to it."""
        if raw[:1] in ("[", "(", "{"):
            return _to_closing("\n".join((raw, *self._below)))
        items: list[str] = []
        for line in self._below:
            item = re.fullmatch(r"\s*-\s+(.*?)\s*", line)
            if item is None:
                break
            items.append(item[1])
        if not raw.partition("#")[0].strip() and items:
            return f"[{', '.join(items)}]"
        while raw.endswith("\\") and self._below:
            raw = f"{raw[:-1].rstrip()} {self._below.pop(0).strip()}"
        return raw

    def _elsewhere(self, key: str) -> Setting | None:
        """The setting of that name that another kind of file has."""
        kinds = kinds_anywhere_with(key)
        return settings_of(kinds[0])[key] if kinds else None

    def _is_secret(self, text: str) -> bool:
        """Whether ``text`` mentions a password, by any name."""
        secrets = [key for key, setting in self._known.items() if setting.secret]
        for word in re.findall(r"\w+", text)[:200]:
            if (setting := self._known.get(word)) is not None:
                if setting.secret:
                    return True
            elif _SECRET.search(word) or nearest(word.lower(), secrets):
                return True
        return False


def _comment(text: str) -> str:
    return f"begin a comment with '#': write '# {text}'"


def _without(setting: Setting | None) -> str:
    """What to do about a setting without a value."""
    if setting is None:
        return "remove the line: libvirt has no such setting"
    example = setting.example
    if setting.default is not None and setting.default == setting.weaker[0]:
        return example  # without the line, fewer disks are locked
    return "remove the line, and libvirt's default holds" + (f"; {example}" if example else "")


def _statement(key: str, value: Value) -> str:
    """libvirt's statement for ``value``; empty if its syntax cannot write it."""
    try:
        return f"{key} = {spell(value)}"
    except ValueError:
        return ""


def _bare(raw: str) -> str:
    """A value without the comment behind it, and what ends a statement elsewhere."""
    raw = raw.strip()
    if raw[:1] in QUOTES:
        if (whole := re.match(r'"((?:[^"\\\n]|\\.)*)"', raw)) and '\\"' in whole[1]:
            return "'" + whole[1].replace('\\"', '"') + "'"
        close = raw.find(QUOTES[raw[0]], 1)
        if close < 0 and raw[0] not in "\"'`":  # closed by another one
            close = next((at for at, c in enumerate(raw[1:], 1) if c in QUOTES), -1)
        if close > 0 and not re.match(r"\s*[\"'\w,]+\S", raw[close + 1 :].lstrip(",;")):
            return raw[: close + 1]
        if close > 0:
            return raw
        raw = raw[1:]  # never closed
    elif raw[:1] in ("[", "(", "{"):
        return raw
    raw = re.split(r"\s+(?:#|//|;|--\s|/\*|<!--)", raw, maxsplit=1)[0]
    raw = raw.rstrip(",;\\ \t}")
    if raw[-1:] in QUOTES and raw[:1] not in QUOTES:
        raw = raw[:-1]  # never opened
    return raw.strip()


def _list_around(text: bytes, offset: int, line_start: int) -> int | None:
    """Where the list opens that contains ``offset``; None if none does."""
    line = text[line_start:offset]
    if re.match(rb"[ \t]*[A-Za-z][A-Za-z0-9_]*[ \t]*=[ \t]*(?!\[)\S", line):
        return None
    opening = None
    for match in re.finditer(rb"(?m)^[ \t]*[A-Za-z][A-Za-z0-9_]*[ \t]*=[ \t]*(\[)", text[:offset]):
        opening = match.start(1)
    if opening is None:
        return None
    between = re.sub(rb"\"[^\"\n]*\"|'[^'\n]*'|#[^\n]*", b"", text[opening:offset])
    return None if b"]" in between else opening


def _to_closing(text: str) -> str:
    """A list up to its closing bracket or, if it has none, up to what looks like the next
    setting."""
    closing = {"[": "]", "(": ")", "{": "}"}[text[0]]
    for match in re.finditer(
        r"\"[^\"\n]*\"|'[^'\n]*'|#[^\n]*|\n[ \t]*[A-Za-z]\w*[ \t]*=|(?P<close>[\])}])", text[1:]
    ):
        if match["close"] == closing:
            return text[: match.end() + 1]
        if match.group().startswith("\n"):
            return text[: match.start() + 1]
    return text
