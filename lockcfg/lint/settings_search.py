"""Finds the settings of a lint run: in the nearest file at or above the first path.

The modules that read YAML and schemas are loaded only if there is such a file.
"""

from __future__ import annotations

import os

from lockcfg.conf.load import read_bytes
from lockcfg.lint.settings import LintSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

FILE_NAME: Final = ".lockcfg.yaml"


def load_settings(start: str, explicit: str | None = None) -> LintSettings:
    """The settings for the files at ``start``, or the settings in the file ``explicit`` if it is
    given.

    Raises :class:`ReadError` for a file that cannot be read, and :class:`UsageError`, with the
    place, for one that the schema does not accept.
    """
    if explicit is not None:
        path = os.path.abspath(explicit)
        return _parsed(path)
    directory = os.path.abspath(start)
    if not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    top = directory
    while True:
        path = os.path.join(directory, FILE_NAME)
        if os.path.lexists(path):  # not a file: an error
            return _parsed(path)
        project = os.path.join(directory, "pyproject.toml")
        if os.path.isfile(project):
            from lockcfg.lint.settings_file import parse_project

            if (settings := parse_project(project, read_bytes(project))) is not None:
                return settings
        if os.path.exists(os.path.join(directory, ".git")):
            return LintSettings(directory)
        parent = os.path.dirname(directory)
        if parent == directory:
            here = os.getcwd()
            return LintSettings(here if f"{top}/".startswith(f"{here.rstrip('/')}/") else top)
        directory = parent


def _parsed(path: str) -> LintSettings:
    from lockcfg.lint.settings_file import parse_settings

    return parse_settings(path, read_bytes(path))


def repository_of(path: str) -> str | None:
    """The top directory of the repository that ``path`` is in, or None if it is in none. The
    services that show reports expect paths relative to it."""
    directory = os.path.abspath(path)
    while not os.path.exists(os.path.join(directory, ".git")):
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent
    return directory
