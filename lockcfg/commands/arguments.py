"""Arguments that several commands share."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

from lockcfg.conf.files import DRIVERS, KINDS
from lockcfg.errors import ReadError, UsageError
from lockcfg.findings import SEVERITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from lockcfg.conf.files import FileKind
    from lockcfg.fleet.comparison.result import AuditResult
    from lockcfg.host.host import Host


def add_host(parser: argparse.ArgumentParser) -> None:
    """Which host, and which of its drivers, a command is about."""
    group = parser.add_argument_group("which configuration")
    group.add_argument(
        "--root",
        metavar="DIR",
        help="the directory that holds the host's file tree; no link leads out of it (default: /)",
    )
    group.add_argument(
        "--driver", choices=DRIVERS, default="qemu", help="whose guests (default: qemu)"
    )
    whose = group.add_mutually_exclusive_group()
    whose.add_argument(
        "--system",
        action="store_true",
        help="the system's libvirt, in /etc/libvirt (the default for root and with --root)",
    )
    whose.add_argument(
        "--session",
        action="store_true",
        help="this user's libvirt, in $XDG_CONFIG_HOME/libvirt (the default for other users)",
    )


def host_of(arguments: argparse.Namespace) -> Host:
    """The host that the arguments mean. Raises :class:`UsageError`."""
    from lockcfg.host.host import Host

    root = arguments.root
    if root is not None and not os.path.isdir(root):
        raise UsageError(f"--root {root}: there is no such directory")
    session = arguments.session or (not arguments.system and root is None and os.geteuid() != 0)
    return Host(root or "/", arguments.driver, session=session)


def configured_host(arguments: argparse.Namespace, *, writes: bool = False) -> Host:
    """As :func:`host_of`; raises :class:`ReadError` where no libvirt is configured.

    No configuration is one of its own, all defaults, where a libvirt is installed, and for an
    unprivileged user, whose libvirt makes its directory when it needs it. For a command that
    ``writes`` the directory alone is enough.
    """
    host = host_of(arguments)
    if host.session:
        return host
    directory = host.real("/etc/libvirt")
    if writes and os.path.isdir(directory):
        return host
    for name in (*KINDS, "libvirtd.conf", "virtqemud.conf", "libvirt.conf"):
        try:
            os.lstat(os.path.join(directory, name))
        except FileNotFoundError:
            continue
        except OSError:
            pass  # what cannot be looked at is not absent: the file's own error says more
        return host
    from lockcfg.host.parts import installed_on

    if not installed_on(host).libvirt:
        what = "holds no configuration" if os.path.isdir(directory) else "is not there"
        raise ReadError(
            host.directory,
            f"{what}, and no libvirt is installed in {host.root}",
            help="--root is the directory that holds etc/libvirt" if arguments.root else "",
        )
    return host


def add_json(parser: argparse.ArgumentParser) -> None:
    """Output for programs."""
    parser.add_argument(
        "--json", action="store_true", help="print JSON, as schemas/output.schema.json describes"
    )


@contextmanager
def output_of(arguments: argparse.Namespace) -> Iterator[TextIO]:
    """Where a report goes: the file that ``--output-file`` names, or standard output."""
    if not arguments.output_file:
        yield sys.stdout
        return
    from lockcfg.draft import writing_text

    with writing_text(arguments.output_file) as stream:
        yield stream


def exit_status(result: AuditResult, arguments: argparse.Namespace) -> int:
    """1 where a finding is as severe as ``--fail-level`` says, and not waived."""
    level = SEVERITIES.index(arguments.fail_level)
    return int(any(SEVERITIES.index(each.severity) <= level for each in result.counted))


def add_file(parser: argparse.ArgumentParser) -> None:
    """The way around finding the file by the key."""
    parser.add_argument(
        "--file",
        choices=sorted(KINDS),
        metavar="NAME",
        help="the file, where the key does not tell: " + ", ".join(sorted(KINDS)),
    )


def kind_of(arguments: argparse.Namespace) -> FileKind | None:
    """The kind of file that ``--file`` names. Raises :class:`UsageError` for another driver's."""
    if arguments.file is None:
        return None
    kind = KINDS[arguments.file]
    if arguments.driver not in kind.drivers:
        raise UsageError(
            f"{kind.name} is not a file of the {arguments.driver} driver",
            help=f"say --driver {kind.drivers[0]}",
        )
    return kind


def add_writing(parser: argparse.ArgumentParser) -> None:
    """How a command writes."""
    group = parser.add_argument_group("writing")
    group.add_argument(
        "-n", "--dry-run", action="store_true", help="say what would change and change nothing"
    )
    group.add_argument(
        "--diff", action="store_true", help="show what would change as a diff and change nothing"
    )
    group.add_argument(
        "--backup",
        nargs="?",
        const=".bak",
        metavar="SUFFIX",
        help="keep each old file under its name with SUFFIX (default: .bak)",
    )
    group.add_argument(
        "--force",
        action="store_true",
        help="write it even if libvirt would not start with it, or would protect nothing",
    )


def refuse_given(arguments: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Refuse those of some options that are given. ``why`` ends the message after the option.
    Raises :class:`UsageError`."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value is not False:
            raise UsageError(f"--{name.replace('_', '-')} {why}")
