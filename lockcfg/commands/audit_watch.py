"""``lockcfg audit --watch``: keep a fleet store up to date with a spool, until a signal ends it."""

from __future__ import annotations

import gc
import os
import signal
import time
from contextlib import contextmanager

from lockcfg.commands.arguments import exit_status, refuse_given
from lockcfg.errors import UsageError
from lockcfg.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import Final

    from lockcfg.fleet.comparison.result import AuditResult
    from lockcfg.fleet.policy.policy import Policy

#: What is written after each audit: the argument, and the format.
_WRITTEN: Final = (("metrics", "openmetrics"), ("report", "json"), ("page", "html"))

#: After how many seconds there is an audit even if nothing has changed: facts become old.
_AT_LEAST: Final = 300.0

#: How long a point of the history is kept where nothing else is said.
_KEEP_DAYS: Final = 90


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What 'lockcfg audit' has for this."""
    watch = parser.add_argument_group("keeping a fleet store up to date")
    watch.add_argument(
        "--watch",
        metavar="SPOOL",
        help="audit the snapshots that hosts leave in this directory, whenever one changes",
    )
    watch.add_argument("--once", action="store_true", help="look at the spool once, and end")
    watch.add_argument(
        "--store", metavar="FILE", help="the fleet store to keep, which has a history"
    )
    watch.add_argument("--report", metavar="FILE", help="write the JSON report there")
    watch.add_argument("--page", metavar="FILE", help="write the HTML page there")
    watch.add_argument("--metrics", metavar="FILE", help="write the OpenMetrics there")
    watch.add_argument(
        "--every",
        type=float,
        metavar="SECONDS",
        help="how often to look whether the spool has changed (default: 2)",
    )
    watch.add_argument(
        "--keep-days",
        type=int,
        metavar="DAYS",
        help=f"how long the history is kept (default: {_KEEP_DAYS})",
    )


def check_usage(arguments: argparse.Namespace) -> None:
    """Refuse what does not go together, before anything is read. Raises UsageError."""
    if arguments.watch is None:
        own = ("once", "store", "report", "page", "metrics", "every", "keep_days")
        refuse_given(arguments, own, "goes with --watch")
        return
    if arguments.store is None:
        raise UsageError("--watch keeps a fleet store: name it with --store")
    others = ("partial", "merge", "write_policy", "compare", "output_file", "history")
    refuse_given(arguments, others, "does not go with --watch")
    if arguments.paths or arguments.format != "text":
        raise UsageError("--watch takes no PATH and no --format: see --report, --page, --metrics")
    if not os.path.isdir(arguments.watch):
        raise UsageError(f"--watch {arguments.watch}: there is no such directory")
    if arguments.every is not None and not 0.1 <= arguments.every <= 3600:
        raise UsageError("--every: from 0.1 to 3600 seconds")
    if arguments.keep_days is not None and not 1 <= arguments.keep_days <= 36500:
        raise UsageError("--keep-days: from 1 to 36500 days")


def run(
    arguments: argparse.Namespace,
    policy: Policy | None,
    max_age: int | None,
    now: Callable[[], int],
) -> int:
    """Watch, and return the exit status: with --once that of the audit."""
    from lockcfg.filelock import DirectoryLock
    from lockcfg.fleet.keeper import Keeper
    from lockcfg.fleet.store.opening import keeping

    lock = DirectoryLock(os.path.dirname(os.path.abspath(arguments.store)))
    lock.acquire()
    try:
        with keeping(arguments.store):
            keeper = Keeper(
                arguments.watch,
                arguments.store,
                version=VERSION,
                policy=policy,
                max_age=max_age,
                keep_days=arguments.keep_days or _KEEP_DAYS,
            )
            try:
                if arguments.once:
                    result = keeper.round(now(), at_least=True)
                    assert result is not None
                    _write(result, arguments)
                    return exit_status(result, arguments)
                with _ending() as ending:
                    _rounds(keeper.round, arguments, now, ending)
            finally:
                keeper.close()
    finally:
        lock.release()
    return 0


def _rounds(
    look: Callable[..., AuditResult | None],
    arguments: argparse.Namespace,
    now: Callable[[], int],
    ending: Callable[[float], bool],
) -> None:
    """Look at the spool again and again. A long round is followed by a long rest, so that a spool
    that changes all the time takes no more than half of a processor."""
    every = arguments.every or 2.0
    last = -_AT_LEAST
    rest = 0.0
    while not ending(rest):
        begun = time.monotonic()
        due = begun - last >= _AT_LEAST
        result = look(now(), at_least=due, ending=lambda: ending(0.0))
        if result is not None:
            last = begun
            _write(result, arguments)
            _say(result)
            del result
            gc.collect()  # the program runs without: a process that stays would grow
        rest = max(every, time.monotonic() - begun)


@contextmanager
def _ending() -> Iterator[Callable[[float], bool]]:
    """Tells, after so many seconds, or at once if it is so, whether SIGTERM or SIGINT has come:
    then what was begun is finished, and nothing more is begun."""
    import select

    told, tell = os.pipe()
    os.set_blocking(tell, False)
    before = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
    }
    former = signal.set_wakeup_fd(tell)
    try:
        yield lambda seconds: bool(select.select([told], [], [], seconds)[0])
    finally:
        signal.set_wakeup_fd(former)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(told)
        os.close(tell)


def _write(result: AuditResult, arguments: argparse.Namespace) -> None:
    from lockcfg.draft import writing_text
    from lockcfg.report.audit import render_audit

    for name, kind in _WRITTEN:
        path = getattr(arguments, name)
        if path is not None:
            with writing_text(path) as stream:
                render_audit(result, kind, stream)


def _say(result: AuditResult) -> None:
    """One line for the journal."""
    import sys

    from lockcfg.report import terminal

    terminal.stdout().line(terminal.escape(result.verdict.text))
    sys.stdout.flush()
