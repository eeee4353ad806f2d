"""YAML and JSON files, and JSON Schemas of ours to hold them against.

The only module that loads PyYAML and jsonschema, and only when it is asked to: they take 30 and
90 ms to start.
"""

from __future__ import annotations

import datetime
import json
import os

from lockcfg.errors import ReadError
from lockcfg.resources import SCHEMAS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

#: More values than any file of ours has. A few lines of YAML can stand for billions.
_MOST: Final = 1_000_000


def load_yaml(text: bytes, path: str) -> Any:
    """What ``text``, YAML or JSON, says; ``path`` is for the message of a ReadError."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ReadError(path, f"is not YAML: {reason}") from error


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
