"""``lockcfg diff``: compare what two configurations mean."""

from __future__ import annotations

import os

from lockcfg.commands.arguments import add_json
from lockcfg.conf.document import Document
from lockcfg.conf.files import DRIVERS, KINDS, kind_named
from lockcfg.conf.load import load_file
from lockcfg.conf.settings import settings_of, spell
from lockcfg.errors import UsageError
from lockcfg.host.host import Host, load_host
from lockcfg.report import terminal
from lockcfg.report.secrets import HIDDEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TypeAlias

    from lockcfg.conf.document import Value

    Settings: TypeAlias = "dict[tuple[str, str], Value | None]"

DESCRIPTION = """\
Compare two configurations by what is in force, not by their text: comments, order, spelling and
settings that say the default make no difference. A configuration is one of the files, a directory
of them, or the root directory of a host. If you give only one, it is compared with this host's.

The exit status is 0 if both mean the same, 1 if they do not.
"""
EXAMPLES = (
    ("lockcfg diff /srv/hosts/kvm01 /srv/hosts/kvm02", "two hosts"),
    ("lockcfg diff /etc/libvirt/qemu.conf.bak /etc/libvirt/qemu.conf --as qemu.conf", "two files"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("left", metavar="LEFT", help="a file, a directory, or a host's root")
    parser.add_argument("right", metavar="RIGHT", nargs="?", help="the other one (default: /)")
    parser.add_argument(
        "--as",
        dest="kind",
        choices=sorted(KINDS),
        metavar="NAME",
        help="read the files given as this one: " + ", ".join(sorted(KINDS)),
    )
    parser.add_argument(
        "--driver", choices=DRIVERS, default="qemu", help="whose guests (default: qemu)"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    left = _settings(arguments.left, arguments)
    right_path = arguments.right
    if right_path is None:
        right_path = "/"
        if not os.path.isdir(arguments.left):
            kind = arguments.kind or kind_named(arguments.left).name
            right_path = os.path.join(Host().directory, kind)
    right = _settings(right_path, arguments)
    keys = [key for key in {**left, **right} if left.get(key) != right.get(key)]
    if arguments.json:
        from lockcfg.report import jsonreport

        jsonreport.write(
            {
                "left": arguments.left,
                "right": right_path,
                "differences": [
                    {
                        "file": file,
                        "key": key,
                        "left": _json(left.get((file, key)), key, file),
                        "right": _json(right.get((file, key)), key, file),
                    }
                    for file, key in keys
                ],
            }
        )
        return 1 if keys else 0
    out = terminal.stdout()
    if keys:
        rows = [("", arguments.left, right_path)]
        for file, key in keys:
            at = (file, key)
            rows.append(
                (f"{file}: {key}", _text(left.get(at), key, file), _text(right.get(at), key, file))
            )
        out.table(rows)
    else:
        out.line("no difference")
    return 1 if keys else 0


def _settings(path: str, arguments: argparse.Namespace) -> Settings:
    """The values in force in the configuration at ``path``, by file and key."""
    if os.path.isdir(path):
        host = Host(path, arguments.driver)
        if not os.path.isdir(host.real("/etc/libvirt")) and path != "/":
            # A directory that holds the files themselves.
            return _directory(path, arguments)
        configuration = load_host(host)
        found: Settings = {
            (e.setting.kind.name, e.setting.key): e.value for e in configuration.all()
        }
        for document in configuration.documents.values():
            found.update(_unknown(document))
        return found
    kind = KINDS[arguments.kind] if arguments.kind else None
    return _file(load_file(path, kind))


def _directory(path: str, arguments: argparse.Namespace) -> Settings:
    from lockcfg.conf.load import load_directory

    documents = load_directory(path)
    if not documents:
        raise UsageError(
            f"{path}: it contains none of libvirt's files",
            help=f"it should hold etc/libvirt, or one of {', '.join(sorted(KINDS))}",
        )
    found: Settings = {}
    for name, kind in KINDS.items():
        if arguments.driver in kind.drivers:
            document = documents.get(name, Document(kind, os.path.join(path, name), None, ()))
            found.update(_file(document))
    return found


def _file(document: Document) -> Settings:
    name = document.kind.name
    found: Settings = {}
    for key, setting in settings_of(document.kind).items():
        entry = document.get(key)
        found[name, key] = entry.value if entry else setting.default
    found.update(_unknown(document))
    return found


def _unknown(document: Document) -> Settings:
    known = settings_of(document.kind)
    return {
        (document.kind.name, entry.key): entry.value
        for entry in reversed(document.entries)
        if entry.key not in known
    }


def _is_secret(key: str, file: str) -> bool:
    setting = settings_of(KINDS[file]).get(key)
    return setting is not None and setting.secret


def _text(value: Value | None, key: str, file: str) -> str:
    if value is None:
        return "-"
    return HIDDEN if _is_secret(key, file) else spell(value)


def _json(value: Value | None, key: str, file: str) -> object:
    if value is not None and _is_secret(key, file):
        return HIDDEN.strip('"')
    return list(value) if isinstance(value, tuple) else value
