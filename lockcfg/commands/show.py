"""``lockcfg show``: what is in force, where it comes from, and what it protects."""

from __future__ import annotations

import os

from lockcfg.change.verdict import verdict_on
from lockcfg.commands.arguments import add_host, add_json, configured_host
from lockcfg.conf.settings import spell
from lockcfg.errors import ReadError
from lockcfg.host.host import LOCKING_KEYS, SANLOCK_KEYS, Host, load_host, look_at_host
from lockcfg.host.installed import libvirt_release
from lockcfg.host.parts import installed_on, missing_parts
from lockcfg.report import terminal
from lockcfg.report.verdicts import VERDICTS
from lockcfg.rules import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping
    from typing import Any, TypeAlias

    from lockcfg.conf.document import Document
    from lockcfg.conf.files import Role
    from lockcfg.errors import LockcfgError
    from lockcfg.host.host import Configuration, Effective
    from lockcfg.host.protection import Protection

    System: TypeAlias = "tuple[Host, Mapping[Role, Document | LockcfgError]]"

DESCRIPTION = """\
Show the settings that decide the locking of disks, with where each comes from, and a verdict in
plain words: what is locked, where, and against whom that protects. Settings that are read only
when a daemon starts are shown as the files have them now.

An unprivileged user has a libvirt of their own. The command also shows the system's libvirt, as far
as the user may read its files.
"""
EXAMPLES = (
    ("lockcfg show", "this host"),
    ("lockcfg show --root /srv/hosts/kvm07 --all", "every setting of another one's files"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("--all", action="store_true", help="all settings, not only those")
    add_json(parser)
    add_host(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    host = configured_host(arguments)
    configuration = load_host(host)
    release = libvirt_release(host.root)
    settings = list(configuration.all() if arguments.all else _deciding(configuration))
    protection = verdict_on(host, configuration.documents)
    findings = [
        f for document in configuration.documents.values() for f in check(document, release)
    ]
    driver = configuration.documents["driver"]
    findings += missing_parts(host, driver)
    system = _system(arguments)
    if arguments.json:
        from lockcfg.report import jsonreport

        jsonreport.write(
            {
                "driver": host.driver,
                "directory": host.directory,
                "settings": [jsonreport.effective(setting) for setting in settings],
                "protection": jsonreport.protection(protection),
                "system": system and _as_json(*system),
                "findings": [jsonreport.finding(finding) for finding in findings],
            }
        )
        return 0
    out = terminal.stdout()
    out.line(f"Settings in {terminal.escape(host.directory)}:")
    out.table([(s.setting.key, _value(s), _origin(s)) for s in settings])
    out.line()
    _show_verdict(protection)
    for reach in protection.reaches:
        out.line(f"  - {terminal.escape(reach.text)}")
    if findings:
        out.line()
    for finding in findings:
        out.finding(finding)
    if system is not None:
        other, files = system
        out.line()
        out.line(f"The system's libvirt has files of its own, in {other.directory}:")
        _show_verdict(verdict_on(other, files))
        for error in _unreadable(files):
            out.line(f"  - {terminal.escape(f'{error.path}: {error.reason}')}")
        out.line("  More of it: lockcfg show --system")
    return 0


def _show_verdict(protection: Protection) -> None:
    out = terminal.stdout()
    word, style = VERDICTS[protection.level]
    out.line(f"Protection: {out.style(word, style)}")
    out.line(f"  {terminal.escape(protection.summary)}")


def _system(arguments: argparse.Namespace) -> System | None:
    """The system's libvirt and its files, for an unprivileged user who has not chosen one; None if
    there is none."""
    if arguments.session or arguments.system or arguments.root is not None or os.geteuid() == 0:
        return None
    host = Host("/", arguments.driver)
    if not os.path.isdir(host.directory) and not installed_on(host).libvirt:
        return None
    return host, look_at_host(host)


def _as_json(host: Host, files: Mapping[Role, Document | LockcfgError]) -> dict[str, Any]:
    from lockcfg.report import jsonreport

    return {
        "directory": host.directory,
        "protection": jsonreport.protection(verdict_on(host, files)),
        "unreadable": [
            {"path": error.path, "reason": error.reason} for error in _unreadable(files)
        ],
    }


def _unreadable(files: Mapping[Role, Document | LockcfgError]) -> list[ReadError]:
    return [error for error in files.values() if isinstance(error, ReadError)]


def _deciding(configuration: Configuration) -> Iterator[Effective]:
    """The settings that decide the locking: those of the lock manager that is in charge."""
    if configuration.lock_manager != "sanlock":
        yield from map(configuration.effective, LOCKING_KEYS)
        return
    yield configuration.effective("lock_manager")
    yield from map(configuration.of_sanlock, SANLOCK_KEYS)


def _value(effective: Effective) -> str:
    if effective.value is None:
        return "-"
    if effective.setting.secret:
        return "(hidden)"
    return spell(effective.value)


def _origin(effective: Effective) -> str:
    if effective.place is not None:
        return f"{effective.setting.kind.name}:{effective.place.line}"
    return f"default, {effective.because}" if effective.because else "default"
