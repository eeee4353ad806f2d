"""Finding the configuration files in any layout: a host's root, host directories, roles, dotfiles.

Files are known by their names. Links to directories are not followed, so no loop is walked; what
version control keeps for itself is passed over. A directory that cannot be read is reported and
the walk goes on.
"""

from __future__ import annotations

import os

from lockcfg.conf.files import KINDS
from lockcfg.conf.load import read_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Final, TypeAlias

    #: A directory with libvirt's files in it: its path, the names of the files in a fixed
    #: order, and the names of the templates of such files.
    Directory: TypeAlias = tuple[str, list[str], list[str]]

#: Directories that hold no configuration of hosts.
_PASSED_OVER: Final = frozenset((".git", ".hg", ".svn", ".venv", "node_modules", "__pycache__"))

#: What template languages append to the name of what they make.
TEMPLATE_SUFFIXES: Final = (".j2", ".jinja", ".jinja2", ".erb", ".epp", ".tmpl", ".tpl", ".mako")

#: What encloses what they fill in.
_TEMPLATE_MARKS: Final = ((b"{{", b"}}"), (b"{%", b"%}"), (b"<%", b"%>"))


def discover(
    pending: list[str],
    excluded: Callable[[str], bool] | None,
    unreadable: list[tuple[str, str]],
    seen: set[str] | None,
) -> Iterator[Directory]:
    """The directories with libvirt's files at and below the directories in ``pending``.

    ``excluded`` says which paths below are not looked into; what cannot be read goes to
    ``unreadable`` with the reason. The order is that of the paths, the last one first, and below
    each the order of the names.

    ``pending`` is what is still to be walked: who asks may take paths away between two
    directories, to walk them elsewhere. What is given is put into ``seen``, and what is there
    is not given again; where that is None, no path may be another one or below it.
    """

    def is_new(path: str) -> bool:
        if seen is None:
            return True
        absolute = os.path.abspath(path)
        if absolute in seen:
            return False
        seen.add(absolute)
        return True

    while pending:
        path = pending.pop()
        if not is_new(path):
            continue
        files: list[str] = []
        templates: list[str] = []
        below: list[str] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    name = entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if name not in _PASSED_OVER:
                            below.append(entry.path)
                    elif name in KINDS:
                        files.append(name)
                    elif _is_template_name(name):
                        templates.append(name)
        except OSError as error:
            unreadable.append((path, read_error(path, error).reason))
            continue
        if excluded is not None:
            below = [each for each in below if not excluded(each)]
            files = [name for name in files if not excluded(os.path.join(path, name))]
        if seen is not None:
            files = [name for name in files if is_new(os.path.join(path, name))]
            templates = [name for name in templates if is_new(os.path.join(path, name))]
        below.sort(reverse=True)
        pending += below
        if files or templates:
            yield path, [name for name in KINDS if name in files], sorted(templates)


def is_file_of_ours(path: str) -> bool:
    """Whether a path that was named is one of libvirt's files, or a template of one, and not
    something to be walked."""
    name = os.path.basename(path)
    return (name in KINDS or _is_template_name(name)) and not os.path.isdir(path)


def together(files: Iterable[str], seen: Collection[str]) -> Iterator[Directory]:
    """The directories of files that were named one by one, each once, without those ``seen``.

    Those in one directory are the files of one host, as they are where they are found.
    """
    named: dict[str, set[str]] = {}
    for path in files:
        if os.path.abspath(path) not in seen:
            directory, name = os.path.split(path)
            named.setdefault(directory, set()).add(name)
    for directory, names in named.items():
        yield directory, [name for name in KINDS if name in names], sorted(names - KINDS.keys())


def _is_template_name(name: str) -> bool:
    return name.endswith(TEMPLATE_SUFFIXES) and name[: name.rindex(".")] in KINDS


def is_template(text: bytes) -> bool:
    """Whether a text is the source of a configuration file rather than one.

    It is one with a mark that opens and closes on one line.
    """
    return any(_encloses(text, opening, closing) for opening, closing in _TEMPLATE_MARKS)


def _encloses(text: bytes, opening: bytes, closing: bytes) -> bool:
    at = text.find(opening)
    while at >= 0:
        end = text.find(b"\n", at)
        if text.find(closing, at + len(opening), end if end >= 0 else len(text)) >= 0:
            return True
        at = text.find(opening, end) if end >= 0 else -1
    return False
