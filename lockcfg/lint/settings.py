"""The settings of a lint run: ``.lockcfg.yaml``, or ``[tool.lockcfg]`` of ``pyproject.toml``.

``schemas/settings.schema.json`` describes them. The linter uses the nearest
settings file at or above the first path, and its directory is what paths are relative to.
"""

from __future__ import annotations

import datetime
import os
from fnmatch import fnmatch

from lockcfg.conf.load import read_bytes
from lockcfg.errors import ReadError, UsageError
from lockcfg.frozen import Frozen
from lockcfg.host.installed import parse_release
from lockcfg.nearest import nearest
from lockcfg.rules import TABLE
from lockcfg.rules.rule import Options
from lockcfg.yamlschema import check_against, find_text, load_schema, load_yaml, plain, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Final

    from lockcfg.findings import Severity

FILE_NAME: Final = ".lockcfg.yaml"


class SettingsWaiver(Frozen):
    """A waiver of the settings: findings of ``rule`` in files that match ``path``."""

    __slots__ = ("path", "reason", "rule", "until")

    def __init__(self, rule: str, path: str, reason: str, until: datetime.date | None) -> None:
        self.rule: Final = rule
        self.path: Final = path
        self.reason: Final = reason
        self.until: Final = until


class LintSettings(Frozen):
    """What a run is told to do. ``root`` is what the paths in settings, baselines and waivers are
    relative to; ``path`` where the settings were read from, or None for the built-in ones."""

    __slots__ = (
        "baseline",
        "exclude",
        "fail_level",
        "ignore",
        "options",
        "path",
        "per_path",
        "root",
        "select",
        "severity",
        "waivers",
    )

    def __init__(
        self,
        root: str,
        *,
        path: str | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        severity: Mapping[str, Severity] | None = None,
        fail_level: Severity = "warning",
        exclude: Sequence[str] = (),
        per_path: Sequence[tuple[str, Sequence[str]]] = (),
        waivers: Sequence[SettingsWaiver] = (),
        baseline: str | None = None,
        options: Options | None = None,
    ) -> None:
        self.root: Final = root
        self.path: Final = path
        self.select: Final = tuple(select)
        self.ignore: Final = tuple(ignore)
        self.severity: Final = dict(severity or {})
        self.fail_level: Final = fail_level
        self.exclude: Final = tuple(exclude)
        self.per_path: Final = tuple((glob, tuple(rules)) for glob, rules in per_path)
        self.waivers: Final = tuple(waivers)
        self.baseline: Final = baseline
        self.options: Final = options or Options()

    def relative(self, path: str) -> str:
        """``path`` relative to :attr:`root` where it is inside, else absolute, normalised."""
        absolute = os.path.abspath(path)
        if absolute.startswith(f"{self.root.rstrip('/')}/"):
            return absolute[len(self.root.rstrip("/")) + 1 :]
        return absolute


def names_rule(name: str, code: str, slug: str) -> bool:
    """Whether ``name``, as settings and waivers write it, names the rule: by its code, the
    beginning of codes, its slug, or ALL."""
    return name in (code, slug, "ALL") or (name.startswith("LK") and code.startswith(name))


def known_rule(name: str) -> bool:
    """Whether ``name`` names any rule at all."""
    for module in TABLE:
        code, slug = module[:5].upper(), module[6:].replace("_", "-")
        if names_rule(name, code, slug):
            return True
    return False


def matches(path: str, pattern: str) -> bool:
    """Whether a relative path matches a glob, in whole or from one of its directories on."""
    return fnmatch(path, pattern) or fnmatch(path, f"{pattern}/*") or fnmatch(path, f"*/{pattern}")


def load_settings(start: str, explicit: str | None = None) -> LintSettings:
    """The settings for what is at ``start``; those in the file ``explicit`` if it is given.

    Raises :class:`ReadError` for a file that cannot be read and :class:`UsageError` for one
    that the schema does not take, with the place in it.
    """
    if explicit is not None:
        path = os.path.abspath(explicit)
        text = read_bytes(path)
        return _settings(path, text, _content(path, text), os.path.dirname(path))
    directory = os.path.abspath(start)
    if not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    top = directory
    while True:
        path = os.path.join(directory, FILE_NAME)
        if os.path.lexists(path):  # what is not a file is an error, and not no settings
            text = read_bytes(path)
            return _settings(path, text, _content(path, text), directory)
        project = os.path.join(directory, "pyproject.toml")
        if os.path.isfile(project):
            text = read_bytes(project)
            if (content := _content(project, text)) is not None:
                return _settings(project, text, content, directory)
        if os.path.exists(os.path.join(directory, ".git")):
            return LintSettings(directory)
        parent = os.path.dirname(directory)
        if parent == directory:
            here = os.getcwd()
            return LintSettings(here if f"{top}/".startswith(f"{here.rstrip('/')}/") else top)
        directory = parent


def repository_of(path: str) -> str | None:
    """The top of the repository that ``path`` is in, which is what the services that show reports
    want paths to be relative to; None where it is in none."""
    directory = os.path.abspath(path)
    while not os.path.exists(os.path.join(directory, ".git")):
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent
    return directory


def _content(path: str, text: bytes) -> Any:
    """What a settings file holds; None for a pyproject.toml that has no table for us."""
    if path.endswith(".toml"):
        import tomllib

        try:
            tools = tomllib.loads(text.decode()).get("tool")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ReadError(path, f"is not TOML: {error}") from error
        return tools.get("lockcfg") if isinstance(tools, dict) else None
    content = load_yaml(text, path)
    return {} if content is None else content


def _settings(path: str, text: bytes, content: Any, root: str) -> LintSettings:
    content = {} if content is None else plain(content, path)
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
                _no_rule(name),
                help=_nearest_rule(name),
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


def check_names(names: Iterable[str], where: str) -> None:
    """Raise :class:`UsageError` for a name that names no rule."""
    for name in names:
        if not known_rule(name):
            raise UsageError(f"{where}: {_no_rule(name)}", help=_nearest_rule(name))


def _no_rule(name: str) -> str:
    return f"no rule is called '{name}'"


def _nearest_rule(name: str) -> str:
    """What to say of a name that no rule has."""
    slugs = [module[6:].replace("_", "-") for module in TABLE]
    near = nearest(name, [*slugs, *(module[:5].upper() for module in TABLE)])
    return f"did you mean '{near}'? 'lockcfg rules' lists all" if near else "see 'lockcfg rules'"


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
    try:
        return datetime.date.fromisoformat(day)
    except ValueError:
        raise refusal(text, path, keys, f"'{day}' is not a date", help="write YYYY-MM-DD") from None
