"""``lockcfg validate``: would libvirt start with these files, and do what they say?"""

from __future__ import annotations

import os

from lockcfg.commands.arguments import add_host, add_json, host_of
from lockcfg.conf.files import READ, SANLOCK, kind_named, kinds_of
from lockcfg.conf.load import load_file, read_error
from lockcfg.counted import counted
from lockcfg.errors import ConfSyntaxError, ReadError
from lockcfg.host.installed import libvirt_release, parse_release
from lockcfg.host.lacking import lacking
from lockcfg.host.watchdog import SANLOCK_CONF, without_watchdog
from lockcfg.report import terminal
from lockcfg.rules import check, syntax_finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from lockcfg.conf.files import FileKind
    from lockcfg.findings import Finding

DESCRIPTION = """\
Check configuration files: does libvirt parse them, know their settings, take their values, and
use what is written there? Without a path, the files of this host are checked, and whether the host
has what they need to start with: users, directories, the plugin and the daemon of the lock manager.
A directory is searched for files with the names of libvirt's.

The exit status is 0 without findings, 1 with findings, 3 if a file could not be read.
"""
EXAMPLES = (
    ("lockcfg validate", "the files of this host"),
    ("lockcfg validate /srv/hosts", "every file of a directory tree"),
    ("lockcfg validate --as qemu.conf candidate.txt", "a file of another name"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a file or a directory")
    parser.add_argument(
        "--as",
        dest="kind",
        choices=sorted(READ),
        metavar="NAME",
        help="read the files given as this one: " + ", ".join(sorted(READ)),
    )
    parser.add_argument(
        "--libvirt-version",
        metavar="VERSION",
        help="the libvirt that reads the files (default: the one installed, else the newest)",
    )
    add_json(parser)
    add_host(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    findings: list[Finding] = []
    errors: list[ReadError] = []
    files = 0
    root = "/" if arguments.paths or arguments.root is None else arguments.root
    release: tuple[int, ...] = libvirt_release(root)
    if arguments.libvirt_version is not None:
        release = parse_release(arguments.libvirt_version)
    for path, kind in _files(arguments, errors):
        try:
            document = load_file(path, kind, root=root)
            findings.extend(check(document, release))
            if not arguments.paths and host_of(arguments).is_this_one:
                findings.extend(lacking(document))
        except ConfSyntaxError as error:
            findings.append(syntax_finding(error))
        except ReadError as error:
            errors.append(error)
            continue
        files += 1
    if not files and not errors:
        where = ", ".join(arguments.paths) or host_of(arguments).directory
        errors.append(ReadError(where, "it has none of libvirt's files"))
    if not arguments.paths:
        findings.extend(_of_lock_manager(arguments))
    if arguments.json:
        from lockcfg.report import jsonreport

        jsonreport.write(
            {
                "files": files,
                "findings": [jsonreport.finding(finding) for finding in findings],
                "unreadable": [{"path": each.path, "reason": each.reason} for each in errors],
            }
        )
    else:
        out = terminal.stdout()
        for finding in findings:
            out.finding(finding)
        err = terminal.stderr()
        for unreadable in errors:
            err.error(unreadable)
        out.line(counted(len(findings), "finding") + f" in {counted(files, 'file')}")
    if errors:
        return ReadError.exit_code
    return 1 if findings else 0


def _files(
    arguments: argparse.Namespace, errors: list[ReadError]
) -> Iterator[tuple[str, FileKind]]:
    """The files to check; what cannot be looked into goes to ``errors``."""
    named = READ[arguments.kind] if arguments.kind else None
    if not arguments.paths:
        host = host_of(arguments)
        for kind in kinds_of(host.driver):
            path = host.path(kind)
            try:
                host.status(kind)
            except FileNotFoundError:
                continue
            except OSError as error:
                errors.append(read_error(path, error))
                continue
            yield path, kind
        if not host.session and os.path.lexists(host.real(SANLOCK_CONF)):
            yield host.inside(SANLOCK_CONF), SANLOCK
        return
    for path in arguments.paths:
        if os.path.isdir(path):
            yield from _walk(path, errors)
        else:
            yield path, named or kind_named(path)


def _of_lock_manager(arguments: argparse.Namespace) -> list[Finding]:
    """The parts that the lock manager needs and that are not installed on the host, and other
    findings about that manager there."""
    from lockcfg.host.host import driver_kind
    from lockcfg.host.parts import missing_parts

    host = host_of(arguments)
    try:
        driver = host.load(driver_kind(host.driver))
    except (ReadError, ConfSyntaxError):
        return []  # reported already
    found = missing_parts(host, driver)
    manager = driver.get("lock_manager")
    if manager is not None and manager.value == "sanlock" and not host.session:
        found += without_watchdog(host)
    return found


def _walk(top: str, errors: list[ReadError]) -> Iterator[tuple[str, FileKind]]:
    """The configuration files below ``top``, in the order of their paths.

    Links to directories are not followed, so that no loop is walked.
    """

    def note(error: OSError) -> None:
        errors.append(read_error(str(error.filename), error))

    for directory, directories, names in os.walk(top, onerror=note):
        directories.sort()
        # A directory of such a name is yielded as well: to read it is an error to report.
        for name in sorted([*names, *directories]):
            if name in READ:
                yield os.path.join(directory, name), READ[name]
