"""Finding the configuration files in any layout: a host's root, host directories, roles, dotfiles.

Files are known by their names. Links to directories are not followed, so no loop is walked; what
version control keeps for itself is passed over. A directory that cannot be read is reported and
the walk goes on.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatch

from lockcfg.conf.files import KINDS
from lockcfg.conf.load import read_error
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

    from lockcfg.conf.files import FileKind

#: Directories that hold no configuration of hosts.
_PASSED_OVER: Final = frozenset((".git", ".hg", ".svn", ".venv", "node_modules", "__pycache__"))

#: What template languages append to the name of what they make.
TEMPLATE_SUFFIXES: Final = (".j2", ".jinja", ".jinja2", ".erb", ".epp", ".tmpl", ".tpl", ".mako")

#: What they fill in.
_TEMPLATE_MARK: Final = re.compile(rb"\{\{.*?\}\}|\{%.*?%\}|<%.*?%>")


class Directory(Frozen):
    """A directory with libvirt's files in it: ``files`` are their kinds, in a fixed order,
    ``templates`` the names of files that would become one."""

    __slots__ = ("files", "path", "templates")

    def __init__(self, path: str, files: Sequence[FileKind], templates: Sequence[str]) -> None:
        self.path: Final = path
        self.files: Final = tuple(files)
        self.templates: Final = tuple(templates)


def discover(
    paths: Iterable[str], exclude: Sequence[str], unreadable: list[tuple[str, str]]
) -> Iterator[Directory]:
    """The directories with libvirt's files at and below ``paths``, each once.

    A path that is a file stands for itself alone. ``exclude`` are globs of paths that are not
    looked into; what cannot be read goes to ``unreadable`` with the reason. The order is that
    of ``paths``, and below each the order of the names.
    """
    seen: set[str] = set()
    for path in paths:
        if os.path.isdir(path):
            yield from _walk(path, exclude, unreadable, seen)
        elif (name := os.path.basename(path)) in KINDS and path not in seen:
            seen.add(path)
            yield Directory(os.path.dirname(path), (KINDS[name],), ())


def _walk(
    top: str, exclude: Sequence[str], unreadable: list[tuple[str, str]], seen: set[str]
) -> Iterator[Directory]:
    pending = [top]
    while pending:
        path = pending.pop()
        if path in seen:
            continue
        seen.add(path)
        files: list[FileKind] = []
        templates: list[str] = []
        below: list[str] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    name = entry.name
                    if name in KINDS:
                        if not entry.is_dir():
                            files.append(KINDS[name])
                    elif entry.is_dir(follow_symlinks=False):
                        if name not in _PASSED_OVER:
                            below.append(entry.path)
                    elif name.endswith(TEMPLATE_SUFFIXES) and _stem(name) in KINDS:
                        templates.append(name)
        except OSError as error:
            unreadable.append((path, read_error(path, error).reason))
            continue
        if exclude:
            below = [each for each in below if not _excluded(each, exclude)]
            files = [f for f in files if not _excluded(os.path.join(path, f.name), exclude)]
        pending.extend(sorted(below, reverse=True))
        if files or templates:
            files.sort(key=_ORDER.__getitem__)
            yield Directory(path, files, sorted(templates))


_ORDER: Final = {kind: number for number, kind in enumerate(KINDS.values())}


def _stem(name: str) -> str:
    return name[: name.rindex(".")]


def _excluded(path: str, exclude: Sequence[str]) -> bool:
    normal = os.path.normpath(path)
    return any(fnmatch(normal, pattern) or fnmatch(normal, f"*/{pattern}") for pattern in exclude)


def is_template(text: bytes) -> bool:
    """Whether a text is the source of a configuration file rather than one."""
    # The first looks are for speed: nearly no file has a mark.
    return (b"{" in text or b"<%" in text) and _TEMPLATE_MARK.search(text) is not None
