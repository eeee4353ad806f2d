"""``lockcfg doctor``: is every disk of every running guest of this host really locked?"""

from __future__ import annotations

import os

from lockcfg.report.doctor import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Look at the guests that run on this host, at what the configuration means to be locked for each of
their disks, and at what is locked: by lockd's own account, of virtlockd by the kernel's. Then at
what else is wrong with this host. For each disk it tells the lock, who holds it, since when,
whether QEMU would keep a second guest of this host out as well, and what is to be done.

It changes nothing, but takes a scratch lock in each lockspace. Run it as root: what cannot be seen
is not known, and is not called safe. Exit status: 0 all is well, 1 something is not, 3 it is not
known which guests run; with --format nagios those of a plugin: 0, 1 warning, 2 critical, 3 unknown.
"""
EXAMPLES = (
    ("lockcfg doctor", "this host"),
    ("lockcfg doctor --quiet", "for cron: nothing is printed while all is well"),
    ("lockcfg doctor --format openmetrics > /var/lib/node_exporter/lockcfg.prom", "for Prometheus"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("--format", choices=FORMATS, default="text", help="how to print it")
    parser.add_argument(
        "--json", action="store_true", help="the same as --format json: see output.schema.json"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print only what is wrong")
    parser.add_argument("--no-probe", action="store_true", help="take no scratch lock: only look")
    parser.add_argument(
        "--session",
        action="store_true",
        help="this user's libvirt (the default for other users than root)",
    )


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    from lockcfg.doctor.examine import examine
    from lockcfg.report.doctor import format_of

    diagnosis = examine(
        session=arguments.session or os.geteuid() != 0, probe=not arguments.no_probe
    )
    name = "json" if arguments.json else arguments.format
    return format_of(name).write(diagnosis, quiet=arguments.quiet)
