"""One changed host of a large fleet: what it takes until the new verdict is in the fleet store.

In processor time of the process that watches, because machines that do other work are slow in
any other measure. The fleet is that of :mod:`benchmarks.made_up_fleet`.
"""

from __future__ import annotations

import gc
import io
import os
import statistics
import time

from benchmarks.made_up_fleet import NOW, WRONG, text_of, write
from lockcfg.fleet.keeper import Keeper
from lockcfg.report.audit import render_audit


def run(directory: str, hosts: int, runs: int) -> None:
    """Make the fleet, take it in, change a host again and again, and print a table."""
    spool = os.path.join(directory, "spool")
    write(spool, hosts)
    gc.disable()  # as the command does
    begun = time.process_time()
    keeper = Keeper(spool, os.path.join(directory, "fleet.store"), version="", keep_days=90)
    keeper.round(NOW, at_least=True)
    measure(keeper, spool, hosts, time.process_time() - begun, runs)
    keeper.close()


def measure(keeper: Keeper, spool: str, hosts: int, first: float, runs: int) -> None:
    """Change a host again and again, and print a table."""
    rounds: list[float] = []
    written: dict[str, list[float]] = {}
    keeper.round(NOW, at_least=True)
    for number in range(runs):
        name = f"kvm{number * 37 % hosts:06}"
        folder = (
            spool if hosts <= 1000 else os.path.join(spool, f"{number * 37 % hosts // 1000:03}")
        )
        draft = os.path.join(folder, f".{name}")
        with open(draft, "w", encoding="ascii") as file:
            file.write(text_of(name, WRONG["NFSv3"] if number % 2 else WRONG["name caching"]))
        os.rename(draft, os.path.join(folder, f"{name}.json"))
        begun = time.process_time()
        result = keeper.round(NOW, at_least=False)
        rounds.append(time.process_time() - begun)
        assert result is not None
        for kind in ("openmetrics", "json", "html"):
            begun = time.process_time()
            render_audit(result, kind, io.StringIO())
            written.setdefault(kind, []).append(time.process_time() - begun)
    print(f"| one changed host of {hosts} | processor time |")
    print("|---|---|")
    print(f"| the first time, all hosts | {first:.1f} s |")
    print(f"| until the verdict is in the store | {1000 * statistics.median(rounds):.0f} ms |")
    for kind, times in written.items():
        print(f"| then the report as {kind} | {1000 * statistics.median(times):.0f} ms |")
