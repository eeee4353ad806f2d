"""The settings of a lint run: ``.lockcfg.yaml``, or ``[tool.lockcfg]`` of ``pyproject.toml``.

``schemas/settings.schema.json`` describes them. Paths are relative to the directory of the file.
"""

from __future__ import annotations

import os
from fnmatch import fnmatch

from lockcfg.errors import UsageError
from lockcfg.frozen import Frozen
from lockcfg.nearest import nearest
from lockcfg.rules import TABLE, code_and_name
from lockcfg.rules.rule import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Final

    from lockcfg.findings import Severity


class SettingsWaiver(Frozen):
    """A waiver of the settings, for findings of ``rule`` in files that match ``path``."""

    __slots__ = ("path", "reason", "rule", "until")

    def __init__(self, rule: str, path: str, reason: str, until: datetime.date | None) -> None:
        self.rule: Final = rule
        self.path: Final = path
        self.reason: Final = reason
        self.until: Final = until


class LintSettings(Frozen):
    """The settings of a run. ``root`` is the directory that paths in settings, baselines and
    waivers are relative to. ``path`` is the file of the settings, or None for the built-in ones."""

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
        """``path`` relative to :attr:`root` if it is inside, else absolute; normalised either
        way."""
        absolute = os.path.abspath(path)
        if absolute.startswith(f"{self.root.rstrip('/')}/"):
            return absolute[len(self.root.rstrip("/")) + 1 :]
        return absolute


def names_rule(name: str, code: str, slug: str) -> bool:
    """Whether ``name``, as settings and waivers write it, names the rule: by its code, by the
    beginning of its code, by its slug, or as ALL."""
    return name in (code, slug, "ALL") or (name.startswith("LK") and code.startswith(name))


def known_rule(name: str) -> bool:
    """Whether ``name`` names any rule at all."""
    return any(names_rule(name, *code_and_name(module)) for module in TABLE)


def matches(path: str, pattern: str) -> bool:
    """Whether a relative path matches a glob, as a whole or from one of its directories on."""
    return fnmatch(path, pattern) or fnmatch(path, f"{pattern}/*") or fnmatch(path, f"*/{pattern}")


def check_names(names: Iterable[str], where: str) -> None:
    """Raise :class:`UsageError` for a name that names no rule."""
    for name in names:
        if not known_rule(name):
            raise UsageError(f"{where}: {no_rule(name)}", help=nearest_rule(name))


def no_rule(name: str) -> str:
    """The message about a name that no rule has."""
    return f"no rule is called '{name}'"


def nearest_rule(name: str) -> str:
    """The help for a name that no rule has."""
    known = [code_and_name(module) for module in TABLE]
    near = nearest(name, [*(slug for _, slug in known), *(code for code, _ in known)])
    return f"did you mean '{near}'? 'lockcfg rules' lists all" if near else "see 'lockcfg rules'"
