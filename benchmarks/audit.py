"""``lockcfg audit`` of a made-up fleet, against the pipeline that people use today.

``md5sum | sort | uniq -c`` over the same snapshots in the same run tells which are unlike the
others, and nothing of why. The fleet is that of :mod:`benchmarks.made_up_fleet`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.made_up_fleet import NOW, write
from benchmarks.side_by_side import Command, Result, compare

if TYPE_CHECKING:
    from collections.abc import Iterator


def benchmarks(
    lockcfg: str, directory: str, runs: int, hosts: int
) -> Iterator[tuple[str, Result, str]]:
    """The rows of the table: what is run, against what, and what is wanted."""
    tree, store = os.path.join(directory, "snapshots"), os.path.join(directory, "fleet")
    write(tree, hosts)
    audit = [lockcfg, "audit", "--json", "--now", str(NOW)]

    def of_snapshots(_: int) -> Command:
        return [*audit, tree]

    def of_store(_: int) -> Command:
        return [*audit, store]

    def md5sum(_: int) -> Command:
        return ["sh", "-c", f"find {tree} -type f | xargs md5sum | sort | uniq -c"]

    runs = max(5, runs // 4)
    most = "at most 1.1" if hosts < 100_000 else "at most 0.9"
    result = compare(of_snapshots, md5sum, runs)
    yield f"`audit`, {hosts} snapshots, and `md5sum`", result, most
    run(lockcfg, "audit", "--partial", store, tree)
    result = compare(of_store, md5sum, runs)
    yield f"`audit` of the fleet store of {hosts} hosts, and `md5sum`", result, "at most 0.2"


def memory(lockcfg: str, directory: str) -> list[tuple[str, float]]:
    """The peak memory in MiB of the largest process, from the snapshots and from the store."""
    tree, store = os.path.join(directory, "snapshots"), os.path.join(directory, "fleet")
    return [
        (name, run(lockcfg, "audit", "--json", "--now", str(NOW), path))
        for name, path in (("snapshots", tree), ("fleet store", store))
    ]


def run(*command: str) -> float:
    """Run a command that prints nothing of interest; its peak memory in MiB."""
    quiet = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{' '.join(command[:2])} failed")
    return usage.ru_maxrss / 1024
