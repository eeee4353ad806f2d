"""lockd and virtlockd with the same guests: calls, memory, starting again.

Each daemon is on a host of its own (:mod:`benchmarks.lock_host`) and is asked by the same compiled
load generator (``load.c``), in turn with the other. Both lock in one file system, an ext4 with a
journal that is made for this: without a journal ext4 looks for an inode that was not in use in the
last minute, which soon takes longer than all that is measured here. The CPU time is the figure that
other work on the machine disturbs least.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.lock_host import LockHost

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.lock_host import Memory, Pairs

LOCKD = os.path.join(os.path.dirname(sys.executable), "lockd")
LOAD = os.path.join(os.path.dirname(__file__), "load.c")

#: How many guests are connected, and what the ratio of calls per second is wanted to be.
GUESTS = {0: "at least 2", 1000: "at least 5", 4000: "at least 25"}

#: How many calls are under way at a time. The first is what the ratios are wanted for.
UNDER_WAY = (1, 8)

#: How long a daemon is asked before the other one has its turn, in milliseconds.
TURN = 500

#: The guests that hold locks while a daemon is started again, and how many each has: 12,000 in all.
#: Each guest takes two descriptors more, and 20,000 are what a user may have on many machines.
HOLDERS, LOCKS_EACH = 3000, 4

_CONFIGURATION = {
    "virtlockd.conf": 'max_clients = 19000\nlog_outputs = "4:stderr"\n',
    "qemu.conf": 'lock_manager = "lockd"\n',
    "qemu-lockd.conf": 'file_lockspace_dir = "{lockspace}"\n',
}
# The shell is the first process there, and reaps what others leave behind: until that is done, the
# namespace of a host cannot end.
_IN_NAMESPACES = (
    *("unshare", "--mount", "--propagation", "private"),
    *("--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-c", '"$@"; exit', "sh"),
)


class Ratio(NamedTuple):
    """Two medians, and the median, least and greatest ratio of ours to theirs of the pairs."""

    ours: float
    theirs: float
    ratio: float
    least: float
    greatest: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
        """Of runs that were done in turn."""
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        return cls(
            statistics.median(ours),
            statistics.median(theirs),
            statistics.median(ratios),
            min(ratios),
            max(ratios),
        )


def run(runs: int) -> None:
    """Print the tables. The work is done in namespaces, which take all mounts and processes with
    them when it is over."""
    with tempfile.TemporaryDirectory(prefix="lockcfg-benchmark-") as directory:
        command = [sys.executable, "-m", "benchmarks.locks", directory, str(runs)]
        status = subprocess.run([*_IN_NAMESPACES, *command], check=False).returncode
    if status:
        raise SystemExit(status)


def main() -> None:
    """The work itself, in a directory that is there for it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.locks")
    parser.add_argument("directory")
    parser.add_argument("runs", type=int)
    arguments = parser.parse_args()
    directory = os.path.join(arguments.directory, "mnt")
    os.mkdir(directory)
    bench = _Bench(arguments.directory)
    bench.mount_ext4(directory)
    _print_rows("| | lockd | virtlockd | ratio (range) | wanted |", _calls(bench, arguments.runs))
    _print_rows(
        "| one guest with one lock | lockd | virtlockd | ratio (range) | |", _one_guest(bench)
    )
    _print_rows(
        f"| {LOCKS_EACH} locks for each of {HOLDERS} guests | lockd | virtlockd "
        "| ratio (range) | wanted |",
        _restarts(bench, max(3, arguments.runs // 7)),
    )


def _print_rows(head: str, rows: Iterator[str]) -> None:
    print(head)
    print("|---" * head.count(" |") + "|")
    for row in rows:
        print(row, flush=True)
    print()


class _Bench:
    """What all hosts share: the load generator, the configuration, the lockspace's directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._load = os.path.join(directory, "load")
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", self._load, LOAD], check=True)
        self._lockspace = ""
        self._count = 0

    def mount_ext4(self, directory: str) -> None:
        """Lock in an ext4 of its own from now on, mounted at ``directory``."""
        image = os.path.join(self._directory, "ext4")
        with open(image, "wb") as file:
            file.truncate(1 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, directory], check=True)
        self._mounted = directory

    @contextmanager
    def tmpfs(self) -> Iterator[None]:
        """Lock in memory meanwhile."""
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self._mounted], check=True)
        yield
        subprocess.run(["umount", self._mounted], check=True)

    def host(self, command: str) -> LockHost:
        """A host with that lock daemon, and a lockspace that is unused."""
        self._count += 1
        lockspace = os.path.join(self._mounted, str(self._count))
        os.mkdir(lockspace, 0o700)
        configuration = os.path.join(self._directory, f"etc{self._count}")
        os.mkdir(configuration)
        for name, text in _CONFIGURATION.items():
            with open(os.path.join(configuration, name), "w", encoding="ascii") as file:
                file.write(text.format(lockspace=lockspace))
        return LockHost(self._load, configuration, lockspace, [command])


def _calls(bench: _Bench, runs: int) -> Iterator[str]:
    with ExitStack() as stack:
        ours, theirs = _hosts(bench, stack)
        for guests, wanted in GUESTS.items():
            for host in (ours, theirs):
                host.connect_guests(guests)
            for under_way in UNDER_WAY:
                calls = "one call" if under_way == 1 else f"{under_way} calls"
                what = f"{guests} idle guests, {calls} at a time"
                aim = wanted if under_way == 1 else ""
                yield from _pairs(what, ours, theirs, under_way, runs, aim)
    with bench.tmpfs(), ExitStack() as stack:
        yield from _pairs("the same on tmpfs, no guests", *_hosts(bench, stack), 1, runs, "")


def _hosts(bench: _Bench, stack: ExitStack) -> tuple[LockHost, LockHost]:
    ours, theirs = (stack.enter_context(bench.host(each)) for each in (LOCKD, "virtlockd"))
    return ours, theirs


def _pairs(
    what: str, ours: LockHost, theirs: LockHost, under_way: int, runs: int, wanted: str
) -> Iterator[str]:
    found: list[tuple[Pairs, Pairs, float]] = []
    for number in range(runs + 1):
        triple = (ours.pairs(under_way, TURN), theirs.pairs(under_way, TURN), ours.bare(TURN // 2))
        if number:
            found.append(triple)
    rate = Ratio.of([a.rate for a, _, _ in found], [b.rate for _, b, _ in found])
    cpu = Ratio.of([a.cpu for a, _, _ in found], [b.cpu for _, b, _ in found])
    p50 = Ratio.of([a.p50 for a, _, _ in found], [b.p50 for _, b, _ in found])
    p99 = Ratio.of([a.p99 for a, _, _ in found], [b.p99 for _, b, _ in found])
    worst = Ratio.of([a.longest for a, _, _ in found], [b.longest for _, b, _ in found])
    share = Ratio.of([a.rate for a, _, _ in found], [bare for _, _, bare in found])
    yield _row(f"{what}: calls/s", rate, ".0f", "", wanted)
    yield _row(f"{what}: the daemon's CPU time a call", cpu, ".1f", " µs", "")
    yield _row(f"{what}: p50", p50, ".0f", " µs", "")
    yield _row(f"{what}: p99", p99, ".0f", " µs", "below 1")
    yield _row(f"{what}: the worst of half a second", worst, ".0f", " µs", "")
    yield (
        f"| {what}: of the bare system calls' {share.theirs:.0f} calls/s | {share.ratio:.0%} "
        f"| {share.ratio / rate.ratio:.0%} | | |"
    )


def _one_guest(bench: _Bench) -> Iterator[str]:
    found: tuple[list[Memory], list[Memory]] = ([], [])
    for _ in range(3):
        for side, command in enumerate((LOCKD, "virtlockd")):
            with bench.host(command) as host:
                host.connect_guests(1)
                host.hold(1)
                found[side].append(host.memory())
    for what, key in (("RSS", "rss"), ("PSS", "pss")):
        ours, theirs = ([getattr(each, key) for each in side] for side in found)
        yield _row(f"resident ({what})", Ratio.of(ours, theirs), ".1f", " MiB", "")


def _restarts(bench: _Bench, runs: int) -> Iterator[str]:
    figures: dict[str, tuple[list[float], list[float]]] = {}

    def note(what: str, side: int, figure: float) -> None:
        figures.setdefault(what, ([], []))[side].append(figure)

    for _ in range(runs):
        for side, command in enumerate((LOCKD, "virtlockd")):
            with bench.host(command) as host:
                note("start-up", side, host.start_up)
                host.connect_guests(HOLDERS)
                locks = host.hold(LOCKS_EACH)
                memory = host.memory()
                note("rss", side, memory.rss)
                note("pss", side, memory.pss)
                if command == LOCKD:
                    # virtlockd does not answer for minutes after a SIGUSR1 with as many.
                    outage = host.re_execute()
                    note("longest call", side, outage.longest_call)
                    note("re-exec", side, outage.until_answered)
                    note("rss after", side, host.memory().rss)
                    note("crash", side, host.crash().until_answered)
                if host.held() != locks:
                    raise SystemExit(f"{command} holds {host.held()} locks of {locks}")
    yield _row(
        "start-up until calls are answered",
        Ratio.of(*figures["start-up"]),
        ".0f",
        " ms",
        "at most 60 ms",
    )
    yield _row("resident (RSS)", Ratio.of(*figures["rss"]), ".1f", " MiB", "at most 2")
    yield _row("resident (PSS)", Ratio.of(*figures["pss"]), ".1f", " MiB", "")
    for what, key, unit, wanted in (
        ("RSS after SIGUSR1", "rss after", "MiB", "at most 2 times virtlockd's"),
        ("SIGUSR1: the longest call", "longest call", "ms", ""),
        ("SIGUSR1 until that is answered", "re-exec", "ms", "below 1 s"),
        ("`kill -9` until a call is answered", "crash", "ms", "at most 150 ms"),
    ):
        ours, _ = figures[key]
        yield (
            f"| {what} | {statistics.median(ours):.0f} {unit} "
            f"({min(ours):.0f} to {max(ours):.0f}) | | | {wanted} |"
        )


def _row(what: str, ratio: Ratio, form: str, unit: str, wanted: str) -> str:
    return (
        f"| {what} | {ratio.ours:{form}}{unit} | {ratio.theirs:{form}}{unit} "
        f"| {ratio.ratio:.2f} ({ratio.least:.2f} to {ratio.greatest:.2f}) | {wanted} |"
    )


if __name__ == "__main__":
    main()
