"""What libvirt knows of each setting, out of ``schemas/``.

The schemas are JSON Schema, and any validator takes them. The commands check values with the few
lines here instead, which also know libvirt's types (a bool has no sign) and take 1 ms to start;
``jsonschema`` takes 90. A test compares the two.
"""

from __future__ import annotations

import json
import os
import re

from lockcfg.conf.files import KINDS, kinds_of
from lockcfg.errors import LockcfgError
from lockcfg.frozen import Frozen
from lockcfg.nearest import nearest
from lockcfg.resources import SCHEMAS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

    from lockcfg.conf.document import Value
    from lockcfg.conf.files import Driver, FileKind

#: The names of libvirt's types in messages.
_EXPECTED: Final = {
    "bool": "0 or 1",
    "int": "an integer",
    "uint": "a whole number",
    "ulonglong": "a whole number",
    "size": "a whole number",
    "string": "a string in quotes",
    "string-list": "a list of strings",
    "string-or-list": "a string or a list of strings",
    "uint-or-unlimited": 'a whole number, or "unlimited"',
    "uint-or-string": "a whole number or a string",
}

_UNSIGNED: Final = ("bool", "uint", "ulonglong", "size", "uint-or-unlimited", "uint-or-string")
_INTEGERS: Final = (*_UNSIGNED, "int")
_STRINGS: Final = ("string", "string-or-list", "uint-or-unlimited", "uint-or-string")
_LISTS: Final = ("string-list", "string-or-list")

#: The integers that the parser of libvirt 9.0 keeps: a sign and 64 bits. Beyond that it reads
#: another number, without a warning.
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**64 - 1

#: The last release that was seen to do so, and the integers that the parser of 11.3 accepts; it
#: refuses the rest.
WRAPPING_RELEASE: Final = (9, 0)
REFUSING_RELEASE: Final = (11, 3)
TAKEN_MAX: Final = 2**63 - 1
TAKEN_MIN: Final = -TAKEN_MAX


def integer_bounds(release: tuple[int, ...]) -> tuple[int, int]:
    """The least and the largest integer that the parser of a libvirt release reads as written.

    For a release between 9.0 and 11.3 this is unknown, and the bounds of 11.3 are used.
    """
    if release[:2] <= WRAPPING_RELEASE:
        return INTEGER_MIN, INTEGER_MAX
    return TAKEN_MIN, TAKEN_MAX


def release_numbers(release: str) -> tuple[int, ...]:
    """A release as a schema has it, as numbers that compare."""
    return tuple(map(int, release.split(".")))


#: The range of libvirt's integer types; for other types all that its parser keeps.
_RANGES: Final = {
    "bool": (0, 1),
    "int": (-(2**31), 2**31 - 1),
    "uint": (0, 2**32 - 1),
    "ulonglong": (0, 2**64 - 1),
    "size": (0, 2**64 - 1),
}


class Objection(Frozen):
    """Why a value is wrong for a setting. ``rule`` is the slug of the finding it makes; ``refused``
    whether libvirt refuses to start with it."""

    __slots__ = ("help", "message", "refused", "rule")

    def __init__(self, rule: str, message: str, help: str, refused: bool) -> None:
        self.rule: Final = rule
        self.message: Final = message
        self.help: Final = help
        self.refused: Final = refused


class Setting(Frozen):
    """One setting of one kind of file, as its schema describes it.

    ``type`` is how libvirt reads it, one of ``bool``, ``int``, ``uint``, ``ulonglong``, ``size``,
    ``string``, ``string-list``, ``string-or-list``, ``uint-or-unlimited`` and ``uint-or-string``.
    ``default`` is the value in force if it is not set; None if that is decided when libvirt is
    built or started, and ``default_from`` then says how. ``since`` is the first libvirt release
    that knows the setting, ``removed`` the first that no longer does, or None.
    """

    __slots__ = ("key", "kind", "schema")

    def __init__(self, key: str, kind: FileKind, schema: Mapping[str, Any]) -> None:
        self.key: Final = key
        self.kind: Final = kind
        self.schema: Final = schema

    @property
    def type(self) -> str:
        """How libvirt reads the value."""
        return str(self.schema["x-libvirt"]["type"])

    @property
    def description(self) -> str:
        """What the setting does."""
        return str(self.schema["description"])

    @property
    def default(self) -> Value | None:
        """The value in force if the setting is absent."""
        return _value(self.schema.get("default"))

    @property
    def default_from(self) -> str | None:
        """Where the default comes from, if it is not a fixed value."""
        text = self.schema["x-libvirt"].get("default_from")
        return None if text is None else str(text)

    @property
    def since(self) -> str:
        """The first libvirt release that knows the setting; 0 for one that no libvirt knows."""
        return str(self.schema["x-libvirt"].get("since", "0"))

    @property
    def since_certain(self) -> bool:
        """Whether :attr:`since` is sure: else an earlier release may know the setting too."""
        return bool(self.schema["x-libvirt"].get("since_certain", True))

    @property
    def absent(self) -> str:
        """If :attr:`since` is not sure: the newest release that surely does not know the setting.
        The schemas were compared with 9.0, which has none of the later settings."""
        return str(self.schema["x-libvirt"].get("absent", "9.0.0"))

    @property
    def removed(self) -> str | None:
        """The first libvirt release that no longer knows the setting."""
        release = self.schema["x-libvirt"].get("removed")
        return None if release is None else str(release)

    @property
    def secret(self) -> bool:
        """Whether the value must not be shown."""
        return bool(self.schema["x-libvirt"].get("secret", False))

    @property
    def choices(self) -> tuple[str, ...]:
        """The strings it may be, empty if it may be any."""
        found: list[str] = []
        for schema in (self.schema, *self.schema.get("anyOf", ())):
            found.extend(str(choice) for choice in schema.get("enum", ()))
        return tuple(dict.fromkeys(found))

    @property
    def choice_since(self) -> Mapping[str, str]:
        """The first libvirt release that knows a choice, of those that came after the setting."""
        since: Mapping[str, str] = self.schema["x-libvirt"].get("choice_since", {})
        return since

    @property
    def weaker(self) -> tuple[Value | None, str]:
        """The value with which fewer disks are locked than with another, and what it does, as the
        end of a sentence; None and empty if there is none."""
        found = self.schema["x-libvirt"].get("weaker", {})
        return _value(found.get("value")), str(found.get("what", ""))

    @property
    def expected(self) -> str:
        """What a value of the setting looks like, in words."""
        return _EXPECTED[self.type]

    @property
    def takes_integer(self) -> bool:
        """Whether an integer is of the right type."""
        return self.type in _INTEGERS

    @property
    def takes_string(self) -> bool:
        """Whether a string is of the right type."""
        return self.type in _STRINGS

    @property
    def takes_list(self) -> bool:
        """Whether a list is of the right type."""
        return self.type in _LISTS

    def is_known_to(self, release: tuple[int, ...] | None) -> bool:
        """Whether a libvirt release, by default the newest, has the setting. A release without it
        ignores it, whatever its value. If that is uncertain, the release counts as having it."""
        if release is None or self.kind.program != "libvirt":
            return True
        certain = self.since_certain or release[:2] <= release_numbers(self.absent)[:2]
        if certain and release_numbers(self.since) > release:
            return False
        return self.removed is None or release < release_numbers(self.removed)

    @property
    def ignored(self) -> bool:
        """Whether libvirt's sample has the setting, and no driver that was tried reads it."""
        return bool(self.schema["x-libvirt"].get("ignored", False))

    def is_read_by(self, release: tuple[int, ...] | None) -> bool:
        """Whether a libvirt release, by default the newest, looks at the value."""
        return not self.ignored and self.is_known_to(release)

    def is_refused(self, release: tuple[int, ...] | None = None) -> bool:
        """Whether a libvirt release, by default the newest, refuses to start with a value of the
        right type that the schema does not take."""
        if not self.is_read_by(release):
            return False
        if self.schema["x-libvirt"].get("refused", True):
            return True
        since = self.schema["x-libvirt"].get("refused_since")
        if since is None:
            return False
        return release is None or release_numbers(since) <= release

    def objection(
        self, value: Value, literal: str, release: tuple[int, ...] | None = None
    ) -> Objection | None:
        """Why libvirt would not accept ``value``, spelled ``literal``; None if it would. The
        release says which libvirt, by default the newest."""
        if not self._right_type(value, literal):
            what = "the value" if self.secret else _describe(value, literal)
            return Objection(
                "wrong-type",
                f"'{self.key}' takes {self.expected}, not {what}",
                self._help(value),
                refused=self.is_read_by(release),
            )
        reason = _violation(self.schema, value)
        if reason is None:
            return None
        return Objection(
            "bad-value",
            f"'{self.key}' {reason}",
            self._help(value),
            refused=self.is_refused(release)
            or (self.is_read_by(release) and not self._holds(value)),
        )

    def _holds(self, value: Value) -> bool:
        """Whether libvirt's type can hold ``value``. If not, libvirt refuses it."""
        low, high = _RANGES.get(self.type, (INTEGER_MIN, INTEGER_MAX))
        return not isinstance(value, int) or low <= value <= high

    def takes(self, value: Value, literal: str) -> bool:
        """Whether libvirt accepts ``value``, spelled ``literal``, and uses it as meant."""
        return self._right_type(value, literal) and _violation(self.schema, value) is None

    def _right_type(self, value: Value, literal: str) -> bool:
        if isinstance(value, int):
            if literal.startswith("-"):
                return self.type == "int"
            return self.takes_integer
        if isinstance(value, str):
            return self.takes_string
        return self.takes_list and all(isinstance(element, str) for element in value)

    def _help(self, value: Value) -> str:
        """What to write in the place of ``value``."""
        if isinstance(value, str) and self.choices and (near := nearest(value, self.choices)):
            known, what = self.weaker
            return f"did you mean '{near}'?" + (f" {near} {what}" if near == known else "")
        return self.example

    @property
    def examples(self) -> tuple[Value, ...]:
        """Values that libvirt takes: that of its sample, the default, the smallest."""
        sample = _value(self.schema["x-libvirt"].get("sample"))
        values = (sample, self.default, _value(self.schema.get("minimum")))
        return tuple(v for v in values if v is not None and self.takes(v, spell(v)))

    @property
    def example(self) -> str:
        """What to write instead of a wrong value; empty if unknown."""
        weaker, what = self.weaker
        said = f"; {weaker} {what}" if what else ""
        if self.type == "bool":
            may_be = [n for n in (1, 0) if _violation(self.schema, n) is None and n != weaker]
            return "write " + " or ".join(f"{self.key} = {n}" for n in may_be) + said
        if self.choices:
            choices = [choice for choice in self.choices if choice != weaker]
            return f"choices, in quotes: {', '.join(choices)}{said}"
        if self.secret:
            return f'write {self.key} = "…", with what it is set to between the quotes'
        for value in self.examples:
            return f"for example {self.key} = {spell(value)}"
        start = "/" if self.schema.get("pattern") == "^/" else ""
        return f'for example {self.key} = "{start}…"' if self.takes_string else ""


def settings_of(kind: FileKind) -> Mapping[str, Setting]:
    """Every setting of a kind of file, in the order of libvirt's sample. Read once."""
    known = _loaded.get(kind.name)
    if known is None:
        properties = schema_of(kind)["properties"]
        known = {key: Setting(key, kind, schema) for key, schema in properties.items()}
        _loaded[kind.name] = known
    return known


_loaded: Final[dict[str, dict[str, Setting]]] = {}


class Together(Frozen):
    """What holds for several settings of one file together, ``x-together`` in its schema.

    ``keys`` are the settings, ``text`` says what holds, as a sentence without its end. ``mend`` is
    the one to set if it does not hold, if that is not the last one that was set.
    """

    __slots__ = ("_below", "_never", "keys", "kind", "mend", "text")

    def __init__(self, kind: FileKind, schema: Mapping[str, Any]) -> None:
        self.kind: Final = kind
        self._below: Final[Sequence[str]] = schema.get("below", ())
        self._never: Final[Mapping[str, object]] = schema.get("never", {})
        self.mend: Final[str] = schema.get("mend", "")
        self.keys: Final = tuple(self._below or self._never)
        if self._below:
            low, high = self._below
            what = f"{low} is below {high}"
        else:
            what = "not " + " with ".join(
                f"{key} = {spell(value) if isinstance(value, int | str) else value}"
                for key, value in self._never.items()
            )
        self.text: Final = f"{what}: {schema['because']}"

    def broken_by(self, values: Mapping[str, Value]) -> str | None:
        """The setting to change if ``values``, by setting, break the rule; None if they do not.

        A setting that is not among them has its default. A value of the wrong type does not break
        the rule as well.
        """
        if not any(key in values for key in self.keys):
            return None
        settings = settings_of(self.kind)
        last = [key for key in values if key in self.keys][-1]
        if self._below:
            low, high = (values.get(key, settings[key].default) for key in self._below)
            right = isinstance(low, int) and isinstance(high, int) and low >= high
            return last if right else None
        for key, banned in self._never.items():
            value = values.get(key, settings[key].default)
            if value != banned and not (isinstance(value, tuple) and banned in value):
                return None
        return last


def together_in(kind: FileKind) -> tuple[Together, ...]:
    """What holds for several settings of a kind of file together."""
    known = _together.get(kind.name)
    if known is None:
        rules = schema_of(kind).get("x-together", ())
        known = _together[kind.name] = tuple(Together(kind, rule) for rule in rules)
    return known


_together: Final[dict[str, tuple[Together, ...]]] = {}


def schema_path(kind: FileKind) -> str:
    """Where the JSON Schema of a kind of file is."""
    return os.path.join(SCHEMAS, f"{kind.name}.schema.json")


def schema_of(kind: FileKind) -> dict[str, Any]:
    """The JSON Schema of a kind of file, as parsed JSON. Read once, as nothing changes it."""
    known = _schemas.get(kind.name)
    if known is None:
        path = schema_path(kind)
        try:
            with open(path, encoding="utf-8") as file:
                known = _schemas[kind.name] = json.load(file)
        except OSError as error:
            raise LockcfgError(
                f"{path}: {error.strerror}", help="the installation of lockcfg is incomplete"
            ) from None
    return known


_schemas: Final[dict[str, dict[str, Any]]] = {}


def kinds_with(key: str, driver: Driver) -> tuple[FileKind, ...]:
    """The kinds of file of ``driver`` that have the setting ``key``: one, or none."""
    return tuple(kind for kind in kinds_of(driver) if key in settings_of(kind))


def kinds_anywhere_with(key: str) -> tuple[FileKind, ...]:
    """The kinds of file, of any driver, that have the setting ``key``."""
    return tuple(kind for kind in KINDS.values() if key in settings_of(kind))


def spell(value: Value) -> str:
    """``value`` as libvirt's samples write it.

    Raises ValueError for a string that libvirt's syntax cannot hold: it has no escapes, so a
    string with line ends or both kinds of quotes goes into triple quotes, which it must then
    not contain or end with.
    """
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        if not re.search(r"[\r\n]", value):
            if '"' not in value:
                return f'"{value}"'
            if "'" not in value:
                return f"'{value}'"
        if '"""' in value or value.endswith('"'):
            raise ValueError("libvirt's syntax has no way to write this string")
        return f'"""{value}"""'
    if not value:
        return "[ ]"
    return f"[ {', '.join(spell(element) for element in value)} ]"


def _value(json_value: object) -> Value | None:
    if isinstance(json_value, list):
        return tuple(
            element if isinstance(element, int) else str(element) for element in json_value
        )
    if json_value is None or isinstance(json_value, int | str):
        return json_value
    raise TypeError(f"a schema holds {json_value!r}, which is not a value of libvirt's")


def _describe(value: Value, literal: str) -> str:
    if isinstance(value, int):
        return literal if len(literal) < 40 else f"{literal[:40]}…"
    if isinstance(value, str):
        return f"the string {literal[:60]}"
    if any(isinstance(element, int) for element in value):
        return "a list with integers in it"
    return "a list"


def _violation(schema: Mapping[str, Any], value: Value) -> str | None:
    """How ``value``, of the right type, violates ``schema``, as the end of a sentence."""
    branches = schema.get("anyOf")
    if branches is not None:
        reasons = [_violation(b, value) for b in branches if _is_of(b.get("type"), value)]
        return None if None in reasons or not reasons else reasons[0]
    if isinstance(value, tuple):
        if schema.get("uniqueItems") and len(set(value)) < len(value):
            return "cannot have an element twice"
        items = schema.get("items", {})
        return next(filter(None, (_violation(items, element) for element in value)), None)
    choices = schema.get("enum")
    if choices is not None and value not in choices:
        return f"cannot be {_quote(value)}"
    if isinstance(value, int):
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and low == high != value:
            return f"must be {low}, not {_quote(value)}"
        if (low is not None and value < low) or (high is not None and value > high):
            return f"must be from {low} to {high}, not {_quote(value)}"
        return None
    if len(value) < schema.get("minLength", 0):
        return "cannot be empty"
    pattern = schema.get("pattern")
    if pattern is not None and not re.search(pattern, value):
        if pattern == "^/":
            return f"must be an absolute path, not {_quote(value)}"
        return f"has the wrong form: {_quote(value)}"
    return None


def _is_of(json_type: object, value: Value) -> bool:
    return isinstance(value, {"string": str, "integer": int, "array": tuple}[str(json_type)])


def _quote(value: object) -> str:
    text = str(value)
    text = text if len(text) <= 60 else f"{text[:60]}…"
    return f"'{text}'" if isinstance(value, str) else text
