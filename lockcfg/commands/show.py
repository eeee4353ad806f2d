"""``lockcfg show``: what is in force, where it comes from, and what it protects."""

from __future__ import annotations

from lockcfg.change.lockspaces import storages_of
from lockcfg.commands.arguments import add_host, add_json, host_of
from lockcfg.conf.settings import spell
from lockcfg.host.host import LOCKING_KEYS, load_host
from lockcfg.host.installed import libvirt_release
from lockcfg.host.protection import protection_of
from lockcfg.report import terminal
from lockcfg.rules import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lockcfg.host.host import Effective
    from lockcfg.host.protection import Level

DESCRIPTION = """\
Show the settings that decide the locking of disks, with where each comes from, and a verdict in
plain words: what is locked, where, and against whom that protects. Settings that are read only
when a daemon starts are shown as the files have them now.
"""
EXAMPLES = (
    ("lockcfg show", "this host"),
    ("lockcfg show --root /srv/hosts/kvm07 --all", "every setting of another one's files"),
)

_VERDICTS: dict[Level, tuple[str, str]] = {
    "none": ("none", "error"),
    "leases": ("leases only", "warning"),
    "this-host": ("this host", "warning"),
    "unknown": ("unknown", "warning"),
    "depends": ("depends on the disk", "warning"),
    "between-hosts": ("between hosts", "good"),
    "other": ("not judged", "warning"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("--all", action="store_true", help="all settings, not only those")
    add_json(parser)
    add_host(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    host = host_of(arguments)
    configuration = load_host(host)
    release = libvirt_release(host.root)
    settings = list(
        configuration.all() if arguments.all else map(configuration.effective, LOCKING_KEYS)
    )
    protection = protection_of(configuration, storages_of(host, configuration))
    findings = [
        f for document in configuration.documents.values() for f in check(document, release)
    ]
    if arguments.json:
        from lockcfg.report import jsonreport

        jsonreport.write(
            {
                "driver": host.driver,
                "directory": host.directory,
                "settings": [jsonreport.effective(setting) for setting in settings],
                "protection": {
                    "level": protection.level,
                    "summary": protection.summary,
                    "disks": [
                        {"disks": list(reach.disks), "level": reach.level, "text": reach.text}
                        for reach in protection.reaches
                    ],
                },
                "findings": [jsonreport.finding(finding) for finding in findings],
            }
        )
        return 0
    out = terminal.stdout()
    out.line(f"Settings in {terminal.escape(host.directory)}:")
    out.table([(s.setting.key, _value(s), _origin(s)) for s in settings])
    out.line()
    word, style = _VERDICTS[protection.level]
    out.line(f"Protection: {out.style(word, style)}")
    out.line(f"  {terminal.escape(protection.summary)}")
    for reach in protection.reaches:
        out.line(f"  - {terminal.escape(reach.text)}")
    if findings:
        out.line()
    for finding in findings:
        out.finding(finding)
    return 0


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
