"""Finding the configuration files in any layout: a host's root, host directories, roles, dotfiles.

Files are known by their names. Links to directories are not followed, so no loop is walked; what
version control keeps for itself is passed over. A directory that cannot be read is reported and
the walk goes on.
"""

from __future__ import annotations

import os
import re

from lockcfg.conf.document import encode
from lockcfg.conf.files import READ
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
    from lockcfg.conf.files import FileKind

    #: A directory with libvirt's files in it: its path, the names of the files in a fixed order,
    #: the names of the templates of such files, and the names of files that are there and are not
    #: to be read.
    Directory: TypeAlias = tuple[str, list[str], list[str], list[str]]

#: Directories that hold no configuration of hosts.
_PASSED_OVER: Final = frozenset((".git", ".hg", ".svn", ".venv", "node_modules", "__pycache__"))

#: What template languages append to the name of what they make.
TEMPLATE_SUFFIXES: Final = (".j2", ".jinja", ".jinja2", ".erb", ".epp", ".tmpl", ".tpl", ".mako")

#: What encryption appends.
ENCRYPTED_SUFFIXES: Final = (".gpg", ".pgp", ".asc", ".age", ".enc", ".vault", ".sops", ".secret")


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
        others: list[str] = []
        below: list[str] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    name = entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if name in READ:
                            others.append(name)
                        if name not in _PASSED_OVER:
                            below.append(entry.path)
                    elif name in READ:
                        files.append(name)
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
            yield path, [name for name in READ if name in files], sorted(templates), others


def is_file_of_ours(path: str) -> bool:
    """Whether a path that was named is one of libvirt's files, or a template of one, and not
    something to be walked."""
    name = os.path.basename(path)
    return (name in READ or _is_template_name(name)) and not os.path.isdir(path)


def together(files: Iterable[str], seen: Collection[str]) -> Iterator[Directory]:
    """The directories of files that were named one by one, each once, without those ``seen``.

    Those in one directory are the files of one host, as they are where they are found. Files that
    are beside them and not named are not read.
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
        yield directory, files, sorted(names - READ.keys()), others


def _is_template_name(name: str) -> bool:
    suffixes = TEMPLATE_SUFFIXES + ENCRYPTED_SUFFIXES
    return name.endswith(suffixes) and name[: name.rindex(".")] in READ


def recognise(text: bytes, kind: FileKind, path: str) -> Document | str:
    """The document of a text in the place of a configuration file, or what the text is instead:
    the source of one (``a template``), or ``encrypted`` by something. ``path`` is for messages.
    Raises :class:`ConfSyntaxError` for what is neither.

    A mark that only stands for a text, in a comment, makes no template of a file that can be read.
    """
    if encryption := encrypted_by(text):
        return f"encrypted ({encryption})"
    if not may_be_template(text):
        return parse(text, kind, path)
    if has_logic(text):
        return TEMPLATE
    if kind.grammar == "sanlock":  # which takes any line for one
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


#: What a template is called.
TEMPLATE: Final = "a template"


def note_on(name: str) -> str:
    """What a file is that is passed over for its name."""
    return "encrypted" if name.endswith(ENCRYPTED_SUFFIXES) else TEMPLATE
