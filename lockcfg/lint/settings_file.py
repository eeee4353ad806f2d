"""Parses the settings of a lint run, and checks them against ``schemas/settings.schema.json``."""

from __future__ import annotations

import os

from lockcfg.errors import ReadError
from lockcfg.host.installed import parse_release
from lockcfg.lint.settings import (
    LintSettings,
    SettingsWaiver,
    known_rule,
    nearest_rule,
    no_rule,
)
from lockcfg.rules.rule import Options
from lockcfg.yamlschema import check_against, find_text, load_schema, load_yaml, plain, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping, Sequence
    from typing import Any


def parse_settings(path: str, text: bytes) -> LintSettings:
    """The settings in ``text``, which is from a settings file or a ``pyproject.toml``; ``path`` is
    absolute. Raises :class:`ReadError` and :class:`UsageError`."""
    return _settings(path, text, _content(path, text))


def parse_project(path: str, text: bytes) -> LintSettings | None:
    """The settings in a ``pyproject.toml``; None if it has no table ``tool.lockcfg``."""
    content = _content(path, text)
    return None if content is None else _settings(path, text, content)


def _content(path: str, text: bytes) -> Any:
    """The content of a settings file; None for a pyproject.toml without a table
    ``tool.lockcfg``."""
    if path.endswith(".toml"):
        import tomllib

        try:
            tools = tomllib.loads(text.decode()).get("tool")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ReadError(path, f"is not TOML: {error}") from error
        return tools.get("lockcfg") if isinstance(tools, dict) else None
    content = load_yaml(text, path)
    return {} if content is None else content


def _settings(path: str, text: bytes, content: Any) -> LintSettings:
    content = {} if content is None else plain(content, path)
    root = os.path.dirname(path)
    check_against(load_schema("settings"), content, text, path)
    waivers = [
        SettingsWaiver(
            each["rule"],
            each["path"],
            each["reason"],
            _date(path, text, ("waivers", number, "until"), each.get("until")),
        )
        for number, each in enumerate(content.get("waivers", ()))
    ]
    per_path = [(each["path"], each["ignore"]) for each in content.get("per-path", ())]
    names: list[str] = [
        *content.get("select", ()),
        *content.get("ignore", ()),
        *content.get("severity", ()),
        *(waiver.rule for waiver in waivers),
        *(name for _, rules in per_path for name in rules),
    ]
    for name in names:
        if not known_rule(name):
            raise refusal(
                text,
                path,
                find_text(content, name),
                no_rule(name),
                help=nearest_rule(name),
                shown=(),
            )
    baseline = content.get("baseline")
    return LintSettings(
        root,
        path=path,
        select=content.get("select", ()),
        ignore=content.get("ignore", ()),
        severity=content.get("severity"),
        fail_level=content.get("fail-level", "warning"),
        exclude=content.get("exclude", ()),
        per_path=per_path,
        waivers=waivers,
        baseline=os.path.join(root, baseline) if baseline else None,
        options=_options(content),
    )


def _options(content: Mapping[str, Any]) -> Options:
    given: dict[str, Any] = {
        key.replace("-", "_"): content[key]
        for key in ("guests", "spare-guests", "descriptor-limit", "image-directories", "groups")
        if key in content
    }
    if "libvirt-version" in content:
        given["libvirt_version"] = parse_release(content["libvirt-version"])
    return Options(**given)


def _date(
    path: str, text: bytes, keys: Sequence[str | int], day: str | None
) -> datetime.date | None:
    if day is None:
        return None
    import datetime

    try:
        return datetime.date.fromisoformat(day)
    except ValueError:
        raise refusal(text, path, keys, f"'{day}' is not a date", help="write YYYY-MM-DD") from None
