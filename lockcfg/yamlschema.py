"""YAML and JSON files, and JSON Schemas of ours to hold them against.

The only module that loads PyYAML and jsonschema, and only when it is asked to: they take 30 and
90 ms to start.
"""

from __future__ import annotations

import json
import os

from lockcfg.errors import ReadError, UsageError
from lockcfg.nearest import nearest
from lockcfg.resources import SCHEMAS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Final

    from jsonschema import ValidationError

    #: From the top of a file to a value: keys of mappings and numbers in lists.
    KeyPath = Sequence[str | int]

#: More values than any file of ours has. A few lines of YAML can stand for billions.
_MOST: Final = 1_000_000


def load_yaml(text: bytes, path: str) -> Any:
    """What ``text``, YAML or JSON, says; ``path`` is for the message of a ReadError."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else path
        words = str(getattr(error, "problem", None) or error)
        raise ReadError(where, f"is not YAML: {' '.join(words.split())[:200]}") from error


def plain(content: Any, path: str) -> Any:
    """What YAML said, with its dates as the text they were. Raises :class:`ReadError` for what
    is too much or holds itself."""
    return _plain(content, path, [_MOST])


def _plain(content: Any, path: str, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise ReadError(path, "holds too much, or itself")
    try:
        if isinstance(content, dict):
            return {key: _plain(value, path, left) for key, value in content.items()}
        if isinstance(content, list):
            return [_plain(value, path, left) for value in content]
    except RecursionError:
        raise ReadError(path, "holds too much, or itself") from None
    import datetime

    if isinstance(content, datetime.date):
        return content.isoformat()
    return content


def load_schema(name: str) -> dict[str, Any]:
    """One of our schemas, by the name of its file without ``.schema.json``."""
    with open(os.path.join(SCHEMAS, f"{name}.schema.json"), encoding="utf-8") as file:
        schema: dict[str, Any] = json.load(file)
    return schema


def violations(instance: Any, schema: dict[str, Any]) -> list[tuple[str, str]]:
    """What ``schema`` has against ``instance``: pairs of the place (``a.0.b``) and the reason,
    in the order of the places."""
    from jsonschema import Draft202012Validator

    found = [
        (".".join(map(str, error.absolute_path)), error.message[:200])
        for error in Draft202012Validator(schema).iter_errors(instance)
    ]
    return sorted(found)


def check_against(schema: dict[str, Any], content: Any, text: bytes, path: str) -> None:
    """Raise :class:`UsageError` for the first thing that ``schema`` has against ``content``,
    which ``text``, of the file at ``path``, says: with line and column, and with the name that
    was probably meant."""
    from jsonschema import Draft202012Validator

    errors = list(Draft202012Validator(schema).iter_errors(content))
    if not errors:
        return
    error = min(errors, key=lambda each: ".".join(map(str, each.absolute_path)))
    keys = [*error.absolute_path]
    wrong, known = _misspelt(error)
    near = nearest(wrong, known)
    advice = f"did you mean '{near}'?" if near else ""
    if error.validator == "additionalProperties":
        advice = advice or f"choices: {', '.join(sorted(known))}"
        raise refusal(text, path, [*keys, wrong], error.message[:200], help=advice, shown=keys)
    raise refusal(text, path, keys, error.message[:200], help=advice)


def refusal(
    text: bytes,
    path: str,
    keys: KeyPath,
    message: str,
    *,
    help: str = "",
    shown: KeyPath | None = None,
) -> UsageError:
    """The error for what stands at ``keys`` in ``text``, with its line and column where they can
    be told. ``shown`` are the keys that the message names, by default the same."""
    where = _toml_place(text, keys) if path.endswith(".toml") else _yaml_place(text, keys)
    names = ".".join(map(str, keys if shown is None else shown))
    lead = f"{names}: " if names else ""
    return UsageError(f"{path}{where}: {lead}{message}", help=help)


def find_text(content: Any, text: str, keys: KeyPath = ()) -> KeyPath:
    """The keys that lead to the first value or key that is ``text``; empty if there is none."""
    inside: Iterable[tuple[str | int, Any]] = ()
    if isinstance(content, dict):
        if text in content:
            return (*keys, text)
        inside = content.items()
    elif isinstance(content, list):
        inside = enumerate(content)
    for step, value in inside:
        if value == text:
            return (*keys, step)
        if found := find_text(value, text, (*keys, step)):
            return found
    return ()


def _misspelt(error: ValidationError) -> tuple[str, list[str]]:
    """The name that a schema does not know, and those that it knows."""
    instance: Any = error.instance
    schema: Any = error.schema
    if error.validator == "additionalProperties" and isinstance(instance, dict):
        known = list(schema.get("properties", ()))
        return next((str(key) for key in instance if key not in known), ""), known
    if error.validator == "enum" and isinstance(instance, str):
        return instance, [each for each in schema["enum"] if isinstance(each, str)]
    return "", []


def _yaml_place(text: bytes, keys: KeyPath) -> str:
    """Where a key, or an item of a list, stands, as ``:LINE:COLUMN``."""
    import yaml

    node = yaml.compose(text, Loader=yaml.SafeLoader) if text.strip() else None
    if node is None:
        return ""
    for number, step in enumerate(keys):
        if isinstance(node, yaml.MappingNode):
            pair = next((each for each in node.value if each[0].value == str(step)), None)
            if pair is None:
                break
            node = pair[0] if number == len(keys) - 1 else pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
    mark = node.start_mark
    return f":{mark.line + 1}:{mark.column + 1}"


def _toml_place(text: bytes, keys: KeyPath) -> str:
    """The same for TOML, whose parser keeps no places: the first line of our table that has the
    last of the names as a key or a value."""
    name = next((step for step in reversed(keys) if isinstance(step, str)), "")
    ours = False
    for number, line in enumerate(text.decode("utf-8", "replace").split("\n"), 1):
        if line.lstrip().startswith("["):
            ours = line.lstrip(" [\t").startswith("tool.lockcfg")
        if ours and name and name in line:
            return f":{number}:{line.index(name) + 1}"
    return ""
