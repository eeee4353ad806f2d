"""Finds the configuration files in any layout: a host's root, host directories, roles, dotfiles.

The name of a file tells what it is. The walk follows no links to directories, so it ends, and it
passes over the directories of version control. It reports a directory that it cannot read, and
continues.
"""

from __future__ import annotations

import os
import re

from lockcfg.conf.document import encode
from lockcfg.conf.files import DRIVERS, LOCKD, READ
from lockcfg.conf.foreign import (
    encrypted_by,
    has_logic,
    is_filled_in,
    is_template,
    may_be_template,
)
from lockcfg.conf.load import parse, read_error
from lockcfg.errors import ConfSyntaxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Final, TypeAlias

    from lockcfg.conf.document import Document
    from lockcfg.conf.files import Driver, FileKind

    #: A directory with libvirt's files: its path, the names of the files in a fixed order, the
    #: names of the templates of such files, the names of files there that the run does not read,
    #: and what else is there.
    Directory: TypeAlias = "tuple[str, list[str], list[str], list[str], Beside]"

#: Directories that contain no configuration of hosts.
_PASSED_OVER: Final = frozenset((".git", ".hg", ".svn", ".venv", "node_modules", "__pycache__"))

#: What template languages append to the name of the file that they make.
TEMPLATE_SUFFIXES: Final = (".j2", ".jinja", ".jinja2", ".erb", ".epp", ".tmpl", ".tpl", ".mako")

#: What encryption tools append.
ENCRYPTED_SUFFIXES: Final = (".gpg", ".pgp", ".asc", ".age", ".enc", ".vault", ".sops", ".secret")


class Beside:
    """What is beside libvirt's files: the descriptions of the guests that are defined (``guests``,
    as paths below the directory), and whether the engine lockd has a file there."""

    __slots__ = ("guests", "has_engine")

    def __init__(self, guests: list[str], *, has_engine: bool) -> None:
        self.guests: Final = guests
        self.has_engine: Final = has_engine


_NOTHING: Final = Beside([], has_engine=False)


def discover(
    pending: list[str],
    excluded: Callable[[str], bool] | None,
    unreadable: list[tuple[str, str]],
    seen: set[str] | None,
) -> Iterator[Directory]:
    """The directories with libvirt's files at and below the directories in ``pending``.

    ``excluded`` says which paths the walk leaves out. A path that cannot be read goes to
    ``unreadable`` with the reason. The walk takes the last path first, and below each path it
    follows the order of the names.

    ``pending`` has the paths that the walk has not reached: between two directories the caller may
    take paths away, to walk them elsewhere. The walk puts each directory that it yields into
    ``seen``, and does not yield it again. If ``seen`` is None, no path may equal another one or be
    below it.
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
        others: list[str] = []
        below: list[str] = []
        described: list[Driver] = []
        has_engine = False
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    name = entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if name in READ:
                            others.append(name)
                        if name not in _PASSED_OVER:
                            below.append(entry.path)
                        if name in DRIVERS:
                            described.append(name)
                    elif name in READ:
                        files.append(name)
                    elif _is_engine_name(name):
                        has_engine = True
                    elif _is_template_name(name):
                        templates.append(name)
        except OSError as error:
            unreadable.append((path, read_error(path, error).reason))
            continue
        if excluded is not None:
            below = [each for each in below if not excluded(each)]
            others += [name for name in files if excluded(os.path.join(path, name))]
            files = [name for name in files if name not in others]
        if seen is not None:
            files = [name for name in files if is_new(os.path.join(path, name))]
            templates = [name for name in templates if is_new(os.path.join(path, name))]
        below.sort(reverse=True)
        pending += below
        if files or templates:
            beside = _NOTHING
            if described or has_engine:
                guests = [
                    each for name in sorted(described) for each in _guests(path, name, excluded)
                ]
                beside = Beside(guests, has_engine=has_engine)
            yield path, [name for name in READ if name in files], sorted(templates), others, beside


def _guests(
    directory: str, driver: Driver, excluded: Callable[[str], bool] | None
) -> Iterator[str]:
    """The descriptions of a driver's guests, as paths below ``directory``. If their directory
    cannot be read, the walk reports it when it comes there."""
    above = os.path.join(directory, driver)
    if excluded is not None and excluded(above):
        return
    try:
        names = sorted(os.listdir(above))
    except OSError:
        return
    for name in names:
        path = os.path.join(above, name)
        if name.endswith(".xml") and not (excluded is not None and excluded(path)):
            yield f"{driver}/{name}"


def is_file_of_ours(path: str) -> bool:
    """Whether a named path is one of libvirt's files or a template of one, and not a directory to
    walk."""
    name = os.path.basename(path)
    return (name in READ or _is_template_name(name)) and not os.path.isdir(path)


def together(files: Iterable[str], seen: Collection[str]) -> Iterator[Directory]:
    """The directories of files that a user named one by one, each directory once, without those
    ``seen``.

    Named files in one directory belong to one host, as they do when a walk finds them. Files beside
    them that are not named are not read.
    """
    named: dict[str, set[str]] = {}
    for path in files:
        if os.path.abspath(path) not in seen:
            directory, name = os.path.split(path)
            named.setdefault(directory, set()).add(name)
    for directory, names in named.items():
        others = [
            name
            for name in READ
            if name not in names and os.path.lexists(os.path.join(directory, name))
        ]
        files = [name for name in READ if name in names]
        yield directory, files, sorted(names - READ.keys()), others, _NOTHING


def _is_template_name(name: str) -> bool:
    return _without_suffix(name) in READ


def _is_engine_name(name: str) -> bool:
    """Whether it is lockd's own file, or a template of it."""
    return name.startswith(LOCKD.name) and (
        name == LOCKD.name or _without_suffix(name) == LOCKD.name
    )


def _without_suffix(name: str) -> str:
    """The name of the file that a template or an encrypted file makes; empty for another name."""
    suffixes = TEMPLATE_SUFFIXES + ENCRYPTED_SUFFIXES
    return name[: name.rindex(".")] if name.endswith(suffixes) else ""


def recognise(text: bytes, kind: FileKind, path: str) -> Document | str:
    """The document of a text that is in the place of a configuration file, or what the text is
    instead: ``a template``, or ``encrypted`` by some tool. ``path`` is for messages. Raises
    :class:`ConfSyntaxError` if the text is none of these.

    A template mark in a comment does not make a template of a file that can be parsed.
    """
    if encryption := encrypted_by(text):
        return f"encrypted ({encryption})"
    if not may_be_template(text):
        return parse(text, kind, path)
    if has_logic(text):
        return TEMPLATE
    if kind.grammar == "sanlock":  # which accepts any line
        bare = re.sub(rb"(?m)^#.*$", b"", text)
        return TEMPLATE if is_template(bare) else parse(text, kind, path)
    try:
        document = parse(text, kind, path)
    except ConfSyntaxError:
        if is_template(text):
            return TEMPLATE
        raise
    values = b"\n".join(encode(entry.literal) for entry in document.entries)
    return TEMPLATE if is_filled_in(values) else document


#: The word for a template.
TEMPLATE: Final = "a template"


def note_on(name: str) -> str:
    """What a file is that the run passes over because of its name."""
    return "encrypted" if name.endswith(ENCRYPTED_SUFFIXES) else TEMPLATE
