"""``lockcfg audit``: which hosts of a fleet exclude each other."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, contextmanager

from lockcfg.commands import audit_history, audit_watch
from lockcfg.commands.arguments import exit_status, output_of
from lockcfg.counted import counted
from lockcfg.errors import LockcfgError, UsageError
from lockcfg.findings import SEVERITIES
from lockcfg.report.audit import FORMATS
from lockcfg.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, Final, TypeVar

    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.comparison.result import AuditResult, Since
    from lockcfg.fleet.policy.policy import Policy
    from lockcfg.fleet.store.history import Point
    from lockcfg.fleet.store.store import Store

    T = TypeVar("T")

DESCRIPTION = """\
Read snapshots of hosts ('lockcfg collect') and say which hosts keep each other's guests from
writing the same disks, why, and what is wrong. PATH is a snapshot, a directory or an archive of
them, JSON lines (- is standard input), each of these compressed or not, a fleet store that
--partial made, or a repository in which each host has a directory with libvirt's files; then what
only a live host can tell is unknown.

The exit status is 0 if nothing is found that counts, 1 if something is, 2 for wrong usage or
a wrong policy, 3 where no audit could be made; it does not depend on the format. What is unknown
is a warning, and never fine.
"""
EXAMPLES = (
    ("lockcfg audit snapshots", "the lock domains of a fleet, and what is wrong"),
    ("lockcfg audit --policy fleet.yaml --format json snapshots", "for a program"),
    ("lockcfg audit --format html --output-file fleet.html snapshots", "a page to pass on"),
    ("lockcfg audit --write-policy fleet.yaml snapshots", "a first policy, from the present state"),
    ("lockcfg audit --partial site1.fleet snapshots/site1", "a part of the work"),
    ("lockcfg audit --merge site1.fleet site2.fleet", "and the parts together"),
    ("lockcfg audit --watch spool --store fleet.store --page fleet.html", "whenever one changes"),
    (
        "lockcfg audit --history fleet.store",
        "the verdicts over time, and the changes of hosts",
    ),
)


#: The most hosts of which a page names the guests.
_WITH_GUESTS: Final = 5000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="where the snapshots are")
    judge = parser.add_argument_group("what to judge by")
    add_policy(judge)
    judge.add_argument(
        "--write-policy", metavar="FILE", help="write a first policy from the present state"
    )
    split = parser.add_argument_group("splitting the work")
    split.add_argument(
        "--partial", metavar="FILE", help="write a fleet store of the snapshots, and no report"
    )
    split.add_argument(
        "--merge", action="store_true", help="every PATH is a fleet store that --partial wrote"
    )
    output = add_output(parser, FORMATS)
    output.add_argument(
        "--compare",
        metavar="OLD.json",
        help="also compare with that report or, if PATH is a store that"
        " --watch keeps, with that time (ISO 8601) or point ('#12') of its history",
    )
    output.add_argument(
        "--fail-level",
        choices=SEVERITIES,
        default="warning",
        help="the least severity that makes the exit status 1 (default: warning)",
    )
    audit_watch.add_arguments(parser)
    audit_history.add_arguments(parser)


def add_output(parser: argparse.ArgumentParser, formats: Iterable[str]) -> argparse._ArgumentGroup:
    """The arguments that say how and where to write, which 'lockcfg plan' has too."""
    output = parser.add_argument_group("output")
    output.add_argument("--format", choices=list(formats), default="text", help="(default: text)")
    output.add_argument(
        "--json", dest="format", action="store_const", const="json", help="--format json"
    )
    output.add_argument(
        "--output-file", metavar="FILE", help="write there instead; a link there is replaced"
    )
    return output


def add_policy(group: argparse._ArgumentGroup) -> None:
    """The arguments that say what to judge by, which 'lockcfg plan' has too."""
    group.add_argument("--policy", metavar="FILE", help="the policy (fleet.yaml)")
    group.add_argument(
        "--max-age",
        type=float,
        metavar="HOURS",
        help="how old facts may be (default: what the policy says, or 24)",
    )
    group.add_argument(
        "--now",
        type=int,
        metavar="SECONDS",
        help="the time to count ages from, since the epoch (default: now)",
    )


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    from lockcfg.fleet.audit import audit_of, read_fleet

    _check_usage(arguments)
    if arguments.history:
        return audit_history.run(arguments)
    policy = policy_of(arguments)
    if arguments.watch is not None:
        return audit_watch.run(arguments, policy, max_age_of(arguments), lambda: now_of(arguments))
    if arguments.partial is not None:
        return _write_store(arguments)
    old = None if arguments.compare is None else _old_report(arguments.compare, arguments.paths)
    with ingested(arguments) as store:
        fleet = read_fleet(
            store, now=now_of(arguments), policy=policy, max_age=max_age_of(arguments)
        )
        # A page that has the guests of a hundred thousand hosts is none that a browser shows.
        few = len(fleet.cells) and sum(len(cell.hosts) for cell in fleet.cells) <= _WITH_GUESTS
        named = arguments.format == "html" and few
        shown: dict[str, Any] = {}
        if named:
            shown = {
                "guests": store.running_guests(),
                "locks": store.held_locks(),
                "uses": store.disks_of_guests(),
            }
        trend = _trend(store) if arguments.format == "html" else ()
        check_found(fleet, arguments)
        if arguments.write_policy is not None:
            return _write_policy(fleet, arguments.write_policy)
        result = audit_of(fleet, version=VERSION).replace(trend=trend, **shown)
    if old is not None:
        result = result.replace(since=_since(old, result, arguments.compare))
    return _report(result, arguments)


def _old_report(path: str, paths: list[str]) -> dict[str, Any]:
    """The JSON report of an earlier audit, or what a history has of it. Raises UsageError,
    ReadError."""
    import json

    if not os.path.lexists(path):
        return audit_history.report_of(path, paths)

    from lockcfg.conf.load import read_bytes
    from lockcfg.fleet.snapshots.format import MAX_SIZE

    try:
        old = json.loads(read_bytes(path, MAX_SIZE))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a report of an audit: it is not JSON") from error
    if not isinstance(old, dict):
        raise UsageError(f"{path} is not a report of an audit")
    return old


def _trend(store: Store) -> Sequence[Point]:
    """What earlier audits came to, where the store has a history."""
    if not store.live:
        return ()
    from lockcfg.fleet.keeper import TREND
    from lockcfg.fleet.store.history import History

    return History(store).points(TREND)


def _since(old: dict[str, Any], result: AuditResult, path: str) -> Since:
    from lockcfg.fleet.comparison.since import since_of

    try:
        return since_of(old, result)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"{path} is not a report of an audit", help="'lockcfg audit --json' prints one"
        ) from error


def _check_usage(arguments: argparse.Namespace) -> None:
    """Refuse arguments that contradict each other, before anything is read. Raises UsageError."""
    from lockcfg.fleet.snapshots.sources import is_store

    audit_watch.check_usage(arguments)
    audit_history.check_usage(arguments)
    if not arguments.paths and arguments.watch is None:
        raise UsageError("no PATH: say where the snapshots are")
    if arguments.partial is not None and (arguments.merge or arguments.write_policy):
        raise UsageError("--partial writes a fleet store and does nothing else")
    if arguments.write_policy is not None and arguments.policy is not None:
        raise UsageError("--write-policy makes a first policy, and there is one: --policy")
    check_paths(arguments)
    for path in arguments.paths:
        if arguments.merge and not is_store(path):
            raise UsageError(f"{path} is not a fleet store", help="--partial makes one")


def check_paths(arguments: argparse.Namespace) -> None:
    """Raise :class:`UsageError` for a path that does not exist, or an invalid time."""
    from lockcfg.fleet.snapshots import sources

    sources.check_paths(arguments.paths, standard_input=True)
    if arguments.max_age is not None and not 0 <= arguments.max_age < 1e9:
        raise UsageError("--max-age: not a number of hours")
    if arguments.now is not None and not 0 <= arguments.now < 2**40:
        raise UsageError("--now: not a number of seconds")


def check_found(fleet: Fleet, arguments: argparse.Namespace) -> None:
    """Raise :class:`LockcfgError` if nothing at all was read: that is no fleet in order."""
    if not (fleet.cells or fleet.problems or fleet.missing):
        where = ", ".join("standard input" if path == "-" else path for path in arguments.paths)
        raise LockcfgError(
            f"{where}: no snapshot of any host is there",
            help="snapshots are called *.json: see 'lockcfg collect --help'",
        )


def policy_of(arguments: argparse.Namespace) -> Policy | None:
    """The policy that the arguments name."""
    if arguments.policy is None:
        return None
    from lockcfg.fleet.policy.policy import load_policy

    return load_policy(arguments.policy)


def now_of(arguments: argparse.Namespace) -> int:
    """The time of the audit."""
    return int(time.time()) if arguments.now is None else int(arguments.now)


def max_age_of(arguments: argparse.Namespace) -> int | None:
    """How old facts may be in seconds, if the arguments say."""
    return None if arguments.max_age is None else round(arguments.max_age * 3600)


@contextmanager
def ingested(arguments: argparse.Namespace) -> Iterator[Store]:
    """A store of all that the arguments name."""
    from lockcfg.fleet.store.opening import opened

    with ExitStack() as stack:
        yield _with_progress(
            lambda progress: stack.enter_context(opened(arguments.paths, progress=progress))
        )


def _with_progress(work: Callable[[Callable[[int], None] | None], T]) -> T:
    if sys.stderr is None or not sys.stderr.isatty():
        return work(None)

    def show(hosts: int) -> None:
        sys.stderr.write(f"\r\x1b[Kreading snapshots: {hosts}")
        sys.stderr.flush()

    # The first number may take a while, as over a slow network.
    sys.stderr.write("reading snapshots")
    sys.stderr.flush()
    try:
        return work(show)
    finally:
        sys.stderr.write("\r\x1b[K")


def _write_store(arguments: argparse.Namespace) -> int:
    from shutil import copyfileobj
    from tempfile import TemporaryDirectory

    from lockcfg.draft import writing
    from lockcfg.fleet.store.ingest import ingest
    from lockcfg.fleet.store.opening import reading
    from lockcfg.fleet.store.store import Store
    from lockcfg.report import terminal

    # SQLite opens files by their names, and more beside them. So they are in a directory in which
    # no other user can put a file.
    with writing(arguments.partial) as stream, TemporaryDirectory(prefix="lockcfg-") as directory:
        path = os.path.join(directory, "store")
        store = Store.create(path)
        with reading(arguments.paths):
            _with_progress(lambda progress: ingest(arguments.paths, store, progress=progress))
        hosts, problems = store.count("host"), store.count("problem")
        store.close()
        with open(path, "rb") as made:
            copyfileobj(made, stream, 1 << 20)
    read = counted(hosts, "snapshot")
    terminal.stderr().line(f"{read} read, {problems} failed")
    return 0


def _write_policy(fleet: Fleet, path: str) -> int:
    from lockcfg.draft import write_new
    from lockcfg.fleet.plan.proposal import proposed_policy
    from lockcfg.report import terminal

    if os.path.lexists(path):
        raise UsageError(f"{path} is there already", help="a policy is not overwritten")
    write_new(path, proposed_policy(fleet).encode())
    terminal.stdout().line(f"written to {terminal.escape(path)}: read it, and correct it")
    return 0


def _report(result: AuditResult, arguments: argparse.Namespace) -> int:
    from lockcfg.report.audit import render_audit

    with output_of(arguments) as stream:
        render_audit(result, arguments.format, stream)
    return exit_status(result, arguments)
