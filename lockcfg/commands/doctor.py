"""``lockcfg doctor``: is every disk of every running guest of this host really locked?"""

from __future__ import annotations

import os

from lockcfg.report.doctor import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Check every disk of the guests that run on this host: which lock the configuration asks for, and
which lock is held, as lockd reports it, or for virtlockd the kernel. For each disk, print the lock,
its holder, since when, whether QEMU would also refuse a second guest on this host, and what to do.
Then check the host itself.

It changes nothing, but takes a scratch lock in each lockspace. Run it as root: what cannot be seen
is unknown, and is not called safe. Exit status: 0 all is well, 1 something is wrong, 3 the running
guests are unknown; with --format nagios: 0 fine, 1 warning, 2 critical, 3 unknown.
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
